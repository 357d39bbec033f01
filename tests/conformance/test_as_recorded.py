"""`as-recorded` sends exactly the recorded device traffic to the device, in order, at the recorded slots."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.model.events import Backend, Kind
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.oracle.ftl import SlowFtl
from tests.streams import MemoryTrace, random_trace

PAGE = 4096


def recorded(seed: int) -> MemoryTrace:
    """Return a stream whose events have every backend, with writebacks in between."""
    trace = random_trace(seed, 1500, slots=1024, live=300)
    r = np.random.default_rng(seed)
    kind, backend = trace.columns["kind"], trace.columns["backend"]
    out, read = kind == Kind.SWAP_OUT, kind == Kind.SWAP_IN
    backend[out] = r.choice([Backend.DISK, Backend.ZERO, Backend.ZSWAP, Backend.UNKNOWN], int(out.sum()))
    backend[read] = r.choice([Backend.DISK, Backend.ZERO, Backend.ZSWAP, Backend.CACHE], int(read.sum()))
    kind[read & (r.random(trace.rows) < 0.3)] = Kind.WRITEBACK
    return trace


def slow_traffic(trace: MemoryTrace) -> tuple[list[int], list[int]]:
    """Return the slots written and read, event by event: an object lives from its writeout to its free."""
    live: set[int] = set()
    written, read = [], []
    c = trace.columns
    for kind, backend, slot in zip(c["kind"].tolist(), c["backend"].tolist(), c["slot"].tolist(), strict=True):
        if kind == Kind.SWAP_OUT:
            live.add(slot)
            if backend == Backend.DISK:
                written.append(slot)
        elif slot in live and kind == Kind.WRITEBACK:
            written.append(slot)
        elif slot in live and kind == Kind.SWAP_IN and backend == Backend.DISK:
            read.append(slot)
        elif kind == Kind.SLOT_FREE:
            live.discard(slot)
    return written, read


def requests(pages: list[int]) -> int:
    return len(pages) - sum(b == a + 1 for a, b in pairwise(pages))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 1500), max_size=5))
def test_as_recorded_equals_its_twin(seed: int, cuts: list[int]) -> None:
    trace = recorded(seed)
    report = replay(trace.cut(cuts), [resolve("as-recorded+ftl:erase=64KiB,op=10%")])[0]
    written, read = slow_traffic(trace)
    ftl = SlowFtl(-(-1024 * 11 // 160) + 3, 16)
    for slot in written:
        ftl.step(slot)
    assert (report.value("write.host_bytes"), report.value("write.requests")) == (
        PAGE * len(written),
        requests(written),
    )
    assert (report.value("read.device_bytes"), report.value("read.requests")) == (PAGE * len(read), requests(read))
    assert (report.value("write.flash_bytes"), report.value("write.erases")) == (PAGE * ftl.flash_pages, ftl.erases)


@pytest.mark.parametrize("name", ["indirection.lookups", "indirection.metadata_bytes.peak", "slots.virtual_peak"])
def test_as_recorded_claims_nothing_about_indirection(name: str) -> None:
    report = replay(recorded(1).cut([]), [resolve("as-recorded")])[0]
    assert report.value(name) is None
