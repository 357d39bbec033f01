"""The two forms of merging give the same, wherever the stream is cut, but for the numbers of entries; these are few."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels import refcounts
from swaptrace.kernels.keys import KeyTable
from swaptrace.kernels.lives import new_lives
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.merging import NO_GIVE, Merging
from swaptrace.kernels.merging_loop import LoopMerging
from swaptrace.kernels.merging_vector import VectorMerging
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.model.ops import Op, Ops
from tests.engines import ENGINES

HANDLES, ROWS = 30, 800


def batches(seed: int, cuts: list[int], own: float, kinds: int) -> list[Ops]:
    """Random lives of a few handles; a share ``own`` of the contents is one of two that the handle has for a time."""
    r = np.random.default_rng(seed)
    op = r.choice([0, 0, 0, 1, 1, 2, 3], ROWS).astype(np.uint8)
    handle, page = r.integers(0, HANDLES, ROWS, np.int32), r.integers(1, 3, ROWS)
    mine = 1000 + 2 * handle + r.integers(0, 2, ROWS) + 2 * HANDLES * (np.arange(ROWS) // 200)
    content = np.where(r.random(ROWS) < own, mine, r.integers(0, kinds, ROWS))
    known, ts = r.random(ROWS) < 0.95, np.cumsum(r.integers(0, 3, ROWS))
    return lived_through(op, handle, page, content, known, ts, cuts)


def lived_through(
    op: Bytes, handle: Ints32, page: Ints, content: Ints, known: Bools, ts: Ints, cuts: list[int]
) -> list[Ops]:
    """The ops that rows turn out to be."""
    lives, made = new_lives(), []
    lives.grow(HANDLES)
    for a, b in pairwise([0, *sorted(set(cuts)), len(op)]):
        lived = lives.feed(op[a:b], handle[a:b], page[a:b])
        rows = (np.arange(b - a) if lived.source is None else lived.source) + a
        if len(rows):
            nothing = np.zeros(len(rows), np.uint16)
            columns = {"hash": content[rows].astype(np.uint64), "has_hash": known[rows]}
            made.append(
                Ops(ts[rows], lived.op, nothing, lived.handle, lived.new, lived.prev, lived.birth, nothing, columns)
            )
    return made


def merged(form: Merging, stream: list[Ops], engine: Engine) -> list[object]:
    """What a form says of every op, with entries named by the op that began them."""
    seen: list[object] = []
    name: dict[int, int] = {}
    most = at = 0
    with using_engine(engine):
        for ops in stream:
            did = form.feed(ops)
            most = max(most, len(name) + int(np.count_nonzero(did.new)))
            assert max(int(did.handle.max()) + 1, form._given_out) <= most
            for i in range(len(ops)):
                entry, left = int(did.handle[i]), None
                if did.give[i] != NO_GIVE:
                    left = name[int(did.given[i])]
                    if did.give[i] == Op.FREE:
                        del name[int(did.given[i])]
                if did.new[i]:
                    assert entry not in name
                    name[entry] = at
                seen.append(
                    (
                        did.op[i],
                        did.give[i],
                        left,
                        name[entry],
                        *(
                            bool(each[i]) if each.dtype == bool else int(each[i])
                            for each in (did.new, did.merged, did.stable, did.changed)
                        ),
                    )
                )
                if did.op[i] == Op.FREE:
                    del name[entry]
                at += 1
            seen.append(int(form._nodes.count.sum()))  # at most one for each entry
    return seen


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, ROWS - 1), max_size=8),
    own=st.sampled_from([0.0, 0.7, 0.95, 1.0]),
    kinds=st.sampled_from([3, 40]),
    lag=st.sampled_from([0, 1, 20, 200, 1 << 40]),
)
def test_merging(engine: Engine, seed: int, cuts: list[int], own: float, kinds: int, lag: int) -> None:
    stream = batches(seed, cuts, own, kinds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refcounts, "KeyTable", lambda: KeyTable(4))  # its numbers change often
        loop, vector = LoopMerging(lag), VectorMerging(lag)
    assert merged(loop, stream, engine) == merged(vector, stream, "numpy")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, ROWS - 1), max_size=8))
def test_contents_with_one_holder_at_a_time_need_no_loop(seed: int, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoopMerging, "_run", None)
        merged(VectorMerging(0), batches(seed, cuts, own=1.0, kinds=1), "numpy")


@pytest.mark.parametrize("form", [LoopMerging, VectorMerging])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cut", range(1, 7))
def test_a_page_that_is_alone_again_and_rewritten_is_read_from_the_device(
    form: type[LoopMerging], engine: Engine, cut: int
) -> None:
    rows = [(Op.OUT, 0), (Op.OUT, 1), (Op.IN, 1), (Op.IN, 0), (Op.FREE, 1), (Op.OUT, 0), (Op.IN, 0)]
    op, handle = np.array(rows).T
    same, known = np.ones(len(rows), np.int64), np.ones(len(rows), np.bool_)
    stream = lived_through(op.astype(np.uint8), handle.astype(np.int32), same, same, known, same, [cut])
    with using_engine(engine):
        merging = form(0)
        became = [code for ops in stream for code in merging.feed(ops).op.tolist()]
    assert became == [Op.OUT, Op.DUP, Op.IN, Op.HIT, Op.PUT, Op.OUT, Op.IN]


@pytest.mark.parametrize("form", [LoopMerging, VectorMerging])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cut", range(1, 5))
def test_a_page_that_was_read_before_it_was_merged_is_read_again(
    form: type[LoopMerging], engine: Engine, cut: int
) -> None:
    rows = [(Op.OUT, 0), (Op.IN, 0), (Op.OUT, 1), (Op.IN, 1), (Op.IN, 0)]
    op, handle = np.array(rows).T
    same, known = np.ones(len(rows), np.int64), np.ones(len(rows), np.bool_)
    stream = lived_through(op.astype(np.uint8), handle.astype(np.int32), same, same, known, same, [cut])
    with using_engine(engine):
        merging = form(0)
        became = [code for ops in stream for code in merging.feed(ops).op.tolist()]
    assert became == [Op.OUT, Op.IN, Op.DUP, Op.IN, Op.IN]
