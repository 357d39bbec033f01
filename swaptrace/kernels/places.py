"""Where blocks are: who gives back and takes slots in a batch, and the slot that each op stores to or reads from.

Rule, in order. In an op, the block that dies gives its slot back, then the block that is stored takes one, unless it
is stored in place: then it stays where it is. A fetch reads where the block is. Ops that do neither have no slot, -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.order import in_order
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, grown, readable
from swaptrace.model.ops import NOTHING, Ops

__all__ = ["LoopPlaces", "VectorPlaces", "exchanges", "new_places"]


def exchanges(ops: Ops) -> tuple[Bools, Ints32, Words16]:
    """Return who gives back (True) or takes (False) a slot, in order: bool[m], the block, the CPU."""
    gives, takes = ops.drop != NOTHING, ops.store & ~ops.inplace
    if engine_name() != "numba":
        at, taking = in_order(gives, takes)
        return ~taking, np.where(taking, ops.block[at], ops.drop[at]), ops.cpu[at]
    room = 2 * len(ops) + 1
    giving, block, cpu = np.empty(room, np.bool_), np.empty(room, np.int32), np.empty(room, np.uint16)
    m = _exchange(
        gives, takes, readable(ops.drop, np.int32), readable(ops.block, np.int32), readable(ops.cpu, np.uint16),
        giving, block, cpu,
    )  # fmt: skip
    return giving[:m], block[:m], cpu[:m]


class VectorPlaces:
    """Slots by block, followed through a batch with what the ops say about one another."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, slots: Ints, change: Ints8) -> tuple[Ints, Ints8]:
        """Return int64[n] slots, and the ``change`` of each exchange summed by op; ``slots`` are those exchanged."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        at, taking = in_order(ops.drop != NOTHING, ops.store & ~ops.inplace)
        slot, changes = np.full(len(ops), -1, np.int64), np.zeros(len(ops), np.int8)
        slot[at[taking]] = slots[taking]
        changes[at[~taking]] = change[~taking]
        changes[at[taking]] += change[taking]
        todo = np.flatnonzero(ops.store & ops.inplace)
        while len(todo):  # stores in place may replace one another
            slot[todo] = self._before(ops, slot, todo)
            todo = todo[slot[todo] < 0]
        reads, stores = np.flatnonzero(ops.fetch), np.flatnonzero(ops.store)
        slot[reads] = self._before(ops, slot, reads)
        self._slot[ops.block[stores]] = slot[stores]
        return slot, changes

    def _before(self, ops: Ops, slot: Ints, where: Ints) -> Ints:
        stored = ops.stored_at[where]
        return np.where(stored >= 0, slot[stored], self._slot[ops.block[where]])


class LoopPlaces:
    """Slots by block, op by op."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, slots: Ints, change: Ints8) -> tuple[Ints, Ints8]:
        """As :meth:`VectorPlaces.feed`."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        slot, changes = np.empty(len(ops), np.int64), np.empty(len(ops), np.int8)
        _walk(
            readable(ops.store, np.bool_), readable(ops.fetch, np.bool_), readable(ops.inplace, np.bool_),
            readable(ops.drop, np.int32), readable(ops.block, np.int32), readable(slots, np.int64),
            readable(change, np.int8), slot, changes, self._slot,
        )  # fmt: skip
        return slot, changes


def new_places() -> VectorPlaces | LoopPlaces:
    """Return the places of no block yet, in the form of the engine in force: both are exact."""
    return LoopPlaces() if engine_name() == "numba" else VectorPlaces()


@loop
def _exchange(
    gives: Bools, takes: Bools, drops: Ints32, blocks: Ints32, on: Words16, giving: Bools, block: Ints32, cpu: Words16
) -> Any:
    """Fill the last three; return how many there are. Written always, kept where true: no branch to guess."""
    m = 0
    for i in range(len(gives)):
        giving[m] = True
        block[m] = drops[i]
        cpu[m] = on[i]
        m += gives[i]
        giving[m] = False
        block[m] = blocks[i]
        cpu[m] = on[i]
        m += takes[i]
    return m


@loop
def _walk(
    stores: Bools, fetches: Bools, inplace: Bools, drops: Ints32, blocks: Ints32, slots: Ints, change: Ints8,
    slot: Ints, changes: Ints8, slot_of: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many exchanges there were."""
    k = 0
    for i in range(len(stores)):
        changed = 0
        at = -1
        if drops[i] != -2:
            changed = change[k]
            k += 1
        if stores[i]:
            if not inplace[i]:
                slot_of[blocks[i]] = slots[k]
                changed += change[k]
                k += 1
            at = slot_of[blocks[i]]
        elif fetches[i]:
            at = slot_of[blocks[i]]
        slot[i] = at
        changes[i] = changed
    return k
