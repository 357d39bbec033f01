"""The cluster allocators equal their references op for op, in both engines, wherever batches are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.clusters import Passed, PhysicalClusters
from swaptrace.kernels.clusters_loop import LoopPhysical
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.virtual import VirtualClusters
from swaptrace.kernels.virtual_lists import ListVirtual
from swaptrace.kernels.virtual_loop import LoopVirtual
from swaptrace.model.errors import SpaceError
from tests.engines import COMPILED, ENGINES
from tests.oracle.clusters import SlowPhysicalClusters, SlowVirtualClusters

CPUS = 3
FORMS = [pytest.param("numba", marks=COMPILED), "interpreted", "lists"]
Ops = tuple[list[bool], list[int], list[int]]


def random_ops(seed: int, n: int, limit: int, fill: float) -> Ops:
    """Valid ops that hold at most `limit` units, near `fill` of them; units are reused after their free."""
    rng = np.random.default_rng(seed)
    live: list[int] = []
    spare = list(range(limit))[::-1]
    free, unit = [], []
    burst = 0.5
    for _ in range(n):
        if rng.random() < 0.02:
            burst = float(rng.choice([0.02, 0.5, 0.98]))
        grow = rng.random() < (burst if len(live) < limit * fill else 0.4)
        if spare and (grow or not live):
            live.append(spare.pop())
            unit.append(live[-1])
            free.append(False)
        else:
            unit.append(live.pop(int(rng.integers(len(live)))))
            spare.append(unit[-1])
            free.append(True)
    cpu = rng.integers(0, CPUS, n)
    if rng.random() < 0.5:
        cpu = cpu[np.arange(n) // 40 * 40]  # batches, as reclaim makes them
    return free, unit, cpu.tolist()


def cuts(seed: int, n: int) -> list[int]:
    inner = np.random.default_rng(seed).integers(0, n + 1, 4)
    return [0, *sorted(int(cut) for cut in inner), n]


STREAMS = st.tuples(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([0.3, 0.9, 1.0]))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, deadline=None)
@given(
    stream=STREAMS,
    slots=st.integers(2, 90),
    cluster=st.sampled_from([2, 5, 8, 40, 512]),
    spread=st.booleans(),
)
def test_physical_equals_reference(
    form: str, stream: tuple[int, int, float], slots: int, cluster: int, spread: bool
) -> None:
    seed, n, fill = stream
    free, unit, cpu = random_ops(seed, n, slots - 1, fill)
    slow = SlowPhysicalClusters(slots, CPUS, cluster, spread)
    want, over = [], []
    for op in zip(free, unit, cpu, strict=True):
        want.append(slow.step(*op))
        over.append([run for run in slow.passed if run])
    with using_engine("numba" if form == "numba" else "numpy"):
        fast = PhysicalClusters(slots, CPUS, cluster, spread)
        if form == "interpreted":
            fast._device = LoopPhysical(slots, CPUS, cluster, spread)
        edges, passed, parts = cuts(seed, n), Passed.room(n), []
        for part, (a, b) in enumerate(pairwise(edges)):  # who does not ask changes nothing
            asked = None if part == seed % 7 else Passed(passed.before[a:b], passed.tail[a:b])
            parts.append(fast.feed(free[a:b], unit[a:b], cpu[a:b], asked))
    for part, (a, b) in enumerate(pairwise(edges)):
        for i in range(a, b) if part != seed % 7 else ():
            tail, first = int(passed.tail[i]), want[i][0] - int(passed.before[i])
            got = [list(range(tail, min(tail // cluster * cluster + cluster, slots)))] if tail >= 0 else []
            assert got + [list(range(first, want[i][0]))] * (first < want[i][0]) == over[i]
    assert np.concatenate([slot for slot, _ in parts]).tolist() == [slot for slot, _ in want]
    assert np.concatenate([change for _, change in parts]).tolist() == [change for _, change in want]
    assert (fast.used, fast.used_clusters) == (len(slow.slot_of), slow.used_clusters())


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, deadline=None)
@given(stream=STREAMS, limit=st.integers(1, 90), cluster=st.sampled_from([2, 5, 8, 40, 512]))
def test_virtual_equals_reference(form: str, stream: tuple[int, int, float], limit: int, cluster: int) -> None:
    seed, n, fill = stream
    free, unit, cpu = random_ops(seed, n, limit, fill)
    slow = SlowVirtualClusters(cluster)
    want = [slow.step(*op) for op in zip(free, unit, cpu, strict=True)]
    with using_engine("numba" if form == "numba" else "numpy"):
        fast = VirtualClusters(CPUS, cluster)
        if form == "interpreted":
            fast._space = LoopVirtual(CPUS, cluster)
        edges = cuts(seed, n)
        parts = [fast.feed(free[a:b], unit[a:b], cpu[a:b]) for a, b in pairwise(edges)]
    for column in range(3):
        got = np.concatenate([part[column] for part in parts]).tolist()
        assert got == [step[column] for step in want]
    assert (fast.used, fast.allocated) == (len(slow.place), len(slow.clusters))


@pytest.mark.parametrize("engine", ENGINES)
def test_full_device_is_an_error_and_keeps_its_state(engine: Engine) -> None:
    with using_engine(engine):
        clusters = PhysicalClusters(slots=6, cpus=2, cluster=4)
        with pytest.raises(SpaceError, match="all 5 slots"):
            clusters.feed([False] * 6, range(6), [0, 1] * 3)
        assert (clusters.used, clusters.used_clusters) == (5, 2)
        slot, change = clusters.feed([True, False], [3, 9], [0, 0])
    assert slot[0] == slot[1]
    assert change.tolist() == [0, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_device_that_fills_inside_a_long_run(engine: Engine) -> None:
    with using_engine(engine):
        clusters = PhysicalClusters(slots=60, cpus=2, cluster=8)
        clusters.feed([False], [99], [1])
        with pytest.raises(SpaceError, match="all 59 slots"):
            clusters.feed([False] * 70, range(70), [0] * 70)
        assert (clusters.used, clusters.used_clusters) == (59, 8)
        slot, _ = clusters.feed([True] * 58, range(58), [0] * 58)
    # CPU 1 has the cluster that it took first; its other slots are stolen last.
    assert slot.tolist() == [*range(8, 60), *range(2, 8)]


@pytest.mark.parametrize("engine", ENGINES)
def test_contradictory_ops_are_refused(engine: Engine) -> None:
    with using_engine(engine):
        for clusters in (PhysicalClusters(64, 1, 8), VirtualClusters(1, 8)):
            clusters.feed([False], [1], [0])
            with pytest.raises(ValueError, match="allocated twice"):
                clusters.feed([False], [1], [0])
            with pytest.raises(ValueError, match="holds nothing"):
                clusters.feed([True], [0], [0])
            with pytest.raises(ValueError, match="cpu 1 of 1"):
                clusters.feed([True], [1], [1])


def test_first_slots_of_a_32_gib_device() -> None:
    clusters = PhysicalClusters(slots=8 << 20, cpus=2)
    slot, change = clusters.feed([False] * 4, range(4), [0, 1, 0, 1])
    assert slot.tolist() == [1, 512, 2, 513]
    assert change.tolist() == [1, 1, 0, 0]


def test_storage_of_virtual_clusters_follows_the_live_ones() -> None:
    clusters = VirtualClusters(cpus=1, cluster=4)
    lists, walk = ListVirtual(1, 4), LoopVirtual(1, 4)
    for form in (lists, walk):
        clusters._space = form
        for _ in range(50):
            clusters.feed([False] * 400, range(400), [0] * 400)
            if form is lists:
                assert len(lists._free_of) == 100  # of up to 5000 ever allocated
            clusters.feed([True] * 400, range(400), [0] * 400)
        assert clusters.allocated == 0
    assert len(lists._free_of) == 0
    assert len(walk._count) == 128  # those of one round, grown by doubling
