"""The published tables: columns of a trace, definitions of the metrics, JSON Schema of a report."""

from __future__ import annotations

import json
from typing import Any

from swaptrace.model.events import COLUMNS, SCHEMA_VERSION, Column
from swaptrace.model.metrics import METRICS
from swaptrace.model.report import REPORT_SCHEMA, Report
from swaptrace.render.document import json_text
from swaptrace.render.text import table

__all__ = ["json_columns", "json_metrics", "report_schema", "text_columns", "text_metrics"]


def _words(column: Column) -> list[str]:
    return [] if column.names is None else [n.name.lower() for n in column.names if n.name != "NONE"]


def _type(column: Column) -> str:
    return "name" if column.names is not None else "string" if column.text else column.dtype


def text_columns() -> str:
    """Return the columns of a trace as a table, the words of named columns below."""
    rows = [[c.name, _type(c), "" if c.required else "yes", c.doc] for c in COLUMNS]
    lines = [f"trace schema {SCHEMA_VERSION}: one row per event and 4 KiB page, sorted by ts", ""]
    lines += table(rows, ["column", "type", "null", "meaning"], left=(0, 1, 2, 3))
    named = [column for column in COLUMNS if column.names is not None]
    lines += ["", *(f"{column.name}: {', '.join(_words(column))}" for column in named)]
    return "\n".join(lines) + "\n"


def json_columns() -> str:
    """Return the columns of a trace as JSON."""
    columns: list[dict[str, Any]] = [
        {"name": c.name, "type": _type(c), "nullable": not c.required, "doc": c.doc, "words": _words(c)}
        for c in COLUMNS
    ]
    return json_text({"schema_version": SCHEMA_VERSION, "columns": columns})


def text_metrics() -> str:
    """Return every metric with unit, good direction, kind and definition."""
    rows = [[m.name, m.unit, m.better, m.kind, m.doc] for m in METRICS]
    return "\n".join(table(rows, ["metric", "unit", "better", "kind", "definition"], left=(0, 1, 2, 3, 4))) + "\n"


def json_metrics() -> str:
    """Return every metric as JSON."""
    return json_text(
        [{"name": m.name, "unit": m.unit, "better": m.better, "kind": m.kind, "doc": m.doc} for m in METRICS]
    )


def report_schema() -> str:
    """Return the JSON Schema of a report: the text of docs/report.schema.json."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": REPORT_SCHEMA}
    return json.dumps({**head, **Report.json_schema()}, indent=1) + "\n"
