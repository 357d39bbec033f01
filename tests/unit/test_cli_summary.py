"""``info``: the one-pass summary against an event-at-a-time twin."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.model.events import Kind
from swaptrace.model.summary import LogHistogram, Timeline, summarize
from swaptrace.model.trace import Trace
from tests.traces import story, write_trace


def twin(rows: list[dict[str, Any]]) -> tuple[list[int], list[int], int]:
    """Lifetimes, times to the first read, live slots at the end: one event after the other."""
    since: dict[int, int] = {}
    unread: set[int] = set()
    lifetimes, reads = [], []
    for row in rows:
        slot, now = row["swap_type"] << 48 | row.get("slot", 0), row["ts"]
        if row["kind"] == Kind.SWAP_IN:
            if slot in unread:
                reads.append(now - since[slot])
                unread.discard(slot)
            continue
        if row["kind"] == Kind.SWAPOFF:
            ended = [key for key in since if key >> 48 == row["swap_type"]]
            lifetimes += [now - since.pop(key) for key in ended]
            unread.difference_update(ended)
            continue
        if slot in since:
            lifetimes.append(now - since.pop(slot))
            unread.discard(slot)
        if row["kind"] == Kind.SWAP_OUT:
            since[slot] = now
            unread.add(slot)
    return lifetimes, reads, len(since)


KINDS = st.sampled_from([Kind.SWAP_OUT, Kind.SWAP_IN, Kind.SLOT_FREE, Kind.SWAPOFF])


@given(
    st.lists(st.tuples(KINDS, st.integers(0, 1), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 9),
)
def test_lifetimes_equal_the_twin_however_the_stream_is_cut(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[Kind, int, int, int]], cut: int
) -> None:
    ts = np.cumsum([wait for *_, wait in events])
    rows: list[dict[str, Any]] = [
        {"ts": int(now), "kind": kind, "swap_type": area, **({} if kind == Kind.SWAPOFF else {"slot": slot})}
        for now, (kind, area, slot, _) in zip(ts, events, strict=True)
    ]
    trace = Trace(write_trace(tmp_path_factory.mktemp("t") / "t.parquet", rows))
    batches = trace.batches
    trace.batches = lambda columns, batch_rows=cut, **more: batches(columns, batch_rows, **more)  # type: ignore[method-assign]
    found = summarize(trace)
    lifetimes, reads, live = twin(rows)
    assert (found.lifetime.count, found.until_read.count, found.live_end) == (
        len(lifetimes),
        len(reads),
        live,
    )
    for histogram, values in ((found.lifetime, lifetimes), (found.until_read, reads)):
        for q in (0.1, 0.5, 0.9):
            if values:
                exact = float(np.quantile(np.maximum(values, 1), q, method="inverted_cdf"))
                assert histogram.quantile(q) == pytest.approx(exact, rel=0.022)


def test_counts_owners_and_tasks(tmp_path: Path) -> None:
    rows = story()
    found = summarize(Trace(write_trace(tmp_path / "t.parquet", rows)))
    outs = [row for row in rows if row["kind"] == Kind.SWAP_OUT]
    assert sum(count for (kind, _), count in found.counts.items() if kind == "swap_out") == len(outs)
    assert found.counts["slot_free", ""] == sum(row["kind"] == Kind.SLOT_FREE for row in rows)
    assert found.owners == Counter(row["owner_tgid"] for row in outs)
    assert found.comms == Counter(row["comm"] for row in rows)
    assert found.span_ns == rows[-1]["ts"] - rows[0]["ts"]
    assert sum(found.timeline.bins()) == len(outs)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=50), st.integers(1, 7))
def test_timeline_keeps_every_event_in_its_bin(times: list[int], cut: int) -> None:
    ts = np.sort(np.array(times, np.int64))
    line = Timeline(limit=8)
    for at in range(0, len(ts), cut):
        line.add(ts[at : at + cut])
    expected = np.bincount((ts - ts[0]) // line.bin_ns)
    assert line.bins() == expected.tolist()
    assert len(line.bins()) <= 8


def test_an_empty_histogram_has_no_quantiles() -> None:
    assert LogHistogram().quantile(0.5) == 0.0
