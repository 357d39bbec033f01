"""Swap entries that are physical slots: who holds which, as all direct layouts hand them out.

Rule. A new object takes a physical slot (rule of :mod:`swaptrace.kernels.clusters`) before its content is known: zero
pages hold slots, too. It keeps the slot until its end. A slot is idle while the latest content of its page is not
there: zero, same-filled or shared; waiting in a buffer; in a compressed pool, or loaded from there, in the swap cache.
Writeback from the pool ends that. Under a dedup stage each block in the buffer makes a slot idle, even if the object
that wrote it has gone: an upper bound there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.entries import new_entries
from swaptrace.kernels.marks import Marks
from swaptrace.kernels.order import indices
from swaptrace.model.ledger import VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Ops

__all__ = ["DeviceSlots"]


class DeviceSlots:
    """Slots of live objects, with state carried from batch to batch."""

    def __init__(self, slots: int, spread: bool) -> None:
        self._clusters = PhysicalClusters(slots, 1 << 16, spread=spread)
        self._entries = new_entries()
        self._idle = Marks()  # objects whose slot holds nothing
        self.used: NDArray[np.int8] = np.empty(0, np.int8)  # per op of this batch: change of clusters in use

    def enter(self, ops: Ops) -> None:
        """Set ``ops.entry``: the physical slot of each op's object."""
        at = indices(ops.lives != 0)
        slots, used = self._clusters.feed(~ops.new[at], ops.handle[at], ops.cpu[at])
        ops.entry = self._entries.feed(ops, at, slots)
        self.used = np.zeros(len(ops), np.int8)
        self.used[at] = used

    def hold(self, ops: Ops, ledger: Ledger) -> None:
        """Count entries, slots, and slots whose page is elsewhere."""
        ledger.hold(VIRTUAL, ops.lives)
        ledger.hold("slots.physical", ops.lives)
        if ops.placement is not None and ops.placement.buffered is not None:
            ledger.hold("slots.physical_idle", ops.placement.buffered)
        held_elsewhere = (ops.backing >= Backing.ZERO) & (ops.backing <= Backing.SHARED)
        if ops.pooled is not None:
            held_elsewhere |= ops.backing == Backing.ZSWAP
        if (change := self._idle.feed(ops, held_elsewhere)) is not None:
            ledger.hold("slots.physical_idle", change)
