"""JSON for programs: every digit, every field, in a stable order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from swaptrace.compare.diff import Diff, Row
from swaptrace.compare.select import metric_names
from swaptrace.model.report import Report

__all__ = ["DIFF_SCHEMA", "json_diff", "json_reports", "json_text"]

DIFF_SCHEMA = "swaptrace.diff/1"


def json_text(value: object) -> str:
    """Return ``value`` as indented JSON that ends in a newline."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def json_reports(reports: Sequence[Report], patterns: Sequence[str] = ()) -> str:
    """Return one report as indented JSON, several as JSON Lines: the same jq path reads both."""
    documents = []
    for report in reports:
        value = json.loads(report.to_json())
        value["metrics"] = {name: value["metrics"][name] for name in metric_names([report], patterns)}
        documents.append(value)
    if len(documents) == 1:
        return json_text(documents[0])
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in documents)


def json_diff(diffs: Sequence[Diff], tripped: Sequence[str], reproduce: str) -> str:
    """Return one base compared with its tests; ``tripped`` are the broken ``--fail-on`` lines."""
    base = diffs[0].base
    return json_text(
        {
            "schema": DIFF_SCHEMA,
            "trace": {"name": base.trace.name, "sha256": base.trace.sha256, "events": base.trace.events},
            "base": _policy(base),
            "tests": [
                {
                    "policy": _policy(each.test),
                    "notes": list(each.notes),
                    "rows": [_row(row) for row in each.rows],
                }
                for each in diffs
            ],
            "tripped": list(tripped),
            "reproduce": reproduce,
        }
    )


def _policy(report: Report) -> dict[str, Any]:
    return {
        "name": report.policy.name,
        "spec": report.policy.spec,
        "cost": {
            "preset": report.cost.preset,
            "sha256": report.cost.sha256,
            "overrides": report.cost.overrides,
        },
        "warnings": list(report.warnings),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "metric": row.metric,
        "unit": row.unit,
        "better": str(row.better),
        "kind": str(row.kind),
        "base": None if row.base is None else row.base.value,
        "test": None if row.test is None else row.test.value,
        "delta": row.delta,
        "relative": row.relative,
        "low": row.low,
        "high": row.high,
        "verdict": str(row.verdict),
        "inferred": row.inferred,
        "flips": [flip.parameter for flip in row.flips],
    }
