"""Which swap entry the object of each op has, and which one an object had when its page was moved.

Rule, in order. An op that begins an object gives it an entry; every later op of the object has that entry, the one that
ends it, too. A page that op ``at`` moves belongs to the object that has its handle then, ``at`` included.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Ints, Ints8, Ints32, grown, readable
from swaptrace.model.ops import Ops

__all__ = ["LoopEntries", "VectorEntries", "new_entries"]


class VectorEntries:
    """Entries by handle, followed through a batch with what the ops say about one another."""

    def __init__(self) -> None:
        self._entry: Ints = np.full(0, -1, np.int64)  # as the batches before left it
        self._next: tuple[Ints32, Ints] | None = None

    def feed(self, ops: Ops, at: Ints, values: Ints) -> Ints:
        """Return int64[n] entries; ``values`` are those of the ops ``at``, which begin or end an object."""
        if self._next is not None:
            self._entry[self._next[0]] = self._next[1]
        self._entry = grown(self._entry, int(ops.handle.max()) + 1, -1)
        entry = np.empty(len(ops), np.int64)
        entry[at] = values
        rest = np.flatnonzero(ops.lives == 0)
        birth = ops.birth[rest].astype(np.int64)
        known = entry[birth]  # CARRIED finds something, too
        carried = np.flatnonzero(birth < 0)
        known[carried] = self._entry[ops.handle[rest[carried]]]
        entry[rest] = known
        born = np.flatnonzero(ops.new)
        self._next = ops.handle[born], entry[born]
        return entry

    def moved(self, ops: Ops, handle: Ints32, at: Ints) -> Ints:
        """Return the entries of the objects ``handle`` at the ops ``at``, in order, of the batch fed last."""
        assert ops.entry is not None
        shift = np.uint64(max(1, (len(ops) - 1).bit_length()))
        born = np.flatnonzero(ops.new)
        births = (ops.handle[born].astype(np.uint64) << shift) | born.astype(np.uint64)
        births.sort()
        asked = (handle.astype(np.uint64) << shift) | at.astype(np.uint64)
        place = np.searchsorted(births, asked, side="right") - 1
        found = births[np.maximum(place, 0)] if len(births) else np.zeros(len(asked), np.uint64)
        here = np.flatnonzero((place >= 0) & ((found >> shift) == handle.astype(np.uint64)))
        entry = self._entry[handle]
        entry[here] = ops.entry[(found[here] & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)]
        return entry


class LoopEntries:
    """Entries by handle, op by op; moves, which are asked for when the batch is over, follow the ops back."""

    def __init__(self) -> None:
        self._entry: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, at: Ints, values: Ints) -> Ints:
        """As :meth:`VectorEntries.feed`."""
        self._entry = grown(self._entry, int(ops.handle.max()) + 1, -1)
        entry = np.empty(len(ops), np.int64)
        _walk(
            readable(ops.lives, np.int8), readable(ops.handle, np.int32), readable(values, np.int64), entry, self._entry
        )
        return entry

    def moved(self, ops: Ops, handle: Ints32, at: Ints) -> Ints:
        """As :meth:`VectorEntries.moved`."""
        assert ops.entry is not None
        found = np.empty(len(handle), np.int64)
        _follow(
            readable(ops.lives, np.int8), readable(ops.handle, np.int32), readable(ops.entry, np.int64),
            readable(handle, np.int32), readable(at, np.int64), found, self._entry,
        )  # fmt: skip
        return found


def new_entries() -> VectorEntries | LoopEntries:
    """Return the entries of no object yet, in the form of the engine in force: both are exact."""
    return LoopEntries() if engine_name() == "numba" else VectorEntries()


@loop
def _walk(lives: Ints8, handles: Ints32, values: Ints, entry: Ints, entry_of: Ints) -> Any:
    """Run the ops; return how many began or ended an object."""
    k = 0
    for i in range(len(lives)):
        if lives[i] == 0:
            entry[i] = entry_of[handles[i]]
        else:
            entry[i] = values[k]
            if lives[i] > 0:
                entry_of[handles[i]] = values[k]
            k += 1
    return k


@loop
def _follow(lives: Ints8, handles: Ints32, entries: Ints, moved: Ints32, at: Ints, found: Ints, entry_of: Ints) -> Any:
    """Undo the ops, last one first, and look the moves of each up; then do them again. Return how many moves."""
    k = len(at) - 1
    for j in range(len(lives)):
        i = len(lives) - 1 - j
        if lives[i] < 0:
            entry_of[handles[i]] = entries[i]
        while k >= 0 and at[k] == i:
            found[k] = entry_of[moved[k]]
            k -= 1
    for i in range(len(lives)):
        if lives[i] > 0:
            entry_of[handles[i]] = entries[i]
    return len(at)
