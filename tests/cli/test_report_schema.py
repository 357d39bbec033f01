"""The published JSON Schema of a report is the one the code has, and reports obey it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swaptrace.model.errors import InputError
from swaptrace.model.report import Report
from swaptrace.render.schema import report_schema
from tests.cli.shell import swaptrace
from tests.reports import ranged, report

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_the_published_schema_is_current() -> None:
    assert PUBLISHED.read_text() == report_schema(), "run: swaptrace schema report > docs/report.schema.json"
    assert swaptrace("schema", "report").stdout == report_schema()


def test_a_report_survives_json(tmp_path: Path) -> None:
    one = report(
        "a", {"trace.events": 3, "cost.free_ns.p50": ranged("cost.free_ns.p50", 1, 2, 3)}, warnings=("w",)
    )
    path = tmp_path / "r.json"
    path.write_text(one.to_json())
    assert Report.load(path) == one
    assert json.loads(one.to_json())["metrics"]["trace.events"]["value"] == 3


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
