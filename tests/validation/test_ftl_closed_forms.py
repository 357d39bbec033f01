"""Write amplification of the FTL against what is known in closed form.

Greedy, uniform random overwrites: P. Desnoyers, "Analytic modeling of SSD write performance", SYSTOR 2012. First in,
first out: L. Xiang and B. Kurkoski, arXiv:1110.4245. Hot and cold data that lie apart: the sum of the forms of each.
"""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from swaptrace.kernels.ftl import RESERVE, PageMappedFtl
from swaptrace.kernels.loop import Engine, using_engine
from tests.engines import COMPILED, ENGINES


def lambert_w0(z: float) -> float:
    """The principal solution of w * exp(w) = z, for -1/e < z <= 0, where the iteration contracts."""
    w = 0.0
    for _ in range(5000):
        w = z * exp(-w)
    return w


def desnoyers_greedy(alpha: float, block_pages: int) -> float:
    """Write amplification of greedy cleaning with `alpha` = physical / logical pages."""
    b = 1 + 1 / (2 * block_pages)
    x0 = 0.5 - block_pages / alpha * lambert_w0(-b * alpha * exp(-b * alpha))
    return block_pages / (block_pages - (x0 - 1))


def fifo(alpha: float) -> float:
    """Write amplification if the block that was closed first is collected."""
    return alpha / (alpha + lambert_w0(-alpha * exp(-alpha)))


def test_formula_gives_the_published_limit() -> None:
    """Xiang & Kurkoski, arXiv:1110.4245: 30 % over-provisioning and large blocks give 2.36."""
    assert desnoyers_greedy(1.3, 1 << 20) == pytest.approx(2.36, abs=0.005)
    assert fifo(1.3) == pytest.approx(2.36, abs=0.005)


def uniform_overwrites(ftl: PageMappedFtl, warm_up: int, measured: int, logical: int) -> float:
    """Fill the first `logical` pages, overwrite them at random; return the write amplification at the end."""
    rng = np.random.default_rng(11)
    ftl.feed(np.arange(logical))
    ftl.feed(rng.integers(0, logical, warm_up * logical))
    host, flash = ftl.host_pages, ftl.flash_pages
    ftl.feed(rng.integers(0, logical, measured * logical))
    return (ftl.flash_pages - flash) / (ftl.host_pages - host)


CASES = [(0.07, 0.03), (0.125, 0.02), (0.28, 0.02), (0.5, 0.02), (1.0, 0.02)]


@COMPILED
@pytest.mark.parametrize("block_pages", [64, 256])
@pytest.mark.parametrize(("spare", "tolerance"), CASES)
def test_uniform_overwrites_compiled(spare: float, tolerance: float, block_pages: int) -> None:
    pages = 1024 * block_pages
    with using_engine("numba"):
        ftl = PageMappedFtl(pages, block_pages, spare)
        got = uniform_overwrites(ftl, 6, 3, pages)
    alpha = (ftl.blocks - RESERVE) * block_pages / pages
    assert got == pytest.approx(desnoyers_greedy(alpha, block_pages), rel=tolerance)


@COMPILED
@pytest.mark.parametrize(("oldest_first", "streams"), [(True, 1), (True, 2), (False, 2), (False, 4)])
@pytest.mark.parametrize(("spare", "tolerance"), CASES)
def test_collectors_and_streams_compiled(spare: float, tolerance: float, oldest_first: bool, streams: int) -> None:
    """Uniformly written pages are all alike: parting them by their copies changes nothing."""
    block_pages = 64
    pages = 1024 * block_pages
    with using_engine("numba"):
        ftl = PageMappedFtl(pages, block_pages, spare, fifo=oldest_first, streams=streams)
        got = uniform_overwrites(ftl, 6, 3, pages)
    alpha = (ftl.blocks - RESERVE - streams + 1) * block_pages / pages
    expected = fifo(alpha) if oldest_first else desnoyers_greedy(alpha, block_pages)
    assert got == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("cold", [0.25, 0.8])
def test_cold_pages_that_lie_apart_cost_only_their_room(engine: Engine, cold: float, streams: int) -> None:
    """Perfect separation: the hot pages have all of the spare blocks, the cold ones are never copied."""
    block_pages = 64
    pages = 512 * block_pages
    hot = round(pages * (1 - cold))
    with using_engine(engine):
        ftl = PageMappedFtl(pages, block_pages, 0.28, streams=streams)
        ftl.feed(np.arange(pages)[::-1])
        got = uniform_overwrites(ftl, 8, 4, hot)
    alpha = ((ftl.blocks - RESERVE - streams + 1) * block_pages - (pages - hot)) / hot
    assert got == pytest.approx(desnoyers_greedy(alpha, block_pages), rel=0.02)


@pytest.mark.parametrize(("spare", "tolerance"), [(0.07, 0.03), (0.28, 0.02)])
def test_uniform_overwrites_vectorised(spare: float, tolerance: float) -> None:
    pages = 512 * 128
    with using_engine("numpy"):
        ftl = PageMappedFtl(pages, 128, spare)
        got = uniform_overwrites(ftl, 6, 3, pages)
    alpha = (ftl.blocks - RESERVE) * 128 / pages
    assert got == pytest.approx(desnoyers_greedy(alpha, 128), rel=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("oldest_first", [False, True])
def test_trim_lowers_the_effective_utilisation(engine: Engine, oldest_first: bool) -> None:
    """With a quarter of the logical pages trimmed, alpha is physical / live pages."""
    pages, block_pages = 256 * 128, 128
    live = pages * 3 // 4
    with using_engine(engine):
        ftl = PageMappedFtl(pages, block_pages, 0.07, fifo=oldest_first)
        ftl.feed(np.arange(pages))
        ftl.feed(~np.arange(live, pages))
        assert ftl.valid == live
        got = uniform_overwrites(ftl, 6, 4, live)
    alpha = (ftl.blocks - RESERVE) * block_pages / live
    expected = fifo(alpha) if oldest_first else desnoyers_greedy(alpha, block_pages)
    assert got == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
def test_trims_between_writes_lower_it_too(engine: Engine) -> None:
    """Random live pages are trimmed and as many others written, again and again: three quarters are always live."""
    pages, block_pages, chunk = 256 * 64, 64, 64
    rng = np.random.default_rng(5)
    order = rng.permutation(pages)
    live, dead = order[: pages * 3 // 4], order[pages * 3 // 4 :]
    with using_engine(engine):
        ftl = PageMappedFtl(pages, block_pages, 0.07)
        ftl.feed(live)
        host = flash = 0
        for number in range(10 * len(live) // chunk):
            if number == 6 * len(live) // chunk:
                host, flash = ftl.host_pages, ftl.flash_pages
            goes, comes = (rng.choice(len(part), chunk, replace=False) for part in (live, dead))
            ftl.feed(np.append(~live[goes], dead[comes]))
            live[goes], dead[comes] = dead[comes], live[goes]
        got = (ftl.flash_pages - flash) / (ftl.host_pages - host)
    alpha = (ftl.blocks - RESERVE) * block_pages / len(live)
    assert got == pytest.approx(desnoyers_greedy(alpha, block_pages), rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("program", "oldest_first", "streams"), [(1, False, 1), (4, False, 2), (16, True, 1)])
def test_sequential_overwrites_copy_nothing(engine: Engine, program: int, oldest_first: bool, streams: int) -> None:
    with using_engine(engine):
        ftl = PageMappedFtl(64 * 100, 64, 0.07, program, oldest_first, streams)
        for _ in range(5):
            ftl.feed(np.arange(64 * 100))
    assert ftl.flash_pages == ftl.host_pages == 5 * 64 * 100
    assert ftl.erases > 300


@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_takes_whole_program_pages(engine: Engine) -> None:
    """4 KiB at random into program pages of 16 KiB is four times as much; requests of 5 pages take 8."""
    with using_engine(engine):
        single, runs = PageMappedFtl(8192, 64, 1.0, 4), PageMappedFtl(8192, 64, 1.0, 4)
        single.feed(np.arange(0, 4000, 2))
        runs.feed((np.arange(300)[:, None] * 6 + np.arange(5)).ravel())
        for ftl in (single, runs):
            ftl.finish()
    assert (single.host_pages, single.flash_pages, single.padded_pages) == (2000, 8000, 6000)
    assert (runs.host_pages, runs.flash_pages) == (1500, 2400)
