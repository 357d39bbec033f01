"""Where blocks are: the slot that each op of a batch stores to or reads from.

Rule, in order. A block that is stored, and not in place, is at the slot that its op takes; one that is stored in place
stays where it is. A fetch reads where the block is. Ops that do neither have no slot, -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Ints, Ints32, grown, readable
from swaptrace.model.ops import Ops

__all__ = ["LoopPlaces", "VectorPlaces", "new_places"]


class VectorPlaces:
    """Slots by block, followed through a batch with what the ops say about one another."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, takes: Ints, slots: Ints) -> Ints:
        """Return int64[n] slots; the ops ``takes``, in order, take ``slots``."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        slot = np.full(len(ops), -1, np.int64)
        slot[takes] = slots
        todo = np.flatnonzero(ops.store & ops.inplace)
        while len(todo):  # stores in place may replace one another
            slot[todo] = self._before(ops, slot, todo)
            todo = todo[slot[todo] < 0]
        reads, stores = np.flatnonzero(ops.fetch), np.flatnonzero(ops.store)
        slot[reads] = self._before(ops, slot, reads)
        self._slot[ops.block[stores]] = slot[stores]
        return slot

    def _before(self, ops: Ops, slot: Ints, where: Ints) -> Ints:
        stored = ops.stored_at[where]
        return np.where(stored >= 0, slot[stored], self._slot[ops.block[where]])


class LoopPlaces:
    """Slots by block, op by op."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, takes: Ints, slots: Ints) -> Ints:
        """As :meth:`VectorPlaces.feed`."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        slot = np.empty(len(ops), np.int64)
        _walk(
            readable(ops.store, np.bool_), readable(ops.fetch, np.bool_), readable(ops.inplace, np.bool_),
            readable(ops.block, np.int32), readable(slots, np.int64), slot, self._slot,
        )  # fmt: skip
        return slot


def new_places() -> VectorPlaces | LoopPlaces:
    """Return the places of no block yet, in the form of the engine in force: both are exact."""
    return LoopPlaces() if engine_name() == "numba" else VectorPlaces()


@loop
def _walk(stores: Bools, fetches: Bools, inplace: Bools, blocks: Ints32, slots: Ints, slot: Ints, slot_of: Ints) -> Any:
    """Run the ops; return how many took a slot."""
    k = 0
    for i in range(len(stores)):
        slot[i] = -1
        if stores[i]:
            if not inplace[i]:
                slot_of[blocks[i]] = slots[k]
                k += 1
            slot[i] = slot_of[blocks[i]]
        elif fetches[i]:
            slot[i] = slot_of[blocks[i]]
    return k
