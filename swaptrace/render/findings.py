"""What ``validate`` found."""

from __future__ import annotations

from dataclasses import asdict

from swaptrace.model.invariants import Finding, Findings
from swaptrace.model.trace import Trace
from swaptrace.model.units import format_count
from swaptrace.render.document import json_text

__all__ = ["json_findings", "text_findings"]


def text_findings(trace: Trace, found: Findings) -> str:
    """Return the list of violations and warnings, and a last line with the verdict."""
    lines = [
        *(f"violation  {_line(v)}" for v in found.violations),
        *(f"warning    {_line(w)}" for w in found.warnings),
    ]
    verdict = f"{len(found.violations)} rules broken" if found.violations else "valid"
    if len(found.violations) == 1:
        verdict = "1 rule broken"
    lines.append(f"{trace.path}: {verdict}, {format_count(trace.rows)} events, sha256:{trace.meta.digest[:8]}")
    return "\n".join(lines) + "\n"


def _line(finding: Finding) -> str:
    where = ""
    if finding.rows:
        where = f" ({format_count(finding.rows)} rows"
        where += ")" if finding.first_row is None else f", first: row {format_count(finding.first_row)})"
    return f"{finding.rule}: {finding.text}{where}"


def json_findings(trace: Trace, found: Findings) -> str:
    """Return the same as JSON."""
    return json_text(
        {
            "trace": str(trace.path),
            "sha256": trace.meta.digest,
            "events": trace.rows,
            "valid": not found.violations,
            "violations": [asdict(finding) for finding in found.violations],
            "warnings": [asdict(finding) for finding in found.warnings],
        }
    )
