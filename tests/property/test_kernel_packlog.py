"""The packed log equals its reference op for op, wherever batches are cut; with whole pages it is the flash log."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.flashlog import FlashLog
from swaptrace.kernels.flashops import DROP, FETCH, STORE, Gc, Geometry
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.packlog import PackedLog
from swaptrace.model.errors import SpaceError
from tests.engines import ENGINES
from tests.oracle.packlog import SlowPackedLog
from tests.property.test_kernel_flashlog import NAME_OF, NAMES, random_ops

GEOMETRY = st.builds(
    lambda segments, size, more, reserve, gc, tombstone, timer, low: Geometry(
        segments + reserve, size, size + more, reserve, gc, tombstone, timer, low * (size + more) // 4
    ),
    st.integers(1, 8), st.integers(1, 4), st.sampled_from([0, 0, 1, 6]), st.integers(0, 2), st.sampled_from(Gc),
    st.booleans(), st.sampled_from([0, 0, 5, 40]), st.sampled_from([4, 4, 0, 1]),
)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.sampled_from([1, 30, 400]),
    geometry=GEOMETRY,
    aligned=st.booleans(),
    load=st.sampled_from([0.5, 1.0, 1.5, 2.5]),
    overwrite=st.sampled_from([0.1, 0.5, 0.8]),
    pressure=st.sampled_from([0.0, 0.3]),
)
def test_equals_reference(
    engine: Engine, seed: int, n: int, geometry: Geometry, aligned: bool, load: float, overwrite: float, pressure: float
) -> None:
    g, rng = geometry, np.random.default_rng(seed)
    units = max(1, int(load * (g.segment_pages * (g.segments - g.reserve) + g.buffer_pages)))
    ops = random_ops(seed, n, units, overwrite, 1.0)
    op, unit = (np.array(column) for column in zip(*ops, strict=True))
    size = np.where(rng.random(n) < 0.3, 4096, rng.integers(1, 4097, n))
    now = np.cumsum(rng.integers(0, 3, n) * rng.choice([1, 1, 1, 20], n))
    pressed = (op == STORE) & (rng.random(n) < pressure)
    slow = SlowPackedLog(
        g.segments, g.segment_pages, g.buffer_pages, g.reserve, NAME_OF[g.gc], g.tombstone, g.timer or float("inf"),
        g.low_pages, aligned,
    )  # fmt: skip
    full = False
    try:
        for row in zip(op.tolist(), unit.tolist(), size.tolist(), now.tolist(), pressed.tolist(), strict=True):
            slow.step(NAMES[row[0]], *row[1:])
    except SpaceError:
        full = True
    cuts = [0, *sorted(rng.integers(0, n + 1, 4).tolist()), n]
    with using_engine(engine):
        log = PackedLog(geometry, aligned)
        parts, pages = [], 0
        try:
            for a, b in pairwise(cuts):
                parts.append(log.feed(op[a:b], unit[a:b], size[a:b], now[a:b], pressed[a:b] if pressure else None))
        except SpaceError:
            assert full
            return
    assert not full
    gauges, copies, deaths = [], [], []
    for part, (a, _) in zip(parts, pairwise(cuts), strict=True):
        assert part.places is not None
        gauges.append(np.stack([part.buffered, part.live, part.segments, part.places]))
        early = np.zeros(len(part.at), np.bool_) if part.early is None else part.early
        columns = (part.at + a, part.unit, part.size, part.gc, early)
        copies += list(zip(*(column.tolist() for column in columns), strict=True))
        died = (part.dead_at + a, part.dead_before + pages, part.dead_segment)
        deaths += list(zip(*(column.tolist() for column in died), strict=True))
        pages += len(part.page)
    assert np.concatenate([part.hit for part in parts]).tolist() == slow.hits
    assert np.concatenate([part.absorbed for part in parts]).tolist() == slow.absorbed
    assert [tuple(row) for row in np.cumsum(np.concatenate(gauges, axis=1), axis=1).T.tolist()] == slow.gauges
    assert copies == slow.copies
    assert np.concatenate([part.page for part in parts]).tolist() == slow.pages
    assert np.concatenate([part.copies for part in parts]).tolist() == slow.runs
    assert deaths == slow.deaths
    blocks = np.concatenate([part.blocks_read for part in parts]).tolist()
    assert blocks == [block for read in slow.blocks for block in read]
    assert sum(part.padding_bytes for part in parts) == 4096 * len(slow.pages) - sum(size for _, _, size, *_ in copies)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("aligned", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), geometry=GEOMETRY.filter(lambda g: g.gc != Gc.COST_BENEFIT))
def test_whole_pages_make_it_the_flash_log(engine: Engine, aligned: bool, seed: int, geometry: Geometry) -> None:
    g, n = geometry, 400
    ops = random_ops(seed, n, max(1, g.segment_pages * (g.segments - g.reserve) * 3 // 4), 0.5, 1.0)
    op, unit = (np.array(column) for column in zip(*ops, strict=True))
    now = np.arange(n)
    with using_engine(engine):
        pages = FlashLog(
            g.segments, g.segment_pages, g.buffer_pages, g.reserve, g.gc, g.tombstone, g.timer, g.low_pages
        ).feed(op, unit, now)
        packed = PackedLog(g, aligned).feed(op, unit, np.full(n, 4096), now)
    for name in ("hit", "address", "absorbed", "buffered", "live", "segments", "page", "dead_at", "dead_segment"):
        np.testing.assert_array_equal(getattr(packed, name), getattr(pages, name), name)
    places = pages.buffered if pages.places is None else pages.places
    np.testing.assert_array_equal(packed.places, 4096 * places)
    assert (packed.gc_bytes, packed.padding_bytes) == (pages.gc_bytes, pages.padding_bytes)
    np.testing.assert_array_equal(packed.blocks_read, pages.blocks_read)
    assert not packed.two.any()


def test_a_page_across_a_boundary_reads_two_blocks() -> None:
    for aligned, reads, padding in ((False, [0, 0, 1], 2192), (True, [0, 1], 2192)):
        log = PackedLog(Geometry(4, 2, 2, 0, Gc.GREEDY, False, 0, 2), aligned)
        result = log.feed([STORE, STORE, FETCH, FETCH], [0, 1, 0, 1], [3000, 3000, 0, 0])
        assert result.blocks_read.tolist() == reads
        assert (result.padding_bytes, result.copies.tolist()) == (padding, [2])
        dropped = log.feed([DROP, DROP], [0, 1], [0, 0])
        assert (dropped.dead_at.tolist(), dropped.dead_segment.tolist()) == ([1], [0])


@pytest.mark.parametrize(("size", "left"), [(4096, 100), (4000, 0)])
def test_a_flush_passes_dead_places_only_behind_what_it_takes(size: int, left: int) -> None:
    """The last copy fills the segment: the dead place behind it stays. It leaves a rest: the buffer ran out."""
    with using_engine("numpy"):
        log = PackedLog(Geometry(4, 1, 3, 0, Gc.GREEDY, True, 5, 3), False)
        result = log.feed([STORE, STORE, DROP, FETCH], [0, 1, 1, 0], [size, 100, 0, 0], [0, 1, 2, 6])
    assert result.places is not None
    assert np.cumsum(result.places).tolist() == [size, size + 100, size + 100, left]


def test_a_segment_that_would_not_leave_a_block_free_is_passed_over() -> None:
    """3000, 3000 and 2000 B need three blocks, 4000 and 4000 B need two: as many live bytes, but more room."""
    with using_engine("numpy"):
        log = PackedLog(Geometry(3, 3, 3, 1, Gc.GREEDY, False, 0, 3), True)
        log.feed([STORE] * 6 + [DROP], [0, 1, 2, 3, 4, 5, 3], [3000, 3000, 2000, 4096, 4000, 4000, 0])
        result = log.feed([STORE] * 3, [6, 7, 8], [4096, 4096, 100])
    assert (result.unit.tolist(), result.gc.tolist()) == ([4, 5, 6], [True, True, False])
    assert (result.dead_segment.tolist(), result.page.tolist()) == ([1], [6, 7, 8])
