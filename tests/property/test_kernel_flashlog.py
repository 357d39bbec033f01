"""The flash log equals its reference op for op, in each of its forms, wherever batches are cut."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.flashlog import FlashLog
from swaptrace.kernels.flashlog_loop import LoopLog
from swaptrace.kernels.flashlog_vector import VectorLog
from swaptrace.kernels.flashops import DROP, FETCH, PADDING, STORE, FlashResult, Gc, Geometry
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.packlog import PackedLog
from swaptrace.kernels.tables import readable
from swaptrace.model.errors import SpaceError
from tests.engines import COMPILED, ENGINES
from tests.oracle.flashlog import SlowFlashLog

NAMES = {STORE: "store", DROP: "drop", FETCH: "fetch"}
NAME_OF = {Gc.GREEDY: "greedy", Gc.FIFO: "fifo", Gc.COST_BENEFIT: "cost-benefit"}
Array = np.ndarray[Any, Any]
Log = LoopLog | VectorLog
FORMS: dict[str, type[Log]] = {"numba": LoopLog, "interpreted": LoopLog, "vector": VectorLog}


def random_ops(seed: int, n: int, units: int, overwrite: float, skew: float) -> list[tuple[int, int]]:
    """Valid ops over `units` units; `skew` > 1 concentrates them on few."""
    rng = np.random.default_rng(seed)
    live: list[int] = []
    ops = []
    for _ in range(n):
        unit = int(units * rng.random() ** skew)
        x = rng.random()
        if unit not in live:
            live.append(unit)
            ops.append((STORE, unit))
        elif x < overwrite:
            ops.append((STORE, unit))
        elif x < 0.8:
            live.remove(unit)
            ops.append((DROP, unit))
        else:
            ops.append((FETCH, unit))
    return ops


def feed_in_parts(
    log: Log, ops: list[tuple[int, int]], cuts: list[int], now: Array, pressed: Array | None
) -> FlashResult:
    op = readable([op for op, _ in ops], np.uint8)
    unit = readable([unit for _, unit in ops], np.int32)
    press = None if pressed is None else readable(pressed, np.bool_)
    parts = [
        log.feed(op[a:b], unit[a:b], readable(now[a:b], np.int64), None if press is None else press[a:b])
        for a, b in pairwise(cuts)
    ]
    return FlashResult.joined(parts)


def assert_equal_to_reference(result: FlashResult, slow: SlowFlashLog) -> None:
    assert result.hit.tolist() == slow.hits
    assert result.address.tolist() == slow.addresses
    assert result.absorbed.tolist() == slow.absorbed
    places = result.buffered if result.places is None else result.places
    gauges = [np.cumsum(change).tolist() for change in (result.buffered, result.live, result.segments, places)]
    assert list(zip(*gauges, strict=True)) == slow.gauges
    early = np.zeros(len(result.at), np.bool_) if result.early is None else result.early
    writes = zip(*(column.tolist() for column in (result.at, result.page, result.unit, result.gc, early)), strict=True)
    assert list(writes) == slow.writes
    deaths = (result.dead_at, result.dead_before, result.dead_segment)
    assert list(zip(*(column.tolist() for column in deaths), strict=True)) == slow.deaths


@pytest.mark.parametrize("form", [pytest.param("numba", marks=COMPILED), "interpreted", "vector"])
@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.sampled_from([1, 30, 300, 800]),
    geometry=st.builds(
        lambda segments, size, more, reserve, gc, tombstone, timer, low: Geometry(
            segments + reserve, size, size + more, reserve, gc, tombstone, timer, low * (size + more) // 4
        ),
        st.integers(1, 9), st.integers(1, 6), st.sampled_from([0, 0, 1, 3, 12]), st.integers(0, 2),
        st.sampled_from(Gc), st.booleans(), st.sampled_from([0, 0, 1, 5, 40]), st.sampled_from([4, 4, 0, 1, 3]),
    ),
    pressure=st.sampled_from([0.0, 0.0, 0.1, 0.7]),
    load=st.sampled_from([0.2, 0.6, 0.8, 0.95, 1.2]),
    overwrite=st.sampled_from([0.1, 0.5, 0.8]),
    skew=st.sampled_from([1.0, 3.0]),
    chunk=st.sampled_from([7, 64, 4096]),
)  # fmt: skip
def test_equals_reference(
    form: str, seed: int, n: int, geometry: Geometry, load: float, overwrite: float, skew: float, chunk: int,
    pressure: float,
) -> None:  # fmt: skip
    # With a load above 1 the device gets full.
    room = geometry.segment_pages * (geometry.segments - geometry.reserve) + geometry.buffer_pages
    units = max(1, int(load * room))
    ops = random_ops(seed, n, units, overwrite, skew)
    rng = np.random.default_rng(seed)
    cuts = [0, *sorted(rng.integers(0, n + 1, 4).tolist()), n]
    now = np.cumsum(rng.integers(0, 3, n) * rng.choice([1, 1, 1, 20], n))
    pressed = (np.array([op for op, _ in ops]) == STORE) & (rng.random(n) < pressure)
    g = geometry
    timer = g.timer or float("inf")
    slow = SlowFlashLog(
        g.segments, g.segment_pages, g.buffer_pages, g.reserve, NAME_OF[g.gc], g.tombstone, timer, g.low_pages
    )
    log = FORMS[form](geometry)
    if isinstance(log, VectorLog):
        log.chunk = chunk
    with using_engine("numba" if form == "numba" else "numpy"):
        try:
            for (op, unit), time, press in zip(ops, now.tolist(), pressed.tolist(), strict=True):
                slow.step(NAMES[op], unit, time, press)
        except SpaceError:
            with pytest.raises(SpaceError, match="every one of its"):
                feed_in_parts(log, ops, cuts, now, pressed if pressure else None)
            return
        assert_equal_to_reference(feed_in_parts(log, ops, cuts, now, pressed if pressure else None), slow)


HABITS = [
    (0.0, Geometry(38, 256, 400, 2, Gc.GREEDY, False, 0, 400)),
    (0.6, Geometry(38, 256, 400, 2, Gc.FIFO, True, 0, 400)),
    (0.3, Geometry(40, 256, 900, 0, Gc.COST_BENEFIT, False, 2000, 200)),
]


@COMPILED
@pytest.mark.parametrize(("overwrite", "geometry"), HABITS)
def test_forms_are_bit_equal_on_a_long_stream_with_cleaning(overwrite: float, geometry: Geometry) -> None:
    rng = np.random.default_rng(7)
    n, units = 300_000, 8_500
    op, unit = np.zeros(n, np.uint8), rng.integers(0, units, n).astype(np.int32)
    live = np.zeros(units, np.bool_)
    for i, choice in enumerate(rng.random(n)):
        if live[unit[i]] and choice >= overwrite:
            op[i] = DROP if choice < 0.8 else FETCH
        live[unit[i]] = op[i] != DROP
    now = np.cumsum(rng.integers(0, 7, n))
    pressed = (op == STORE) & (np.arange(n) // 10_000 % 3 == 0) if geometry.timer else None
    results = []
    for form in ("numba", "vector"):
        with using_engine("numba"):
            results.append(FORMS[form](geometry).feed(op, unit, now, pressed))
    for field in fields(FlashResult):
        one, two = (getattr(result, field.name) for result in results)
        if one is None:
            assert two is None
            continue
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two, field.name)
    assert results[0].gc.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_gauges_follow_the_ops(engine: Engine) -> None:
    with using_engine(engine):
        log = FlashLog(segments=4, segment_pages=2, buffer_pages=3)
        result = log.feed([STORE] * 3, [5, 6, 7])
        assert (log.buffered, log.live, log.used_segments) == (1, 2, 1)
        assert (result.at.tolist(), result.page.tolist(), result.unit.tolist()) == ([2, 2], [0, 1], [5, 6])
        result = log.feed([FETCH, FETCH, DROP, DROP, STORE], [7, 6, 6, 5, 7])
        assert result.hit.tolist() == [True, False, False, False, False]
        assert result.absorbed.tolist() == [False, False, False, False, True]
        assert (result.dead_at.tolist(), result.dead_segment.tolist()) == ([3], [0])
        assert (log.buffered, log.live, log.used_segments) == (1, 0, 0)
        assert len(log.feed([], []).hit) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_ops_without_a_copy_and_unknown_ops_are_refused(engine: Engine) -> None:
    with using_engine(engine):
        for op, text in ((DROP, "holds nothing"), (FETCH, "holds nothing"), (3, "op 3")):
            log = FlashLog(4, 2, 3)
            log.feed([STORE, STORE, DROP], [0, 1, 1])
            with pytest.raises(ValueError, match=text):
                log.feed([STORE, op], [0, 1])


@pytest.mark.parametrize("sizes", [(2, 4, 3, 1), (2, 4, 4, 2), (3, 0, 4, 0), (3, 4, 4, -1)])
def test_impossible_geometry_is_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="Geometry"):
        FlashLog(*sizes)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("low", "left"), [(None, 12), (10, 10), (9, 8), (0, 0)])
def test_a_full_buffer_is_written_down_to_its_watermark(engine: Engine, low: int | None, left: int) -> None:
    with using_engine(engine):
        log = FlashLog(30, 2, 14, 1, low_pages=low)
        log.feed([STORE] * 14, np.arange(14))
        assert log.buffered == left
        packed = PackedLog(Geometry(30, 2, 14, 1, Gc.GREEDY, False, 0, 14 if low is None else low), False)
        packed.feed([STORE] * 14, np.arange(14), [4096] * 14)
        assert packed.buffered == left


@pytest.mark.parametrize("engine", ENGINES)
def test_under_pressure_less_than_a_segment_waits(engine: Engine) -> None:
    with using_engine(engine):
        log = FlashLog(30, 4, 16, 1)
        result = log.feed([STORE] * 10, np.arange(10), pressed=np.arange(10) == 8)
        assert result.at.tolist() == [8] * 8
        assert log.buffered == 2
        assert (result.unit == np.arange(8)).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tombstone", [False, True])
def test_a_page_that_waited_long_enough_is_written_with_padding(engine: Engine, tombstone: bool) -> None:
    with using_engine(engine):
        log = FlashLog(30, 4, 16, 1, tombstone=tombstone, timer=10)
        result = log.feed([STORE, STORE, DROP, FETCH, FETCH, STORE], [0, 1, 0, 1, 1, 1], [0, 3, 4, 12, 13, 13])
        assert result.hit.tolist() == [False, False, False, True, False, False]
        assert result.address.tolist() == [-1, -1, -1, -1, 0, -1]
        assert result.unit.tolist() == [1, PADDING, PADDING, PADDING]
        assert result.early is not None
        assert (result.at.tolist(), result.early.tolist(), result.padding_bytes) == ([4] * 4, [True] * 4, 3 * 4096)
        assert (result.dead_at.tolist(), result.dead_before.tolist(), log.buffered) == ([5], [4], 1)
        with pytest.raises(ValueError, match="time"):
            log.feed([STORE], [2])
