"""``validate``: each rule breaks on the trace that is made to break it, and on nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from swaptrace.model.events import Kind
from swaptrace.model.invariants import Findings, validate
from swaptrace.model.meta import SwapDevice
from swaptrace.model.summary import summarize
from swaptrace.model.trace import Trace
from swaptrace.model.writer import META_KEY
from tests.traces import story, write_trace

OUT = {"kind": Kind.SWAP_OUT, "swap_type": 0, "slot": 5, "pfn": 64, "hash": 1, "backend": 1}


def check(path: Path, rows: list[dict[str, Any]], **changes: Any) -> Findings:
    return validate(Trace(write_trace(path / "t.parquet", rows, **changes)))


def folio(ts: int, order: int, pfn: int = 64, slot: int = 8) -> list[dict[str, Any]]:
    return [OUT | {"ts": ts, "order": order, "sub": i, "pfn": pfn + i, "slot": slot + i} for i in range(1 << order)]


def test_a_sound_trace_has_no_findings(tmp_path: Path) -> None:
    assert check(tmp_path, story() + folio(10**9, 4) + folio(10**9, 2, pfn=1024, slot=40)) == Findings([], [])


@pytest.mark.parametrize(
    ("rule", "rows", "first"),
    [
        ("device", [OUT | {"ts": 1}, OUT | {"ts": 2, "swap_type": 3}], 1),
        ("slot-range", [OUT | {"ts": 1, "slot": 0}], 0),
        ("slot-range", [OUT | {"ts": 1, "slot": -5}], 0),
        ("slot-range", [OUT | {"ts": 1}, OUT | {"ts": 2, "slot": 4096}], 1),
        ("slot-missing", [OUT | {"ts": 1}, {"ts": 2, "kind": Kind.SLOT_FREE}], 1),
        ("content-kind", [OUT | {"ts": 1}, OUT | {"ts": 2, "kind": Kind.SLOT_FREE}], 1),
        ("folio", [OUT | {"ts": 1, "sub": 1}], 0),
        ("folio-rows", folio(1, 2)[:3], 0),
        ("folio-rows", [*folio(1, 1), *folio(1, 1)], 0),
        ("folio-rows", [OUT | {"ts": 1}, *folio(2, 2)[1:]], 1),
    ],
)
def test_each_rule_finds_its_breach(tmp_path: Path, rule: str, rows: list[dict[str, Any]], first: int) -> None:
    found = check(tmp_path, rows)
    assert [finding.rule for finding in found.violations] == [rule]
    assert found.violations[0].first_row == first
    assert found.violations[0].rows > 0


def test_reads_and_frees_of_unknown_slots_are_warnings(tmp_path: Path) -> None:
    late = {"swap_type": 0, "slot": 9}
    rows = [
        late | {"ts": 1, "kind": Kind.SWAP_IN},
        late | {"ts": 2, "kind": Kind.SLOT_FREE},
        OUT | {"ts": 3, "slot": 9},
        late | {"ts": 4, "kind": Kind.SWAP_IN},
    ]
    found = check(tmp_path, rows)
    assert found.violations == []
    assert [(w.rule, w.rows, w.first_row) for w in found.warnings] == [
        ("orphan-read", 1, 0),
        ("orphan-free", 1, 1),
    ]


def test_loss_is_a_warning(tmp_path: Path) -> None:
    found = check(tmp_path, [OUT | {"ts": 1}], lost={"cpu1": 3, "cpu0": 0}, interrupted=True)
    assert found.violations == []
    assert [w.rule for w in found.warnings] == ["lost", "interrupted"]


def rewrite(path: Path, table: pa.Table, **changes: Any) -> Findings:
    """Write ``table`` over the trace as a foreign tool would, its header kept but for ``changes``."""
    header = json.loads(pq.ParquetFile(path).metadata.metadata[META_KEY]) | changes
    pq.write_table(table.replace_schema_metadata({META_KEY: json.dumps(header)}), path, row_group_size=7)
    return validate(Trace(path))


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "t.parquet", story())


def test_other_encodings_keep_the_digest(sound: Path) -> None:
    assert rewrite(sound, pq.read_table(sound)).violations == []


def test_a_changed_value_breaks_the_digest(sound: Path) -> None:
    table = pq.read_table(sound)
    cpu = pc.add(table["cpu"], pa.scalar(1, pa.uint16())).cast(pa.uint16())
    found = rewrite(sound, table.set_column(table.schema.get_field_index("cpu"), table.schema.field("cpu"), cpu))
    assert [v.rule for v in found.violations] == ["digest"]


def test_time_that_goes_back_is_found(sound: Path) -> None:
    table = pq.read_table(sound)
    order = [1, 0, *range(2, len(table))]
    found = rewrite(sound, table.take(order))
    assert [(v.rule, v.rows, v.first_row) for v in found.violations if v.rule == "sorted"] == [("sorted", 1, 1)]


def test_missing_rows_are_found(sound: Path) -> None:
    assert {v.rule for v in rewrite(sound, pq.read_table(sound).slice(0, 50)).violations} == {
        "rows",
        "digest",
    }


def test_an_unknown_kind_is_found(sound: Path) -> None:
    table = pq.read_table(sound)
    words = pa.chunked_array([["swap_sideways"] * len(table)]).dictionary_encode().cast(table.schema.field("kind").type)
    found = rewrite(sound, table.set_column(table.schema.get_field_index("kind"), table.schema.field("kind"), words))
    assert "column kind has unknown values: swap_sideways" in [v.text for v in found.violations]


def test_a_column_of_another_type_is_found(sound: Path) -> None:
    table = pq.read_table(sound)
    at = table.schema.get_field_index("slot")
    found = rewrite(sound, table.set_column(at, "slot", table["slot"].cast(pa.float64())))
    assert [v.text for v in found.violations] == ["column slot has type double, not int64"]


def test_a_missing_digest_is_found(sound: Path) -> None:
    found = rewrite(sound, pq.read_table(sound), digest="")
    assert "the header says nothing" in found.violations[0].text


@pytest.mark.parametrize("types", [(300,), (-1,), (255,), (0, 0)])
def test_swap_types_of_the_header_are_checked(tmp_path: Path, types: tuple[int, ...]) -> None:
    devices = tuple(SwapDevice(swap_type, 253 << 20) for swap_type in types)
    assert "header" in [finding.rule for finding in check(tmp_path, [OUT | {"ts": 1}], devices=devices).violations]


def test_times_far_apart_are_sorted(tmp_path: Path) -> None:
    rows = [OUT | {"ts": -(2**62) - 2**61}, OUT | {"ts": 2**62}]
    assert check(tmp_path, rows).violations == []
    assert summarize(Trace(tmp_path / "t.parquet")).span_ns == 2**63 + 2**61
