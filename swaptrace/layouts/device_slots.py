"""Swap entries that are physical slots: who holds which, as all direct layouts hand them out.

Rule. A new object takes a physical slot (rule of :mod:`swaptrace.kernels.clusters`) before its content is known: zero
pages hold slots, too. It keeps the slot until its end. A slot is idle while the latest content of its page is not
there: zero, same-filled or shared; waiting in a buffer; in a compressed pool, or loaded from there, in the swap cache.
Writeback from the pool ends that. Under a dedup stage each block in the buffer makes a slot idle, even if the object
that wrote it has gone: an upper bound there. The table that says which slots are in use is the one that the allocator
scans (:mod:`swaptrace.layouts.scans`). Where the stage below hands out the slots, of several devices (tiers), clusters
and scans are those of its allocators, and nothing enters here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.entries import new_entries
from swaptrace.kernels.marks import Marks
from swaptrace.kernels.order import indices
from swaptrace.kernels.scans import ScannedClusters
from swaptrace.layouts.scans import charge_table_scan
from swaptrace.model.component import Area
from swaptrace.model.ledger import VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Ops, Scan

__all__ = ["DeviceSlots", "IdleSlots"]


class DeviceSlots:
    """Slots of live objects, with state carried from batch to batch."""

    def __init__(self, slots: int, spread: bool, entries_per_line: int, areas: Sequence[Area] = ()) -> None:
        clusters = PhysicalClusters(slots, 1 << 16, spread=spread, areas=areas)
        self._clusters = ScannedClusters(clusters, entries_per_line=entries_per_line)
        self._entries = new_entries()
        self._idle = IdleSlots()
        self._scan: Scan | None = None
        self.used: NDArray[np.integer[Any]] = np.empty(0, np.int8)  # per op of this batch: change of clusters in use

    def enter(self, ops: Ops) -> None:
        """Set ``ops.entry``: the physical slot of each op's object."""
        at = indices(ops.lives != 0)
        slots, used, self._scan = self._clusters.feed(~ops.new[at], ops.handle[at], ops.cpu[at])
        ops.entry = self._entries.feed(ops, at, slots)
        self.used = np.zeros(len(ops), np.int8)
        self.used[at] = used

    def hold(self, ops: Ops, ledger: Ledger) -> None:
        """Count entries, slots, slots whose page is elsewhere, and what the allocator read to find free ones."""
        scan = self._scan
        if ops.entries is not None:  # of several devices, each with an allocator of its own
            scan, self.used = ops.entries.scan, ops.entries.clusters
        charge_table_scan(ledger, scan)
        ledger.hold(VIRTUAL, ops.lives)
        ledger.hold("slots.physical", ops.lives)
        if ops.placement is not None and ops.placement.buffered is not None:
            ledger.hold("slots.physical_idle", ops.placement.buffered)
        self._idle.hold(ops, ledger)


class IdleSlots:
    """Counts the objects whose entry is a slot that holds nothing; buffers are not its business."""

    def __init__(self) -> None:
        self._marks = Marks()

    def hold(self, ops: Ops, ledger: Ledger) -> None:
        """Count the idle slots among entries of ``ops``: of all of them, or of those that are mapped directly."""
        held_elsewhere = (ops.backing >= Backing.ZERO) & (ops.backing <= Backing.SHARED)
        if ops.pooled is not None:
            held_elsewhere |= (ops.backing == Backing.ZSWAP) | (ops.backing == Backing.ZSWAP_SHARED)
        if ops.mapped is not None:
            held_elsewhere &= ops.mapped
        if (change := self._marks.feed(ops, held_elsewhere)) is not None:
            ledger.hold("slots.physical_idle", change)
