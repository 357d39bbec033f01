"""What allocations pass over, whose it is, and how many lines entries touch: both forms, against sets and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels import touched as touched_kernel
from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.entries import LoopEntries, VectorEntries
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.scans import ScannedClusters
from swaptrace.kernels.touched import EntryLines, touched
from tests.engines import ENGINES
from tests.oracle.clusters import SlowPhysicalClusters
from tests.property.test_kernel_clusters import CPUS, STREAMS, cuts, random_ops
from tests.property.test_kernel_forms import ops_of
from tests.streams import random_trace


@pytest.mark.parametrize("engine", ENGINES)
def test_the_scan_of_one_cluster_by_hand(engine: Engine) -> None:
    with using_engine(engine):
        scanned = ScannedClusters(PhysicalClusters(1024, 1), owners=True)
        units, cpu = np.arange(511, dtype=np.int32), np.zeros(511, np.uint16)
        _, _, scan = scanned.feed(np.zeros(511, bool), units, cpu, owner=units.astype(np.int64) * 10)
        assert len(scan.at) == 0  # slots 1 to 511, one after the other
        freed, again = np.array([True, False]), np.array([99, 99], np.int32)
        slot, _, scan = scanned.feed(freed, again, cpu[:2], owner=np.array([-1, 7]))
        assert slot.tolist() == [100, 100]
        assert (scan.at.tolist(), scan.slots.tolist()) == ([1], [99])  # slots 1 to 99, in lines 0 to 12
        assert scan.lines.tolist() == [12]  # the last line is that of slot 100
        assert scan.entry is not None
        assert scan.entry.tolist() == [10 * unit for unit in range(99)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_search_that_begins_behind_the_slot_of_another_cpu(engine: Engine) -> None:
    ops = [(False, unit, 0) for unit in range(1, 63)]  # unit n takes slot n, as do those below
    ops += [(False, unit, 1) for unit in range(64, 128)]
    ops += [(True, 70, 0), (False, 70, 1), (True, 65, 0)]
    ops += [(False, 63, 0), (False, 65, 1)]  # from 71 to the end of the cluster, and from its beginning
    frees, units, cpu = (np.array(column) for column in zip(*ops, strict=True))
    with using_engine(engine):
        scanned = ScannedClusters(PhysicalClusters(128, 2, 64), owners=True)
        slot, _, scan = scanned.feed(frees, units, cpu.astype(np.uint16), owner=units * 10)
    assert slot.tolist() == units.tolist()
    assert scan.slots.tolist() == [6, 58]
    assert scan.entry is not None
    assert (scan.entry // 10).tolist() == [*range(64, 70), *range(71, 128), 64]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(stream=STREAMS, slots=st.integers(20, 90), spread=st.booleans(), per_line=st.sampled_from([8, 64]))
def test_scans_equal_sets(
    engine: Engine, stream: tuple[int, int, float], slots: int, spread: bool, per_line: int
) -> None:
    seed, n, fill = stream
    free, unit, cpu = random_ops(seed, n, slots - 1, fill)
    slow = SlowPhysicalClusters(slots, CPUS, 64, spread)
    owner: dict[int, int] = {}
    want = []
    for i, op in enumerate(zip(free, unit, cpu, strict=True)):
        slot, _ = slow.step(*op)
        passed = [s for run in slow.passed for s in run]
        if passed:
            lines = {s // per_line for s in passed} - {slot // per_line}
            want.append((i, len(passed), len(lines), [owner[s] for s in passed]))
        if not op[0]:
            owner[slot] = i
    got = []
    with using_engine(engine):
        scanned = ScannedClusters(PhysicalClusters(slots, CPUS, 64, spread), True, per_line)
        for a, b in pairwise(cuts(seed, n)):
            gives, units, on = np.array(free[a:b], bool), np.array(unit[a:b], np.int32), np.array(cpu[a:b], np.uint16)
            _, _, scan = scanned.feed(gives, units, on, np.arange(a, b))
            assert scan.entry is not None
            parts = np.split(scan.entry, np.cumsum(scan.slots)[:-1])
            got += [
                (a + int(at), int(k), int(lines), part.tolist())
                for at, k, lines, part in zip(scan.at, scan.slots, scan.lines, parts, strict=False)
            ]
    assert got == want


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 300),
    shape=st.builds(
        EntryLines, st.integers(1, 2), st.sampled_from([8, 24]), st.sampled_from([0, 104, 120]),
        st.sampled_from([0, 8]), st.sampled_from([192, 512]),
    ),
    far=st.sampled_from([11, 40]),
    part=st.sampled_from([1, 20, 10_000]),
)  # fmt: skip
def test_touched_equals_sets(engine: Engine, seed: int, n: int, shape: EntryLines, far: int, part: int) -> None:
    r = np.random.default_rng(seed)
    run = np.sort(r.integers(0, 8, n))
    entry = (r.integers(0, 5, n) << far) + (r.integers(0, 3, n) << 9) + r.integers(0, 512, n)
    levels = r.integers(1, 5, 8).astype(np.uint8)
    clusters = {(a, b >> 9) for a, b in zip(run.tolist(), entry.tolist(), strict=True)}
    lines = 0
    for r_, cluster in clusters:
        at = [b & 511 for a, b in zip(run.tolist(), entry.tolist(), strict=True) if (a, b >> 9) == (r_, cluster)]
        used = range(shape.used_bytes or shape.entry_bytes)
        lines += int(levels[r_]) + shape.fixed_lines + (max(at) >= shape.second_line_from)
        lines += len({(shape.first_byte + p * shape.entry_bytes + byte) // 64 for p in at for byte in used})
    with using_engine(engine), pytest.MonkeyPatch.context() as patch:
        patch.setattr(touched_kernel, "_PART", part)
        assert touched(np.bincount(run, minlength=8), entry, levels, shape) == (len(clusters), lines)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), marks=st.lists(st.integers(1, 799), max_size=5))
def test_entries_of_moved_pages(engine: Engine, seed: int, marks: list[int]) -> None:
    """Asked in some batches only, and twice in others: the answers are those of a dict."""
    r = np.random.default_rng(seed)
    with using_engine(engine):
        entries = LoopEntries() if engine == "numba" else VectorEntries()
        holds: dict[int, int] = {}
        for ops in ops_of(random_trace(seed, 800, live=60), marks):
            at = np.flatnonzero(ops.lives != 0)
            values = r.integers(0, 2**40, len(at))
            entry_at = dict(zip(at.tolist(), values.tolist(), strict=True))
            asked, want = [], []
            for i, handle in enumerate(ops.handle.tolist()):
                if ops.new[i]:
                    holds[handle] = entry_at[i]
                else:
                    entry_at[i] = holds[handle]
                for other in r.choice(list(holds), int(r.integers(0, 3))).tolist():
                    asked.append((other, i))
                    want.append(holds[other])
                if ops.lives[i] < 0:
                    del holds[handle]
            # an op that ends an object still has its entry
            values[ops.lives[at] < 0] = [entry_at[i] for i in at[ops.lives[at] < 0].tolist()]
            ops.entry = entries.feed(ops, at, values)
            assert ops.entry.tolist() == [entry_at[i] for i in range(len(ops))]
            handles, when = np.array([h for h, _ in asked], np.int32), np.array([i for _, i in asked], np.int64)
            for _ in range(int(r.integers(0, 3))):
                assert entries.moved(ops, handles, when).tolist() == want
