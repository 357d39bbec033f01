"""What zswap refuses, and one pool small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.pool import IN_RAM, NOWHERE, ON_DEVICE, POOLED, Limits, new_pool
from tests.engines import ENGINES
from tests.refusals import refusal, refusal_without_sizes


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("zswap:ram=8GiB", "no share of RAM"),
        ("zswap:batch=16", "never full"),
        ("zswap:order=lru,load=keep", "never full"),
        ("zswap:shrinker=1s,accept=50%", "accept=0.5 cannot act. An unlimited pool is never full."),
        ("zswap:pool=100", "whole number of 4 KiB pages"),
        ("zswap:pool=1MiB,accept=101%", "more than the pool"),
        ("vswap-v6+dedup:scope=device+zswap", "not modelled"),
        ("vswap-v6+dedup:scope=zswap", "no compressed pool"),
        ("vswap-v6+zswap+dedup:index=loose", "not kept there"),
        ("vswap-v6+dedup:shared=pin", "cannot act in a device"),
    ],
)
def test_what_cannot_act_is_refused(spec: str, text: str) -> None:
    assert text in refusal(spec)


def test_a_trace_without_compressed_sizes_says_how_to_record_them() -> None:
    said = refusal_without_sizes("zswap")
    assert "compressed sizes (CLEN)" in said
    assert "csize" in said


@pytest.mark.parametrize("engine", ENGINES)
def test_a_full_pool_is_written_back_from_its_oldest_end(engine: Engine) -> None:
    # objects 0, 1, 2 of 40 bytes: the third store is 20 over the limit of 100, and 80 is the low mark
    with using_engine(engine):
        pool = new_pool(Limits(100, 80), lru=True, exclusive=False)
        op = np.array([0, 0, 1, 0, 1, 1, 2, 2], np.uint8)
        unit = np.array([0, 1, 0, 2, 1, 0, 0, 1], np.int32)
        found, change, after, victims, freed = pool.feed(op, unit, np.full(8, 40), np.arange(8))
    assert found.tolist() == [NOWHERE, NOWHERE, POOLED, NOWHERE, ON_DEVICE, POOLED, POOLED, ON_DEVICE]
    assert change.tolist() == [40, 40, 0, 40, 0, 0, -40, 0]
    assert (after.tolist(), victims.tolist(), freed.tolist()) == ([3], [1], [40])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exclusive_load_leaves_the_content_in_ram(engine: Engine) -> None:
    with using_engine(engine):
        pool = new_pool(Limits(100, 100), lru=False, exclusive=True)
        op, size = np.array([0, 1, 1, 0], np.uint8), np.array([40, 0, 0, 50])
        found, change, *_ = pool.feed(op, np.zeros(4, np.int32), size, np.arange(4))
    assert found.tolist() == [NOWHERE, POOLED, IN_RAM, IN_RAM]
    assert change.tolist() == [40, -40, 0, 50]
