"""A pool of shared pages small enough to follow by hand, in both engines."""

from __future__ import annotations

import numpy as np
import pytest

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.pool import IN_RAM, NOWHERE, ON_DEVICE, POOLED, Limits
from swaptrace.kernels.shared_pool import SharedFed, SharedPool, SharedRules, new_shared_pool
from swaptrace.model.ops import NOTHING
from tests.engines import ENGINES

OUT, IN, FREE = 0, 1, 2


def fed(pool: SharedPool, *rows: tuple[int, int, int]) -> SharedFed:
    """Run (op, unit, hash) in order; hash 0: none, -1: does not compress. Every page has 40 bytes."""
    op, unit, key = (np.array(column) for column in zip(*rows, strict=True))
    size = np.where(key < 0, -1, 40)
    return pool.feed(
        op.astype(np.uint8), unit.astype(np.int32), size, np.arange(len(op)), key.clip(0).astype(np.uint64), key > 0
    )


def pool_of(limit: int, pin: bool = False, apart: bool = False, low: int | None = None) -> SharedPool:
    rules = SharedRules(lru=False, exclusive=True, pin=pin, apart=apart)
    return new_shared_pool(Limits(limit, limit if low is None else low), rules)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_equal_page_takes_no_bytes_and_lives_as_long_as_an_owner(engine: Engine) -> None:
    with using_engine(engine):
        out = fed(pool_of(400), (OUT, 0, 7), (OUT, 1, 7), (IN, 0, 0), (FREE, 0, 0), (FREE, 1, 0), (OUT, 1, 7))
    assert out.hit.tolist() == [False, True, False, False, False, False]
    assert out.change.tolist() == [40, 0, 0, 0, -40, 40]
    assert out.found.tolist() == [NOWHERE, NOWHERE, POOLED, IN_RAM, POOLED, NOWHERE]
    assert (out.absorbed, out.refs_max, out.saved) == (1, 2, 40)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("apart", [False, True])
def test_a_shared_page_is_written_back_for_all_its_owners(engine: Engine, apart: bool) -> None:
    with using_engine(engine):
        pool = pool_of(80, apart=apart)
        out = fed(pool, (OUT, 5, 7), (OUT, 3, 7), (OUT, 4, 8), (OUT, 6, 9), (OUT, 7, 7))
        assert (out.after.tolist(), out.owner.tolist(), out.freed.tolist()) == ([3, 3, 4], [5, 3, 4], [40, 0, 40])
        assert not out.hit[4]  # the index forgot it
        first, second = out.moved[:2].tolist()
        assert (first == second) != apart
        end = fed(pool, (IN, 5, 0), (FREE, 5, 0), (FREE, 3, 0))
    assert end.found.tolist() == [ON_DEVICE] * 3
    assert end.drop.tolist() == [NOTHING, first if apart else NOTHING, second]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pinned_page_waits_until_one_owner_is_left(engine: Engine) -> None:
    with using_engine(engine):
        pool = pool_of(80, pin=True)
        out = fed(pool, (OUT, 0, 7), (OUT, 1, 7), (OUT, 2, 8), (OUT, 3, 9), (FREE, 0, 0), (OUT, 4, 6), (OUT, 5, 5))
    assert out.pinned.tolist() == [0, 40, 0, 0, -40, 0, 0]
    assert (out.after.tolist(), out.owner.tolist()) == ([3, 5, 6], [2, 3, 1])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_page_that_does_not_compress_replaces_its_old_copy_in_place(engine: Engine) -> None:
    with using_engine(engine):
        out = fed(pool_of(80), (OUT, 0, -1), (OUT, 0, -1), (OUT, 1, -1), (OUT, 0, 7), (FREE, 1, 0))
    assert out.inplace.tolist() == [False, True, False, False, False]
    assert out.block[0] == out.block[1] != out.block[2]
    assert out.drop.tolist() == [NOTHING] * 3 + [out.block[0], out.block[2]]
