"""Swap areas in a BPF recording: those that come and go, and the types of all."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.ingest.bpf.changes import AreaChanges
from swaptrace.ingest.bpf.source import true_types
from swaptrace.model.events import Kind
from swaptrace.model.meta import SwapChange, SwapDevice


@given(times=st.lists(st.integers(0, 9), min_size=1, max_size=12), cuts=st.sets(st.integers(1, 11)), at=st.data())
def test_changes_are_put_behind_the_rows_of_their_time(times: list[int], cuts: set[int], at: st.DataObject) -> None:
    times.sort()
    areas = (SwapDevice(0, 253 << 20), SwapDevice(3, 7 << 20))
    changes = [
        SwapChange(ts, bool(i % 2), i % 2) for i, ts in enumerate(at.draw(st.lists(st.integers(0, 12), max_size=4)))
    ]
    expected = sorted(
        [(ts, 0, int(Kind.SWAP_OUT), -1) for ts in times]
        + [(c.ts, 1, int(Kind.SWAPON if c.on else Kind.SWAPOFF), areas[c.device].swap_type) for c in changes],
        key=lambda row: row[:2],
    )
    merge, found = AreaChanges(changes, areas), []
    bounds = [0, *sorted(c for c in cuts if c < len(times)), len(times)]
    for a, b in itertools.pairwise(bounds):
        part = np.array(times[a:b])
        batch = {"ts": part, "kind": np.zeros(b - a, np.uint8), "hash": np.ones(b - a, np.uint64)}
        columns, masks = merge.into(batch, {"hash": np.ones(b - a, np.bool_)})
        found += list(zip(columns["ts"].tolist(), columns["kind"].tolist(), masks["hash"].tolist(), strict=True))
    if (rest := merge.rest()) is not None:
        assert set(rest) == {"ts", "kind", "cpu", "dev", "swap_type"}
        found += [(int(ts), int(kind), False) for ts, kind in zip(rest["ts"], rest["kind"], strict=True)]
    assert found == [(ts, kind, kind == Kind.SWAP_OUT) for ts, _, kind, _ in expected]


def test_types_are_those_that_their_disks_showed() -> None:
    zram, loop = SwapDevice(0, 253 << 20), SwapDevice(1, 7 << 20)
    assert [d.swap_type for d in true_types((zram, loop), {})] == [0, 1]
    assert [d.swap_type for d in true_types((zram, loop), {1: 253 << 20, 2: 7 << 20})] == [1, 2]
    twins = (SwapDevice(0, 8 << 20, start_sector=8), SwapDevice(1, 8 << 20, start_sector=900))
    assert [d.swap_type for d in true_types(twins, {2: 8 << 20, 5: 8 << 20})] == [2, 5]
    assert [d.swap_type for d in true_types((zram, loop), {1: 253 << 20})] == [0, 1]  # they would collide
