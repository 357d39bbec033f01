"""Writebacks of the zswap pool equal the evictions of an independent cache simulator, cachetools, on one stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cachetools import Cache, FIFOCache, LRUCache

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.pool import POOLED, Limits, new_pool
from tests.engines import ENGINES


def _watched(kind: Any, evicted: list[int], limit: int) -> Cache[int, int]:
    class Watched(kind):  # type: ignore[misc]
        def popitem(self) -> tuple[int, int]:
            key, value = super().popitem()
            evicted.append(key)
            return key, value

    made: Cache[int, int] = Watched(limit, getsizeof=lambda size: size)
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "lru"), [(FIFOCache, False), (LRUCache, True)])
def test_writebacks_are_the_evictions_of_cachetools(engine: Engine, kind: Any, lru: bool) -> None:
    r = np.random.default_rng(11)
    n, limit = 30_000, 400_000
    op = r.choice(3, n, p=[0.5, 0.4, 0.1]).astype(np.uint8)
    unit = (3000 * r.random(n) ** 2).astype(np.int32)
    size = r.integers(32, 4096, n)
    evicted: list[int] = []
    cache = _watched(kind, evicted, limit)
    held = []
    for code, u, new in zip(op.tolist(), unit.tolist(), size.tolist(), strict=True):
        held.append(u in cache)
        if code == 1:
            cache.get(u)
            continue
        if u in cache:
            del cache[u]  # a stored page that is written again, or freed, leaves the pool first
        if code == 0:
            cache[u] = new
    with using_engine(engine):
        pool = new_pool(Limits(limit, limit), lru, exclusive=False)
        ts = np.arange(n)
        cuts = [slice(i, i + 700) for i in range(0, n, 700)]
        parts = [pool.feed(op[cut], unit[cut], size[cut], ts[cut]) for cut in cuts]
    assert len(evicted) > 3000
    assert np.concatenate([part[3] for part in parts]).tolist() == evicted
    assert (np.concatenate([part[0] for part in parts]) == POOLED).tolist() == held
