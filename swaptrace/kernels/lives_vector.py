"""Lives of handles vectorised; the rule is at the head of :mod:`swaptrace.kernels.lives`.

One sort of packed keys groups the ops of a batch by handle in time order; a running maximum carries each handle's
state along its ops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.lives_state import Lived, LivesState
from swaptrace.kernels.pick import Pick
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Op

__all__ = ["VectorLives"]

# What an op does to the liveness of its handle, as it is packed into sort keys and running states.
_KEEPS, _ENDS, _BEGINS = 0, 1, 2
_EFFECT = np.array([_BEGINS, _KEEPS, _ENDS, _KEEPS, _KEEPS], np.uint8)
_STATE_BITS = np.array([0b00, 0b10, 0b11], np.int32)


@dataclass(frozen=True, slots=True)
class _Fates:
    """What n rows turned out to be, before orphans are dropped and proved ends put in."""

    live: Bools  # its handle was live before it
    stale: Bools | None  # it is an OUT that proves an end; None: there is none
    prev: Ints32  # index of the row that is the OUT before it, CARRIED: in an earlier batch
    birth: Ints32


class VectorLives(LivesState):
    """No state of its own."""

    def feed(self, op: Bytes, handle: Ints32, page: Ints) -> Lived:
        """Run rows in order."""
        fate, _ = self._run(op, handle, page, None)
        out = op == Op.OUT
        new = out & ~fate.live
        if fate.stale is not None:
            new |= fate.stale
        keep = out | fate.live
        prev = _nothing_where(new, fate.prev)
        birth = prev if fate.birth is fate.prev else _nothing_where(new, fate.birth)
        if fate.stale is None and keep.all():
            return Lived(op, handle, new, prev, birth, None, 0)
        edit = _Edit(keep, fate.stale)
        prev, birth = edit.links(prev, fate.prev), edit.links(birth, fate.birth)
        op, new, handle = edit.pick.of(op), edit.pick.of(new), edit.pick.of(handle)
        op[edit.frees], new[edit.frees] = Op.FREE, False
        return Lived(op, handle, new, prev, birth, edit.pick.index, len(edit.frees))

    def _proofs(self, op: Bytes, handle: Ints32, page: Ints, row: Ints) -> Ints:
        return self._run(op, handle, page, row)[1]

    def _run(self, op: Bytes, handle: Ints32, page: Ints, row: Ints | None) -> tuple[_Fates, Ints]:
        n = len(op)
        order, unit, sets = _grouped(op, handle)
        first = np.empty(n, np.bool_)
        first[:1] = True
        np.not_equal(unit[1:], unit[:-1], out=first[1:])
        firsts = np.flatnonzero(first)
        carried = self.live[unit[firsts]]
        # A running maximum carries the handle's latest state along its ops: position << 2 | set here << 1 | live.
        state = np.arange(0, 4 * n, 4, dtype=np.int32)
        state += _STATE_BITS[sets]
        state[firsts] |= carried & (sets[firsts] == _KEEPS)
        state *= (sets != _KEEPS) | first
        np.maximum.accumulate(state, out=state)
        before = np.empty(n, np.int32)
        before[1:] = state[:-1]
        before[firsts] = carried
        live = (before & 1) != 0
        prev = _latest(order, before, firsts, sets[firsts] == _KEEPS)
        birth, stale = prev, None
        again = np.flatnonzero((sets == _BEGINS) & live)
        if len(again):
            page_now = page[order[again]]
            was_set = (before[again] & 2) != 0
            page_then = np.where(was_set, page[prev[again]], self._page[unit[again]])
            stale = np.zeros(n, np.bool_)
            stale[again] = (page_now == 0) | (page_now != page_then)
            birth = _births(order, (sets == _BEGINS) & ~(live & ~stale), firsts)
        proofs = np.empty(0, np.int64) if row is None else self._note(row[order], unit, sets, first, live, stale)
        last = np.append(firsts[1:], n)[: len(firsts)] - 1
        self.live[unit[last]] = (state[last] & 1) == 1
        outs = np.flatnonzero(op == Op.OUT)
        self._page[handle[outs]] = page[outs]  # in time order: the last one of a handle stays
        by_op = _scattered(prev, order)
        return _Fates(
            _scattered(live, order),
            None if stale is None or not stale.any() else _scattered(stale, order),
            by_op,
            by_op if birth is prev else _scattered(birth, order),
        ), proofs

    def _note(self, row: Ints, unit: Ints32, sets: Bytes, first: Bools, live: Bools, stale: Bools | None) -> Ints:
        """Return the rows of the last accesses before unseen ends; arrays are in group order."""
        access = (sets == _BEGINS) | (live & (sets == _KEEPS))
        proofs = np.empty(0, np.int64)
        if stale is not None:
            last = np.maximum.accumulate(np.where(access | first, np.arange(len(row)), 0))
            proved = np.flatnonzero(stale)
            before = np.maximum(proved - 1, 0)
            inside = ~first[proved] & access[last[before]]
            proofs = np.where(inside, row[last[before]], self._last_row[unit[proved]])
        touched = np.flatnonzero(access)
        self._last_row[unit[touched]] = row[touched]
        return proofs


def _nothing_where(new: Bools, link: Ints32) -> Ints32:
    """Return ``link`` with NOTHING where ``new``: arithmetic beats a choice by a random mask three times."""
    return link + (np.int32(NOTHING) - link) * new


class _Edit:
    """Drops orphans, and puts each end that was proved directly before the OUT that proved it."""

    def __init__(self, keep: Bools, stale: Bools | None) -> None:
        place = np.cumsum(keep, dtype=np.int32) - np.int32(1)  # where each kept row ends up
        self.proving = np.empty(0, np.int64) if stale is None else np.flatnonzero(stale)
        if stale is not None:
            place += np.cumsum(stale, dtype=np.int32)
        self.frees = place[self.proving] - 1  # where the ends end up
        kept = np.flatnonzero(keep)
        source = np.empty(len(kept) + len(self.proving), np.int64)  # the row that each op comes from
        source[place[kept]] = kept
        source[self.frees] = self.proving
        self.pick = Pick(source)
        self._place_of = np.append(place, np.array([NOTHING, CARRIED], np.int32))  # at -2 and -1: these stay

    def links(self, index: Ints32, of_free: Ints32) -> Ints32:
        """Return what rows (and ``of_free``, ends) point to, in the new order."""
        linked = self.pick.of(index)
        linked[self.frees] = of_free[self.proving]
        moved: Ints32 = self._place_of[linked]
        return moved


def _grouped(op: Bytes, handle: Ints32) -> tuple[Ints, Ints32, Bytes]:
    """Sort ops by handle, then time: return each one's index, handle and effect on liveness, in that order.

    One sort of packed unique keys (handle, index, effect) does it without a gather.
    """
    n = len(op)
    shift = max(1, (n - 1).bit_length())
    low = np.arange(0, 4 * n, 4, dtype=np.uint32)  # shift + 2 <= 32
    low |= _EFFECT[op]
    key = handle.astype(np.uint64)
    key <<= np.uint64(shift + 2)
    key |= low
    key.sort()
    low = key.astype(np.uint32)
    # int64 is what numpy indexes with: a scatter through int32 takes three times as long
    order = ((low >> np.uint32(2)) & np.uint32((1 << shift) - 1)).astype(np.int64)
    key >>= np.uint64(shift + 2)
    return order, key.astype(np.int32), (low & np.uint32(3)).astype(np.uint8)


def _scattered(values: NDArray[Any], order: Ints) -> NDArray[Any]:
    out = np.empty_like(values)
    out[order] = values
    return out


def _latest(order: Ints, state: Ints32, firsts: Ints, unset: Bools) -> Ints32:
    """Return the index of the op that set each ``state``, CARRIED if none of this batch did.

    The states of the ``firsts`` of each handle come from before; those that are ``unset`` pass theirs on.
    """
    setter = order.astype(np.int32)
    setter[firsts[unset]] = CARRIED
    latest: Ints32 = setter[state.astype(np.int64) >> 2]
    latest[firsts] = CARRIED
    return latest


def _births(order: Ints, begins: Bools, firsts: Ints) -> Ints32:
    """Return for each op the OUT of this batch that began its life before it, or CARRIED."""
    state = np.arange(0, 4 * len(order), 4, dtype=np.int32)
    unset = ~begins[firsts]
    begins[firsts] = True
    state *= begins
    np.maximum.accumulate(state, out=state)
    state[1:] = state[:-1]
    return _latest(order, state, firsts, unset)
