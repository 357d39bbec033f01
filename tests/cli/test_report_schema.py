"""The published JSON Schema of a report is the one the code has, and reports obey it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swaptrace.model.errors import InputError
from swaptrace.model.report import Report
from swaptrace.render.schema import report_schema
from tests.cli.shell import swaptrace
from tests.reports import ranged, report
from tests.traces import story, write_trace

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def bare(schema: Any) -> Any:
    """Return ``schema`` without descriptions: older pydantic leaves out those of dataclasses."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key != "description"}
    return [bare(value) for value in schema] if isinstance(schema, list) else schema


def breaches(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Return where ``value`` breaks ``schema``: the keywords of JSON Schema that pydantic writes for a report."""
    if "$ref" in schema:
        return breaches(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        found = [breaches(value, one, root, at) for one in schema["anyOf"]]
        return [] if any(not one for one in found) else [f"{at}: no alternative fits"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is not in {schema['enum']}"]
    types: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    types["null"] = type(None)
    wanted = types[schema["type"]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return [f"{at}: {value!r} is no {schema['type']}"]
    out = [f"{at}: {key} is missing" for key in schema.get("required", []) if key not in value]
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        for key, part in value.items():
            if key in known:
                out += breaches(part, known[key], root, f"{at}.{key}")
            elif isinstance(more, dict):
                out += breaches(part, more, root, f"{at}.{key}")
            else:
                out.append(f"{at}: {key} is not in the schema")
    if isinstance(value, list):
        for i, part in enumerate(value):
            out += breaches(part, schema["items"], root, f"{at}[{i}]")
    return out


def test_the_published_schema_is_current() -> None:
    published = json.loads(PUBLISHED.read_text())
    assert bare(published) == bare(json.loads(report_schema())), (
        "run: swaptrace schema report > docs/report.schema.json"
    )
    assert swaptrace("schema", "report").stdout == report_schema()


def test_a_report_survives_json(tmp_path: Path) -> None:
    one = report("a", {"trace.events": 3, "cost.free_ns.p50": ranged("cost.free_ns.p50", 1, 2, 3)}, warnings=("w",))
    path = tmp_path / "r.json"
    path.write_text(one.to_json())
    assert Report.load(path) == one
    assert json.loads(one.to_json())["metrics"]["trace.events"]["value"] == 3


def test_a_real_report_obeys_the_published_schema(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t.parquet", story())
    result = swaptrace("replay", trace, "-p", "swap-table", "--format", "json")
    assert result.returncode == 0, result.stderr
    root = json.loads(PUBLISHED.read_text())
    value = json.loads(result.stdout)
    assert breaches(value, root, root) == []
    del value["tool"]["engine"]
    value["metrics"]["trace.events"]["value"] = "many"
    assert breaches(value, root, root) == [
        "$.tool: engine is missing",
        "$.metrics.trace.events.value: no alternative fits",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a report"),
        ("[]", "has the schema None"),
        ('{"schema": "swaptrace.report/9"}', "swaptrace.report/9"),
        ('{"schema": "swaptrace.report/1"}', "is damaged"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Report.load(path)
    assert says in caught.value.what
