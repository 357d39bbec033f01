"""Pages go to slots of the swap device, written in place: the kernel's own cluster allocator decides where.

Rule. Under a layout whose swap entries are physical slots (direct), and with nothing between them and the device, a
page is written to the slot of its swap entry. Everywhere else the device's slots are handed out here, at writeout:
a block takes a slot when it is stored, keeps it when it is stored over in place, and gives it back when it dies
(before the same op takes one). Slots are handed out by the rule of :mod:`swaptrace.kernels.clusters`, on the CPU of
the op. Every store writes one page, every read that arrives reads one. With ``discard=on`` a slot that is given back
is reported to the device's translation layer at once.

Source: mm/swapfile.c cluster allocator (6.12 and later); design of delayed physical allocation:
20260505153854.1612033-1-nphamcs@gmail.com (vswap v6: slot allocated in swap_writeout).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.order import indices
from swaptrace.kernels.places import exchanges, new_places
from swaptrace.kernels.scans import ScannedClusters
from swaptrace.model.component import PREFER, Layout, Role, Space, Stage, choice, size_param
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import NOTHING, Backing, DeviceWrites, Op, Ops, Placement

__all__ = ["MAX_CPUS", "Slots"]

MAX_CPUS = 1 << 16  # cpu columns are uint16; per-CPU state is two small arrays


class Slots(Stage):
    """In-place placement on the swap device."""

    name = "slots"
    role = Role.PLACEMENT
    summary = "pages are written in place to slots of the device"
    params = (
        choice(
            "discard",
            "off",
            "report slots that are given back to the device at once",
            {"off": False, "on": True},
        ),
        PREFER,
        size_param(),
    )
    assumptions = (
        "All swap devices of the trace act as one device; priorities are not replayed.",
        "Every page is an order-0 allocation.",
    )
    references = ("mm/swapfile.c: cluster_alloc_swap_entry, relocate_cluster",)

    def __init__(self, discard: bool, prefer: bool, size: int) -> None:
        self._discard, self._spread = discard, prefer
        self._size = size
        self._places = new_places()

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self._direct = layout.direct
        self.pages = self._size or space.slots
        clusters = PhysicalClusters(self.pages, MAX_CPUS, spread=self._spread)
        self._owners = layout.scan_asks_owners
        self._clusters = ScannedClusters(clusters, self._owners)

    def feed(self, ops: Ops) -> Ops:
        """Place the stores, and turn them and the reads into device traffic."""
        at_entry = self._direct and not ops.shared
        slot = self._at_entry(ops) if at_entry else self._at_writeout(ops)
        stores, reads = indices(ops.store), indices(ops.fetch)
        dead = dead_before = np.empty(0, np.int64)
        if self._discard:
            dead = np.flatnonzero(self._given >= 0)
            dead_before, dead = np.searchsorted(stores, dead), self._given[dead]
        to = slot[stores]
        ops.writes = DeviceWrites(stores, to, ops.block[stores], np.zeros(len(stores), np.bool_), dead_before, dead)
        self._ledger.written.extend(to)
        self._ledger.read.extend(slot[reads])
        ops.backing |= (ops.backing == Backing.PENDING) * np.uint8(Backing.DISK)
        return ops

    def _at_entry(self, ops: Ops) -> NDArray[np.int64]:
        assert ops.entry is not None
        if self._discard:
            self._given = np.where(ops.op == Op.FREE, ops.entry, -1)
        return ops.entry

    def _at_writeout(self, ops: Ops) -> NDArray[np.int64]:
        """Return for each op the slot that it stores to or reads from."""
        giving, block, cpu = exchanges(ops)
        gave, took = ops.drop != NOTHING, ops.store & ~ops.inplace
        taking = np.flatnonzero(took)
        owner = None
        if self._owners and not ops.shared:
            assert ops.entry is not None
            owner = np.full(len(giving), -1, np.int64)
            owner[~giving] = ops.entry[taking]
        slots, used, scan = self._clusters.feed(giving, block, cpu, owner)
        slot, clusters = self._places.feed(ops, slots, used)
        if self._discard:
            self._given = np.full(len(ops), -1, np.int64)
            self._given[gave] = slots[giving]
        if len(scan.at):
            scan.at = taking[np.cumsum(~giving)[scan.at] - 1]
        ops.placement = Placement(took.view(np.int8) - gave.view(np.int8), clusters, took, gave, scan=scan)
        return slot
