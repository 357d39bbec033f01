"""The virtual swap space that the vswap layouts share: entries in clusters made on demand, found through an xarray.

Rule. A new object takes an entry by the rule of :mod:`swaptrace.kernels.virtual`. The map of clusters is an xarray of
64-slot nodes: with c clusters allocated (after the op) a walk passes d = 1 node while c <= 64, 2 while c <= 64**2,
3 while c <= 64**3, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.kernels.virtual import VirtualClusters
from swaptrace.model.ops import Op, Ops

__all__ = ["ENTRY_BITS", "VirtualSpace"]

ENTRY_BITS = 9  # an entry is cluster key << 9 | position
_FULL_LEVELS = 64 ** np.arange(1, 7)


class VirtualSpace:
    """Entries of live objects, with state carried from batch to batch."""

    def __init__(self) -> None:
        self._clusters = VirtualClusters(1 << 16)
        self._entry = np.full(0, -1, np.int64)  # by handle
        self.change = np.empty(0, np.int8)  # per op of this batch: clusters allocated or freed
        self.levels = np.empty(0, np.uint8)  # per op: xarray nodes on the way to a cluster

    def enter(self, ops: Ops) -> None:
        """Set ``ops.entry``: the entry of each op's object."""
        at = np.flatnonzero(ops.new | (ops.op == Op.FREE))
        before = self._clusters.allocated
        key, position, change = self._clusters.feed(~ops.new[at], ops.handle[at], ops.cpu[at])
        self._entry = grown(self._entry, int(ops.handle.max()) + 1, -1)
        key <<= ENTRY_BITS
        key |= position
        ops.entry = ops.since_birth(key, at, self._entry)
        self.change = np.zeros(len(ops), np.int8)
        self.change[at] = change
        allocated = np.cumsum(change, dtype=np.int64) + before  # after each of the ops `at`
        low, high = min(before, allocated.min(initial=before)), max(before, allocated.max(initial=before))
        low, high = (int(level) + 1 for level in np.searchsorted(_FULL_LEVELS, [low, high]))
        self.levels = np.full(len(ops), low, np.uint8)
        if low != high:
            self.levels[:] = np.searchsorted(_FULL_LEVELS, np.cumsum(self.change, dtype=np.int64) + before) + 1

    def settle(self, ops: Ops) -> None:
        """End the batch: remember the entries of its new objects."""
        assert ops.entry is not None
        born = np.flatnonzero(ops.new)
        self._entry[ops.handle[born]] = ops.entry[born]

    def entries_of(self, ops: Ops, handle: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the entries that the objects ``handle`` have at the ops ``at``, before :meth:`settle`."""
        assert ops.entry is not None
        shift = np.uint64(max(1, (len(ops) - 1).bit_length()))
        born = np.flatnonzero(ops.new)
        births = (ops.handle[born].astype(np.uint64) << shift) | born.astype(np.uint64)
        births.sort()
        asked = (handle.astype(np.uint64) << shift) | at.astype(np.uint64)
        place = np.searchsorted(births, asked, side="right") - 1
        found = births[np.maximum(place, 0)] if len(births) else np.zeros(len(asked), np.uint64)
        here = (place >= 0) & ((found >> shift) == handle.astype(np.uint64))
        birth = (found & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)
        return np.where(here, ops.entry[np.where(here, birth, 0)], self._entry[handle])
