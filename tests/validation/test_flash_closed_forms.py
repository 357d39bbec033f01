"""Write amplification of the flash log's cleaner against what is known in closed form.

Greedy: P. Desnoyers, "Analytic modeling of SSD write performance", SYSTOR 2012. FIFO: the same with infinite blocks;
X. Xiang and B. Kurkoski, arXiv:1110.4245. Cost-benefit has none; Rosenblum and Ousterhout, 1992, say what it is for.
"""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from swaptrace.kernels.flashlog import DROP, STORE, FlashLog, Gc
from swaptrace.kernels.loop import Engine, using_engine
from tests.engines import COMPILED, ENGINES
from tests.validation.test_ftl_closed_forms import desnoyers_greedy, lambert_w0


def fifo(alpha: float) -> float:
    """Write amplification of FIFO cleaning with `alpha` = physical / logical pages."""
    return alpha / (alpha + lambert_w0(-alpha * exp(-alpha)))


def log_of(pages: int, segment_pages: int, spare: float, gc: Gc) -> tuple[FlashLog, float]:
    """A log for `pages` live pages, and its alpha. No free segment is kept: the cleaned one is written at once."""
    segments = round(pages * (1 + spare) / segment_pages)
    return FlashLog(segments, segment_pages, segment_pages, 0, gc), segments * segment_pages / pages


def amplification(log: FlashLog, unit: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Pages written by the log per page that the buffer gave it."""
    result = log.feed(np.full(len(unit), STORE), unit)
    return len(result.page) / int(np.count_nonzero(~result.gc))


def uniform(log: FlashLog, live: int, warm_up: int, measured: int) -> float:
    """Fill `live` pages and overwrite them at random; return the write amplification at the end."""
    rng = np.random.default_rng(11)
    amplification(log, np.arange(live))
    amplification(log, rng.integers(0, live, warm_up * live))
    return amplification(log, rng.integers(0, live, measured * live))


def test_formula_gives_the_published_value() -> None:
    assert fifo(1.3) == pytest.approx(2.364, abs=0.0005)


@COMPILED
@pytest.mark.parametrize("gc", [Gc.GREEDY, Gc.FIFO])
@pytest.mark.parametrize("segment_pages", [64, 256])
@pytest.mark.parametrize(("spare", "tolerance"), [(0.07, 0.03), (0.125, 0.02), (0.28, 0.02), (0.5, 0.02), (1.0, 0.02)])
def test_uniform_overwrites_compiled(spare: float, tolerance: float, segment_pages: int, gc: Gc) -> None:
    with using_engine("numba"):
        log, alpha = log_of(1024 * segment_pages, segment_pages, spare, gc)
        got = uniform(log, 1024 * segment_pages, 6, 3)
    expected = desnoyers_greedy(alpha, segment_pages) if gc == Gc.GREEDY else fifo(alpha)
    assert got == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("gc", Gc)
@pytest.mark.parametrize("spare", [0.07, 0.28])
def test_uniform_overwrites_vectorised(spare: float, gc: Gc) -> None:
    """Cost-benefit is close to greedy: all pages are alike, and age says nothing."""
    with using_engine("numpy"):
        log, alpha = log_of(512 * 128, 128, spare, gc)
        got = uniform(log, 512 * 128, 4, 2)
    expected = fifo(alpha) if gc == Gc.FIFO else desnoyers_greedy(alpha, 128)
    assert got == pytest.approx(expected, rel=0.03 if spare < 0.1 else 0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gc", [Gc.GREEDY, Gc.FIFO])
def test_frees_lower_the_utilisation(engine: Engine, gc: Gc) -> None:
    """With a quarter of the pages freed, alpha is physical / live pages."""
    segment_pages, pages = 128, 256 * 128
    live = pages * 3 // 4
    with using_engine(engine):
        log, alpha = log_of(pages, segment_pages, 0.07, gc)
        amplification(log, np.arange(pages))
        log.feed(np.full(pages - live, DROP), np.arange(live, pages))
        assert log.live + log.buffered == live
        got = uniform(log, live, 5, 4)
    alpha *= pages / live
    expected = desnoyers_greedy(alpha, segment_pages) if gc == Gc.GREEDY else fifo(alpha)
    assert got == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gc", Gc)
def test_sequential_overwrites_copy_nothing(engine: Engine, gc: Gc) -> None:
    with using_engine(engine):
        log, _ = log_of(100 * 64, 64, 0.07, gc)
        for _ in range(5):
            assert amplification(log, np.arange(100 * 64)) == 1
    assert log.used_segments == 100


@pytest.mark.parametrize("engine", ENGINES)
def test_cost_benefit_pays_where_writes_are_skewed(engine: Engine) -> None:
    """Nine of ten writes go to a tenth of the pages: FIFO copies the cold ones with every round, greedy waits for
    them, and cost-benefit cleans them early, once."""
    rng = np.random.default_rng(3)
    pages, found = 256 * 64, {}
    hot = rng.random(8 * pages) < 0.9
    unit = np.where(hot, rng.integers(0, pages // 10, len(hot)), rng.integers(pages // 10, pages, len(hot)))
    for gc in Gc:
        with using_engine(engine):
            log, _ = log_of(pages, 64, 0.2, gc)
            amplification(log, np.arange(pages))
            amplification(log, unit[: len(unit) // 2])
            found[gc] = amplification(log, unit[len(unit) // 2 :])
    assert found[Gc.COST_BENEFIT] < found[Gc.GREEDY] < found[Gc.FIFO]
