"""Fields of CSV equal their one-at-a-time twin; streams that are nearly sorted come out sorted, whatever the chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from swaptrace.ingest.csv_columns import convert_column
from swaptrace.ingest.raw import Findings, RawChunk, concat, empty
from swaptrace.ingest.reorder import reordered
from swaptrace.model.events import COLUMN_BY_NAME, COLUMNS, Column
from tests.oracle.csvfields import field

numbers = st.one_of(
    st.integers(0, 300),
    st.sampled_from([(1 << n) + d for n in (7, 8, 16, 31, 32, 62, 63, 64) for d in (-2, -1, 0, 1)]),
)
texts = st.one_of(
    st.just(""),
    numbers.map(str),
    numbers.map(hex),
    numbers.map(lambda n: f"-{n}"),
    st.tuples(numbers, numbers).map(lambda t: f"{t[0]}.{t[1]}"),
    st.tuples(numbers, numbers, st.sampled_from(",:")).map(lambda t: f"{t[0]}{t[2]}{t[1]}"),
    st.sampled_from(
        ["swap_out", "SWAP_IN", "zram", "disk", "yes", "No", "TRUE", "nan", "1e3", "0x", " 7 ", "1.", ".5", "٣"]
    ),
    st.text("0123456789abcdefxX.,:- _", max_size=22),
)


@given(column=st.sampled_from([c for c in COLUMNS if not c.text]), values=st.lists(texts, max_size=8))
@example(column=COLUMN_BY_NAME["swap_type"], values=["254", "255"])  # 255 stands for a missing one
def test_csv_fields(column: Column, values: list[str]) -> None:
    got, present, bad = convert_column(column, pl.Series("text", values, pl.String))
    assert got.dtype == np.dtype(column.dtype)
    for i, text in enumerate(values):
        value, meaningless = field(column, text)
        assert bool(bad[i]) == meaningless, text
        assert bool(present[i]) == (value is not None), text
        assert int(got[i]) == (value if value is not None else column.null or 0), text


@given(
    times=st.lists(st.integers(0, 50), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
    hold=st.integers(0, 60),
)
@example(times=[10, 0], cuts=[1], hold=5)
def test_reordered(times: list[int], cuts: list[int], hold: int) -> None:
    bounds = [0, *sorted(min(c, len(times)) for c in cuts), len(times)]
    findings = Findings()
    out = concat(list(reordered((part(times, a, b) for a, b in pairwise(bounds)), findings, hold)))
    assert sorted(out.value.tolist()) == list(range(len(times)))
    assert out.ts.tolist() == sorted(out.ts.tolist())
    moved = [t for t, i in zip(out.ts.tolist(), out.value.tolist(), strict=True) if t != times[i]]
    assert len(moved) == sum(findings.skipped.values())
    newest, late = 0, False
    for time in times:
        newest = max(newest, time)
        late |= newest - time > hold
    if not late:  # nothing is older than the hold allows: exactly the stable sort
        assert not moved
        assert out.value.tolist() == sorted(range(len(times)), key=lambda i: times[i])


def part(times: list[int], start: int, stop: int) -> RawChunk:
    chunk = empty(stop - start)
    chunk.ts[:], chunk.value[:] = times[start:stop], range(start, stop)
    return chunk
