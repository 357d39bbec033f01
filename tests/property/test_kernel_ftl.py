"""The FTL equals its reference in each of its forms, wherever the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.ftl import RESERVE, PageMappedFtl
from swaptrace.kernels.ftl_loop import LoopFtl
from swaptrace.kernels.ftl_vector import VectorFtl
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.tables import Ints
from tests.engines import COMPILED, ENGINES
from tests.oracle.ftl import SlowFtl, slow_blocks

Ftl = LoopFtl | VectorFtl
FORMS: dict[str, type[Ftl]] = {"numba": LoopFtl, "interpreted": LoopFtl, "vector": VectorFtl}


def random_stream(seed: int, n: int, pages: int, trims: float, skew: float) -> Ints:
    rng = np.random.default_rng(seed)
    page = (pages * rng.random(n) ** skew).astype(np.int64)
    return np.where(rng.random(n) < trims, ~page, page)


def counts(ftl: Ftl | PageMappedFtl) -> tuple[int, int, int, int]:
    copies = 0 if isinstance(ftl, PageMappedFtl) else ftl.copied_pages
    flash = ftl.flash_pages if isinstance(ftl, PageMappedFtl) else ftl.host_pages + copies + ftl.padded_pages
    return ftl.host_pages, flash, ftl.erases, ftl.valid


@pytest.mark.parametrize("form", [pytest.param("numba", marks=COMPILED), "interpreted", "vector"])
@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 1200),
    pages=st.integers(1, 60),
    geometry=st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (7, 1), (16, 1), (16, 4), (12, 3)]),
    spare=st.sampled_from([0.0, 0.1, 0.5]),
    fifo=st.booleans(),
    streams=st.integers(1, 4),
    trims=st.sampled_from([0.0, 0.1, 0.5]),
    skew=st.sampled_from([1.0, 4.0]),
    runs=st.booleans(),
)
def test_equals_reference(
    form: str, seed: int, n: int, pages: int, geometry: tuple[int, int], spare: float, fifo: bool, streams: int,
    trims: float, skew: float, runs: bool,
) -> None:  # fmt: skip
    block_pages, program = geometry
    stream = random_stream(seed, n, pages, trims, skew)
    if runs:  # requests of several pages
        stream = np.where(stream >= 0, (stream // 8 * 8 + np.arange(n) % 8) % pages, stream)
    cuts = sorted(np.random.default_rng(seed).integers(0, n + 1, 3).tolist())
    with using_engine("numba" if form == "numba" else "numpy"):
        device = PageMappedFtl(pages, block_pages, spare, program, fifo, streams)
        fast = device._ftl = FORMS[form](pages, device.blocks, block_pages, program, fifo, streams)
        slow = SlowFtl(slow_blocks(pages, block_pages, spare, program, streams), block_pages, program, fifo, streams)
        assert device.blocks == len(slow.content)
        for a, b in pairwise([0, *cuts, n]):
            device.feed(stream[a:b])
            for op in stream[a:b].tolist():
                slow.step(op)
            assert counts(device) == (slow.host_pages, slow.flash_pages, slow.erases, len(slow.place))
        device.finish()
        slow.pad_request()
        assert counts(device) == (slow.host_pages, slow.flash_pages, slow.erases, len(slow.place))
        assert device.padded_pages == slow.padded_pages
    for lpn in range(pages):
        block, page = slow.place.get(lpn, (0, -1))
        assert int(fast._where[lpn]) == block * block_pages + page


@COMPILED
@pytest.mark.parametrize(
    ("trims", "program", "fifo", "streams"),
    [(0.0, 1, False, 1), (0.2, 1, False, 1), (0.1, 1, True, 1), (0.1, 4, False, 2), (0.1, 4, True, 2)],
)
def test_forms_are_bit_equal_on_a_long_stream(trims: float, program: int, fifo: bool, streams: int) -> None:
    stream = random_stream(3, 400_000, 16_384, trims, 2.0)
    forms = []
    with using_engine("numba"):
        for form in ("numba", "vector"):
            ftl = FORMS[form](16_384, 75, 256, program, fifo, streams)
            ftl.feed(stream)
            forms.append(ftl)
    assert counts(forms[0]) == counts(forms[1])
    assert forms[0].copied_pages > 0
    np.testing.assert_array_equal(forms[0]._where, forms[1]._where)
    np.testing.assert_array_equal(forms[0]._held, forms[1]._held)


@pytest.mark.parametrize("engine", ENGINES)
def test_pages_that_the_device_does_not_export_are_refused(engine: Engine) -> None:
    with using_engine(engine):
        ftl = PageMappedFtl(pages=100, block_pages=8, spare=0.1)
        for page in (100, ~100):
            with pytest.raises(ValueError, match="100 pages"):
                ftl.feed([page])
        ftl.feed([99, ~99, 0])
        assert (ftl.host_pages, ftl.flash_pages, ftl.erases, ftl.valid) == (2, 2, 0, 1)


def test_spare_is_the_decimal_number_that_is_written() -> None:
    # In binary, 1000 * 1.1 is a little more than 1100.
    assert PageMappedFtl(pages=1000, block_pages=100, spare=0.1).blocks == 11 + RESERVE
    with pytest.raises(ValueError, match="spare"):
        PageMappedFtl(pages=1000, block_pages=100, spare=-0.1)
