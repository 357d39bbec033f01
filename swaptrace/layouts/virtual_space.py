"""The virtual swap space that the vswap layouts share: entries in clusters made on demand, found through an xarray.

Rule. A new object takes an entry by the rule of :mod:`swaptrace.kernels.virtual`; one whose entry is a physical slot
takes none here. The map of clusters is an xarray of
64-slot nodes: with c clusters allocated (after the op) a walk passes d = 1 node while c <= 64, 2 while c <= 64**2,
3 while c <= 64**3, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.entries import new_entries
from swaptrace.kernels.order import indices
from swaptrace.kernels.touched import ENTRY_BITS
from swaptrace.kernels.virtual import VirtualClusters
from swaptrace.model.ops import Ops

__all__ = ["ENTRY_BITS", "VirtualSpace"]

_FULL_LEVELS = 64 ** np.arange(1, 7)


class VirtualSpace:
    """Entries of live objects, with state carried from batch to batch."""

    def __init__(self) -> None:
        self._clusters = VirtualClusters(1 << 16)
        self._entries = new_entries()
        self.change = np.empty(0, np.int8)  # per op of this batch: clusters allocated or freed
        self.levels = np.empty(0, np.uint8)  # per op: xarray nodes on the way to a cluster

    def enter(self, ops: Ops) -> None:
        """Set ``ops.entry``: the entry of each op's object, -1 where it is mapped directly."""
        ends = indices(ops.lives != 0)
        virtual = None if ops.mapped is None else ~ops.mapped[ends]
        at = ends if virtual is None else ends[virtual]
        before = self._clusters.allocated
        key, position, change = self._clusters.feed(~ops.new[at], ops.handle[at], ops.cpu[at])
        key <<= ENTRY_BITS
        key |= position
        if virtual is not None:
            entry = np.full(len(ends), -1, np.int64)
            entry[virtual] = key
            key = entry
        ops.entry = self._entries.feed(ops, ends, key)
        self.change = np.zeros(len(ops), np.int8)
        self.change[at] = change
        allocated = np.cumsum(change, dtype=np.int64) + before  # after each of the ops `at`
        low, high = min(before, allocated.min(initial=before)), max(before, allocated.max(initial=before))
        low, high = (int(level) + 1 for level in np.searchsorted(_FULL_LEVELS, [low, high]))
        self.levels = np.full(len(ops), low, np.uint8)
        if low != high:
            self.levels[:] = np.searchsorted(_FULL_LEVELS, np.cumsum(self.change, dtype=np.int64) + before) + 1

    def entries_of(self, ops: Ops, handle: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the entries that the objects ``handle`` have at the ops ``at``, in order, of this batch."""
        return self._entries.moved(ops, handle, at)
