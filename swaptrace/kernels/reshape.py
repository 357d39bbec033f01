"""Streams of ops that a stage reshapes: without ops that never become swap, retyped, or with ops put between.

Rule. The new stream obeys what every stream obeys: an object begins with an OUT that is ``new``, later OUTs rewrite it,
at most one FREE ends it. ``prev`` is an object's latest OUT before an op, ``birth`` the one that began it; both are
CARRIED where that lies in an earlier batch, and NOTHING where the op itself begins the object.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.grouped import Grouped
from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, readable
from swaptrace.model.ops import CARRIED, NOTHING, Backing, Op, Ops

__all__ = ["behind", "latest", "renamed", "reshaped"]


def reshaped(ops: Ops, source: Ints, op: Bytes, handle: Ints32, new: Bools, moved: Bools | None = None) -> Ops:
    """Return the stream whose row i is an ``op[i]`` on ``handle[i]``, at the time and with the columns of row
    ``source[i]`` of ``ops`` (int64[m], ascending). No stage has annotated it yet.

    ``moved`` marks the rows of handles that have ops which are not what they were, or were another's (None: any may
    be). The other rows keep their earlier ops, wherever these are now: that saves time where few have moved.
    """
    if moved is None:
        prev, birth = latest(op == Op.OUT, handle), latest(new, handle)
    else:
        place = np.empty(len(ops), np.int32)
        place[source] = np.arange(len(source), dtype=np.int32)  # where a row has several, its own is the last
        prev, birth = (_followed(links[source], place) for links in (ops.prev, ops.birth))
        _link(prev, birth, op, handle, new, np.flatnonzero(moved))
    begins = np.flatnonzero(new)
    prev[begins] = birth[begins] = NOTHING
    columns = {name: values[source] for name, values in ops.columns.items()}
    return Ops(ops.ts[source], op, ops.cpu[source], handle, new, prev, birth, ops.sub[source], columns)


def renamed(ops: Ops, op: Bytes, handle: Ints32, new: Bools, moved: Bools) -> Ops:
    """Return the stream that :func:`reshaped` makes of the same rows, none left out or put in."""
    prev, birth = ops.prev, ops.birth
    rows = np.flatnonzero(moved)
    if len(rows):
        prev, birth = prev.copy(), birth.copy()
        _link(prev, birth, op, handle, new, rows)
        begins = rows[new[rows]]
        prev[begins] = birth[begins] = NOTHING
    return Ops(ops.ts, op, ops.cpu, handle, new, prev, birth, ops.sub, ops.columns)


def _followed(links: Ints32, place: Ints32) -> Ints32:
    """Return ``links`` to old rows as links to ``place``."""
    inside = np.flatnonzero(links >= 0)
    links[inside] = place[links[inside]]
    return links


def _link(prev: Ints32, birth: Ints32, op: Bytes, handle: Ints32, new: Bools, rows: Ints) -> None:
    """Overwrite the links of ``rows`` with what is found among these."""
    for links, mark in ((prev, op == Op.OUT), (birth, new)):
        among = latest(mark[rows], handle[rows])
        links[rows] = among
        found = among >= 0
        links[rows[found]] = rows[among[found]]


def behind(ops: Ops, after: Ints, handle: Ints32, block: Ints32, again: Bools | None = None) -> Ops:
    """Return ``ops`` with WRITEBACKs put directly behind the ops ``after`` (int64[k], ascending), in order.

    Each stores ``block`` of the object ``handle`` as a page of its own, but for those marked in ``again``: they write
    nothing, their block, SHARED, is already written. The annotations of the other ops stay, but for ``stored_at``: it
    is the latest store of the op's block, these included.
    """
    n, k = len(ops), len(after)
    source = np.insert(np.arange(n), after + 1, after)
    added = np.zeros(n + k, np.bool_)
    added[after + 1 + np.arange(k)] = True
    op, handles = ops.op[source], ops.handle[source]
    op[added], handles[added] = Op.WRITEBACK, handle
    made = reshaped(ops, source, op, handles, ops.new[source] & ~added)
    for name in ("backing", "store", "fetch", "drop", "inplace"):
        setattr(made, name, getattr(ops, name)[source])
    made.backing[added], made.fetch[added], made.inplace[added] = 0, False, False
    made.drop[added], made.store[added] = NOTHING, True
    if again is not None:
        made.store[added] = ~again
        made.backing[added] = again * np.uint8(Backing.SHARED)
    made.sub[added] = 0
    if ops.shared:
        made.block = ops.block[source]
        made.block[added] = block
    made.stored_at = latest(made.store, made.block)
    return made


def latest(mark: Bools, key: Ints32) -> Ints32:
    """Return for each row the latest row before it that is marked and has the same key, CARRIED if there is none."""
    found = np.full(len(key), CARRIED, np.int32)
    if len(key) == 0:
        return found
    if engine_name() == "numba":
        table = np.full(int(key.max()) + 2, CARRIED, np.int32)  # a key may be -1: none
        _follow(readable(mark, np.bool_), readable(key, np.int32), found, table)
        return found
    group = Grouped(key + np.int32(1))
    before = group.before(mark[group.row])
    known = np.flatnonzero(before >= 0)
    found[group.row[known]] = group.row[before[known]]
    return found


@loop
def _follow(mark: Bools, keys: Ints32, found: Ints32, latest_of: Ints32) -> Any:
    for i in range(len(mark)):
        k = keys[i] + 1
        found[i] = latest_of[k]
        if mark[i]:
            latest_of[k] = i
