"""The two forms of lives, contents and places give the same, wherever the stream is cut; loops also interpreted."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels import refcounts
from swaptrace.kernels.acts import Act
from swaptrace.kernels.contents_loop import LoopContents
from swaptrace.kernels.contents_state import Contents
from swaptrace.kernels.contents_vector import VectorContents
from swaptrace.kernels.keys import KeyTable
from swaptrace.kernels.lives_loop import LoopLives
from swaptrace.kernels.lives_state import LivesState
from swaptrace.kernels.lives_vector import VectorLives
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.places import LoopPlaces, VectorPlaces, exchanges, turns
from swaptrace.kernels.pool import NEVER, Limits, ListPool, LoopPool
from swaptrace.kernels.pool_vector import VectorPool
from swaptrace.kernels.shared_pool_loop import LoopShared
from swaptrace.kernels.shared_pool_state import SharedRules
from swaptrace.kernels.shared_pool_vector import VectorShared
from swaptrace.kernels.stale_loop import LoopStale
from swaptrace.kernels.stale_state import StaleTaken
from swaptrace.kernels.stale_vector import VectorStale
from swaptrace.kernels.tiering_lists import ListTiering
from swaptrace.kernels.tiering_loop import LoopTiering
from swaptrace.model.errors import SpaceError
from swaptrace.model.ops import NOTHING, Op, Ops
from swaptrace.replay.objects import Objects
from tests.engines import ENGINES
from tests.streams import MemoryTrace, random_trace

seeds = st.integers(0, 2**32)
cut_marks = st.lists(st.integers(1, 799), max_size=5)


def bounds(cuts: list[int], n: int) -> list[tuple[int, int]]:
    return list(pairwise([0, *sorted(set(cuts)), n]))


def lives(form: LivesState, seed: int, cuts: list[int], engine: Engine) -> list[list[object]]:
    r = np.random.default_rng(seed)
    n, handles = 800, 30
    op = r.choice([0, 0, 1, 2, 3], n).astype(np.uint8)
    handle, page = r.integers(0, handles, n, np.int32), r.integers(0, 3, n)
    seen: list[list[object]] = []
    form.grow(handles)
    with using_engine(engine):
        for a, b in bounds(cuts, n):
            lived = form.feed(op[a:b], handle[a:b], page[a:b])
            source = np.arange(b - a) if lived.source is None else lived.source
            arrays = (lived.op, lived.handle, lived.new, lived.prev, lived.birth, source, form.live)
            seen.append([*(array.tolist() for array in arrays), lived.stale])
    return seen


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_marks)
def test_lives(engine: Engine, seed: int, cuts: list[int]) -> None:
    assert lives(LoopLives(), seed, cuts, engine) == lives(VectorLives(), seed, cuts, "numpy")


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_marks)
def test_last_accesses_before_unseen_ends(engine: Engine, seed: int, cuts: list[int]) -> None:
    found: list[list[int]] = []
    forms: list[tuple[LivesState, Engine]] = [(LoopLives(), engine), (VectorLives(), "numpy")]
    for form, chosen in forms:
        r = np.random.default_rng(seed)
        op, handle = r.choice([0, 0, 1, 2], 800).astype(np.uint8), r.integers(0, 30, 800, np.int32)
        rows: list[int] = []
        form.grow(30)
        with using_engine(chosen):
            for a, b in bounds(cuts, 800):
                rows += form.last_accesses(op[a:b], handle[a:b], np.zeros(b - a, np.int64), np.arange(a, b)).tolist()
        found.append(sorted(rows))
    assert found[0] == found[1]


def ops_of(trace: MemoryTrace, cuts: list[int]) -> list[Ops]:
    objects = Objects(("hash", "memcg"))
    names = ("ts", "kind", "cause", "backend", "cpu", "tgid", "owner_tgid", "swap_type", "dev", "slot", "va", "sub")
    batches = trace.cut(cuts).batches([*names, "hash", "memcg"])
    return [ops for events in batches for ops in objects.feed(events)]


def contents(form: Contents, places: LoopPlaces | VectorPlaces, batches: list[Ops], engine: Engine) -> list[object]:
    """What a content index and the places of its blocks say, with blocks named by the op that began them."""
    seen: list[object] = []
    name: dict[int, int] = {}
    at = slot = 0
    with using_engine(engine):
        for ops in batches:
            taken = form.feed(ops)
            ops.store = ops.store & ~taken.hit
            ops.block, ops.drop, ops.inplace, ops.stored_at = taken.block, taken.drop, taken.inplace, taken.stored_at
            who = turns(ops)
            giving, mover, cpu = exchanges(ops, who)
            slots = np.arange(slot, slot + len(giving))
            where, change = places.feed(ops, who, slots, np.where(giving, 1, 3).astype(np.int8))
            slot += len(giving)
            seen.append((giving.tolist(), cpu.tolist(), change.tolist()))
            seen.append(ops.drop[ops.drop != NOTHING].tolist() == mover[giving].tolist())
            for i in range(len(ops)):
                gone = name.pop(int(ops.drop[i]), None)
                if ops.store[i] and not ops.inplace[i]:
                    name[int(ops.block[i])] = at
                block = name.get(int(ops.block[i])) if ops.op[i] in (Op.OUT, Op.IN) else None
                seen.append(
                    (gone, block, bool(taken.hit[i]), bool(ops.inplace[i]), int(taken.unique[i]), int(where[i]))
                )
                at += 1
            if isinstance(taken, StaleTaken):
                seen.append((taken.stale_hit.tolist(), taken.stale.tolist()))
            handles, blocks = form.holders()
            held = [(h, name[block]) for h, block in zip(handles.tolist(), blocks.tolist(), strict=True)]
            seen.append((taken.unhashed, taken.refs_max, sorted(held)))
    return seen


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=15, deadline=None)
@given(seed=seeds, cuts=cut_marks, kinds=st.sampled_from([3, 40]))
def test_contents_and_places(engine: Engine, seed: int, cuts: list[int], kinds: int) -> None:
    trace = random_trace(seed, 800, contents=kinds, rewrites=0.2, live=200)
    loop = contents(LoopContents(), LoopPlaces(), ops_of(trace, cuts), engine)
    assert loop == contents(VectorContents(), VectorPlaces(), ops_of(trace, cuts), "numpy")


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    cuts=cut_marks,
    kinds=st.sampled_from([3, 40]),
    live=st.sampled_from([20, 200]),
    unhashed=st.sampled_from([0.02, 0.3]),
    tick=st.sampled_from([1, 100]),
    ttl=st.sampled_from([0, 50, 1000, 1 << 62]),
    capacity=st.sampled_from([0, 3, 20, 1000]),
    room=st.sampled_from([10, 50, 150, 1 << 62]),
)
def test_contents_that_are_forgotten_late(
    engine: Engine, seed: int, cuts: list[int], kinds: int, live: int, unhashed: float, tick: int, ttl: int,
    capacity: int, room: int,
) -> None:  # fmt: skip
    trace = random_trace(seed, 800, contents=kinds, rewrites=0.2, live=live, unhashed=unhashed)
    trace.columns["ts"] -= trace.columns["ts"] % tick
    with patch.object(refcounts, "KeyTable", partial(KeyTable, 6)):  # so small that it is built again
        loop, vector = LoopStale(ttl, capacity), VectorStale(ttl, capacity)
    loop.room = vector.room = room
    assert contents(loop, LoopPlaces(), ops_of(trace, cuts), engine) == contents(
        vector, VectorPlaces(), ops_of(trace, cuts), "numpy"
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_keys_keep_their_numbers_and_their_values(engine: Engine) -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 300, np.uint64)
    with using_engine(engine):
        table = KeyTable(10)
        first, again = table.number(np.append(keys, keys)), table.number(keys[::-1])
        moved = table.rebuild(np.isin(np.arange(len(table)), first[:100]), 5000)
    assert np.array_equal(first[:300], first[300:])
    assert np.array_equal(again[::-1], first[:300])
    assert len(np.unique(first)) == 300
    assert np.array_equal(table.keys(moved[first[:100]]), keys[:100])
    assert (moved[first[100:300]] == -1).all()


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_marks, exclusive=st.booleans(), lru=st.booleans())
def test_pools_that_are_never_written_back(
    engine: Engine, seed: int, cuts: list[int], exclusive: bool, lru: bool
) -> None:
    r = np.random.default_rng(seed)
    op, unit, size = r.integers(0, 4, 800, np.uint8), r.integers(0, 30, 800, np.int32), r.integers(-1, 9, 800)
    size[size == 0] = -1
    limits, ts = Limits(NEVER, NEVER), np.arange(800)
    loop, lists = LoopPool(limits, lru, exclusive), ListPool(limits, lru, exclusive)
    vector = VectorPool(exclusive)
    with using_engine(engine):
        for a, b in bounds(cuts, 800):
            loop_did, list_did, vector_did = (
                [each.tolist() for each in pool.feed(op[a:b], unit[a:b], size[a:b], ts[a:b])]
                for pool in (loop, lists, vector)
            )
            assert vector_did == list_did == loop_did


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=cut_marks, exclusive=st.booleans(), lru=st.booleans())
def test_pools_with_shared_blocks_that_are_never_written_back(
    engine: Engine, seed: int, cuts: list[int], exclusive: bool, lru: bool
) -> None:
    r = np.random.default_rng(seed)
    op, unit = r.choice([0, 0, 1, 2, 3], 800).astype(np.uint8), r.integers(0, 30, 800, np.int32)
    key, known, ts = r.integers(0, 12, 800, np.uint64), r.random(800) < 0.8, np.arange(800)
    size = np.where(r.random(800) < 0.3, -1, 1 + key.astype(np.int64))  # a content may not be sized everywhere
    loop = LoopShared(Limits(NEVER, NEVER), SharedRules(lru, exclusive, pin=False, apart=False))
    vector = VectorShared(exclusive)
    names: tuple[dict[int, int], dict[int, int]] = ({}, {})  # of blocks: the op that began them
    for a, b in bounds(cuts, 800):
        rows = op[a:b], unit[a:b], size[a:b], ts[a:b], key[a:b] << np.uint64(60), known[a:b]
        with using_engine(engine):
            did = loop.feed(*rows), vector.feed(*rows)
        for i in range(b - a):
            seen = []
            for fed, name in zip(did, names, strict=True):
                gone, block = name.get(int(fed.drop[i])), int(fed.block[i])
                if op[a + i] == 0 and not fed.hit[i] and not fed.inplace[i]:
                    name[block] = a + i
                seen.append((gone, name.get(block)))
            assert seen[0] == seen[1]
        for field in (
            "found",
            "hit",
            "change",
            "blocks",
            "pinned",
            "inplace",
            "absorbed",
            "refs_max",
            "saved",
            "after",
        ):
            one, other = (np.asarray(getattr(fed, field)) for fed in did)
            assert (one.dtype, one.tolist()) == (other.dtype, other.tolist()), field


Acted = list[tuple[list[int] | int, ...]]


def acts(
    form: LoopTiering | ListTiering, masks: list[int], seed: int, cuts: list[int], engine: Engine, tick: int
) -> Acted:
    """What happens to 60 blocks that come, are touched and go; None behind it where the tiers are full."""
    r = np.random.default_rng(seed)
    n, held = 800, np.zeros(60, np.bool_)
    ts, block = np.cumsum(r.integers(0, 3, n)), r.integers(0, 60, n, np.int32)
    ts -= ts % tick
    allowed = r.choice(masks, n, p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8)
    gives, takes, stores, fetches = (np.zeros(n, np.bool_) for _ in range(4))
    stored, latest = np.full(n, -1, np.int32), np.full(60, -1)
    for i, b in enumerate(block):
        gives[i] = held[b] and r.random() < 0.3
        takes[i] = (not held[b] or gives[i]) and r.random() < 0.7
        held[b] = takes[i] or (held[b] and not gives[i])
        stores[i] = held[b] and (takes[i] or r.random() < 0.3) and r.random() < 0.9
        fetches[i] = held[b] and not stores[i] and r.random() < 0.6
        stored[i] = latest[b]
        if takes[i] or stores[i]:
            latest[b] = i
    seen: Acted = []
    with using_engine(engine):
        try:
            for a, b in bounds(cuts, n):
                did = form.feed(
                    ts[a:b], gives[a:b], takes[a:b], stores[a:b], fetches[a:b], block[a:b], block[a:b], allowed[a:b],
                    np.maximum(stored[a:b] - np.int32(a), -1),
                )  # fmt: skip
                did.since[(did.act != Act.STORE) & (did.act != Act.FETCH)] = -1
                seen.append(
                    (*(each.tolist() for each in (did.at, did.act, did.block, did.tier, did.since)), int(did.overflows))
                )
        except SpaceError:
            seen.append(())
    return seen


@pytest.mark.parametrize("form", [ListTiering, LoopTiering])
def test_of_blocks_idle_since_the_same_time_the_one_touched_first_moves_first(
    form: type[ListTiering | LoopTiering],
) -> None:
    takes = np.array([True, True, False, True])
    block, every = np.array([1, 2, 1, 3], np.int32), np.full(4, 0b11, np.uint8)
    no = np.zeros(4, np.bool_)
    did = form([5, 5], 10).feed(
        np.array([7, 7, 7, 17]), no, takes, no, ~takes, block, block, every, np.array([-1, -1, 0, -1], np.int32)
    )
    assert did.block[did.act == Act.ARRIVE].tolist() == [2, 1]  # the latest touch of 1 came behind that of 2


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    cuts=cut_marks,
    age=st.sampled_from([0, 1, 2, 5, 20, 200]),
    capacity=st.one_of(
        st.tuples(st.just(10), st.integers(1, 40), st.just(45)),
        st.tuples(st.integers(5, 15), st.integers(5, 15), st.integers(1, 40), st.just(45)),
    ),
    tick=st.sampled_from([1, 100]),
)
def test_tiering(engine: Engine, seed: int, cuts: list[int], age: int, capacity: tuple[int, ...], tick: int) -> None:
    masks = [0b111, 0b110, 0b011, 0b010] if len(capacity) == 3 else [0b1111, 0b1101, 0b0101, 0b1110]
    lists = acts(ListTiering([*capacity], age), masks, seed, cuts, "numpy", tick)
    assert lists == acts(LoopTiering([*capacity], age), masks, seed, cuts, engine, tick)
