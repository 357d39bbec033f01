"""Reshaped streams: links to earlier ops, rows dropped, and writebacks put between, against dicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.reshape import behind, latest, renamed, reshaped
from swaptrace.model.ops import CARRIED, NOTHING, Op, Ops
from tests.engines import ENGINES

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-1, 6)), max_size=60)


@pytest.mark.parametrize("engine", ENGINES)
@given(rows=ROWS)
def test_latest_is_the_marked_row_before_with_the_same_key(engine: Engine, rows: list[tuple[bool, int]]) -> None:
    seen: dict[int, int] = {}
    expected = []
    for i, (mark, key) in enumerate(rows):
        expected.append(seen.get(key, CARRIED))
        if mark:
            seen[key] = i
    with using_engine(engine):
        found = latest(np.array([m for m, _ in rows], bool), np.array([k for _, k in rows], np.int32))
    assert found.tolist() == expected


def stream(ops: list[tuple[int, int, bool]]) -> Ops:
    """Return a stream of (op, handle, new), at the times 0, 10, 20."""
    n = len(ops)
    op, handle, new = (np.array(c) for c in zip(*ops, strict=True))
    none = np.full(n, NOTHING, np.int32)
    top = Ops(
        np.arange(n) * 10, op.astype("u1"), np.arange(n).astype("u2"), handle.astype("i4"), new.astype(bool),
        none, none, np.zeros(n, "u2"), {"memcg": np.arange(n).astype("u8")},
    )  # fmt: skip
    return reshaped(top, np.arange(n), top.op, top.handle, top.new)


@pytest.mark.parametrize("engine", ENGINES)
def test_dropped_rows_leave_no_link(engine: Engine) -> None:
    with using_engine(engine):
        ops = stream([(Op.OUT, 3, True), (Op.OUT, 5, True), (Op.OUT, 3, False), (Op.IN, 3, False), (Op.FREE, 3, False)])
        assert ops.prev.tolist() == [NOTHING, NOTHING, 0, 2, 2]
        assert ops.birth.tolist() == [NOTHING, NOTHING, 0, 0, 0]
        kept = np.array([1, 2, 3, 4])  # the first writeout became nothing: the second begins the object
        less = reshaped(ops, kept, ops.op[kept], ops.handle[kept], np.array([True, True, False, False]))
    assert less.prev.tolist() == [NOTHING, NOTHING, 1, 1]
    assert less.birth.tolist() == [NOTHING, NOTHING, 1, 1]
    assert less.ts.tolist() == [10, 20, 30, 40]
    assert less.columns["memcg"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("engine", ENGINES)
@given(more=st.lists(st.integers(3, 4), max_size=9), second=st.sampled_from([Op.OUT, Op.DUP]), shared=st.booleans())
def test_the_same_rows_under_other_names(engine: Engine, more: list[int], second: int, shared: bool) -> None:
    with using_engine(engine):
        ops = stream([(Op.OUT, 3, True), (Op.OUT, 4, True), *((Op.IN, h, False) for h in more)])
        op, handle, new = (
            ops.op.copy(),
            np.where(ops.handle == 4, 0 if shared else 4, 0).astype(np.int32),
            ops.new.copy(),
        )
        op[1], new[1] = second, second == Op.OUT and not shared
        moved = (handle == 0) if shared else (handle == 4)
        links = ops.prev.tolist(), ops.birth.tolist()
        one, other = renamed(ops, op, handle, new, moved), reshaped(ops, np.arange(len(ops)), op, handle, new)
    for name in ("ts", "op", "cpu", "handle", "new", "sub", "prev", "birth"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert (ops.prev.tolist(), ops.birth.tolist()) == links


@pytest.mark.parametrize("engine", ENGINES)
def test_writebacks_stand_behind_what_caused_them_and_are_what_reads_find(engine: Engine) -> None:
    with using_engine(engine):
        ops = stream([(Op.OUT, 0, True), (Op.OUT, 1, True), (Op.IN, 0, False), (Op.IN, 1, False)])
        ops.store[:] = False  # the pool took them
        more = behind(ops, np.array([1, 1]), np.array([0, 7], np.int32), np.array([0, 7], np.int32))
    assert more.op.tolist() == [Op.OUT, Op.OUT, Op.WRITEBACK, Op.WRITEBACK, Op.IN, Op.IN]
    assert more.handle.tolist() == [0, 1, 0, 7, 0, 1]
    assert more.store.tolist() == [False, False, True, True, False, False]
    assert more.ts.tolist() == [0, 10, 10, 10, 20, 30]
    assert more.prev.tolist() == [NOTHING, NOTHING, 0, CARRIED, 0, 1]
    assert more.stored_at[4] == 2
    assert more.stored_at[5] == CARRIED
    assert not more.shared
