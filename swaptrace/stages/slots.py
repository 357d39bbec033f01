"""Pages go to slots of the swap device, written in place: the kernel's own cluster allocator decides where.

Rule. Under a layout whose swap entries are physical slots (direct), and with nothing between them and the device, a
page is written to the slot of its swap entry. Everywhere else the device's slots are handed out here, at writeout:
a block takes a slot when it is stored, keeps it when it is stored over in place, and gives it back when it dies
(before the same op takes one). Under a layout of which only some swap entries are slots, the device has one allocator
for both kinds: an object with such an entry takes its slot here when it begins, keeps it whatever becomes of its
content, and gives it back at its end. Slots are handed out by the rule of :mod:`swaptrace.kernels.clusters`, on the CPU
of the op. Every store writes one page, every read that arrives reads one. With ``discard=on`` a slot that is given back
is reported to the device's translation layer at once.

With ``alloc=append`` slots are handed out by the rule of :mod:`swaptrace.kernels.next_free` instead. With
``priorities=on`` (of the layout, where its swap entries are the slots) the recorded swap devices are several, by the
rule of :mod:`swaptrace.kernels.clusters`; they lie behind one another on one address line, along which requests are
counted, and each has a translation layer of its own.

Source: mm/swapfile.c cluster allocator (6.12 and later); design of delayed physical allocation:
20260505153854.1612033-1-nphamcs@gmail.com (vswap v6: slot allocated in swap_writeout).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER, PhysicalClusters
from swaptrace.kernels.mapped import MappedClusters, per_op
from swaptrace.kernels.next_free import NextFree
from swaptrace.kernels.order import in_order, indices
from swaptrace.kernels.places import Turns, exchanges, new_places, turns
from swaptrace.kernels.scans import ScannedClusters
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16
from swaptrace.model.component import PREFER, PRIORITIES, Layout, Role, Space, Stage, choice, size_param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Backing, DeviceWrites, Op, Ops, Placement, Scan
from swaptrace.stages.per_device import PerDevice

__all__ = ["MAX_CPUS", "Slots"]

MAX_CPUS = 1 << 16  # cpu columns are uint16; per-CPU state is two small arrays


class Slots(Stage):
    """In-place placement on the swap device."""

    name = "slots"
    role = Role.PLACEMENT
    under_mixed = True
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
        choice(
            "alloc",
            "exact",
            "slots as the kernel's clusters hand them out, or the next free one behind the last (append)",
            {"exact": False, "append": True},
        ),
        PRIORITIES,
    )
    assumptions = (
        "All swap devices of the trace act as one device, unless priorities=on.",
        "Every page is an order-0 allocation.",
    )
    references = ("mm/swapfile.c: cluster_alloc_swap_entry, relocate_cluster",)

    def __init__(self, discard: bool, prefer: bool, size: int, alloc: bool, priorities: bool) -> None:
        for name, cannot, why in (
            ("prefer=free", alloc and prefer, "alloc=append knows no clusters."),
            ("priorities=on", alloc and priorities, "alloc=append knows one device."),
            ("size", size and priorities, "With priorities=on the devices have the sizes that the recording had."),
        ):
            if cannot:
                raise UsageError(f"slots: {name} cannot act.", why, "Leave one of them out.")
        self._discard, self._spread = discard, prefer
        self._size, self._append, self._priorities = size, alloc, priorities
        self._places = new_places()

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self._direct = layout.direct
        self.pages = self._size or space.slots
        if self._priorities:
            self.areas = space.by_priority(self.name)
        self._owners = layout.scan_asks_owners
        self._clusters: NextFree | ScannedClusters
        if self._append:
            self._clusters = NextFree(self.pages)
        else:
            clusters = PhysicalClusters(self.pages, MAX_CPUS, spread=self._spread, areas=self.areas)
            self._clusters = ScannedClusters(clusters, self._owners)
        self._mapped = MappedClusters(-(-self.pages // CLUSTER))
        if layout.direct:
            self.areas = layout.areas
        self._per_device = PerDevice(self.areas, ledger) if self.areas else None

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
        if self._per_device is not None:
            self._per_device.traffic(to, slot[reads])
        ops.backing |= (ops.backing == Backing.PENDING) * np.uint8(Backing.DISK)
        return ops

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield the figures of each device, if there are several."""
        if self._per_device is not None:
            yield from self._per_device.figures()

    def _at_entry(self, ops: Ops) -> NDArray[np.int64]:
        assert ops.entry is not None
        if self._discard:
            self._given = np.where(ops.op == Op.FREE, ops.entry, -1)
        if self._per_device is not None:
            at = indices(ops.lives != 0)
            self._per_device.hold(at, ops.entry[at], ~ops.new[at], len(ops))
        return ops.entry

    def _at_writeout(self, ops: Ops) -> NDArray[np.int64]:
        """Return for each op the slot that it stores to or reads from."""
        who = turns(ops)
        giving, block, cpu = exchanges(ops, who)
        scan = None
        if isinstance(self._clusters, NextFree):
            slots, used = self._clusters.feed(giving, block, cpu)
        else:
            slots, used, scan = self._scanned(self._clusters, ops, who, (giving, block, cpu))
        slot, clusters = self._places.feed(ops, who, slots, used)
        if self._discard:
            self._given = np.full(len(ops), -1, np.int64)
            self._given[who.gives] = slots[giving]
        if ops.mapped is not None:
            at, taking = in_order(who.gives, who.takes)
            change = self._mapped.feed(slots // CLUSTER, used, taking & ops.mapped[at])
            ops.mapped_clusters = per_op(at, change, len(ops))
        if self._per_device is not None:
            self._per_device.hold(in_order(who.gives, who.takes)[0], slots, giving, len(ops))
        change_of_slots = who.takes.view(np.int8) - who.gives.view(np.int8)
        ops.placement = Placement(change_of_slots, clusters, who.takes, who.gives, scan=scan)
        return slot

    def _scanned(
        self, clusters: ScannedClusters, ops: Ops, who: Turns, turns_of: tuple[Bools, Ints32, Words16]
    ) -> tuple[Ints, Ints8, Scan]:
        """Return slots and used clusters of each exchange, and what was passed over by each op."""
        giving, block, cpu = turns_of
        taking = np.flatnonzero(who.takes)
        owner = None
        if self._owners and not ops.shared:
            assert ops.entry is not None
            owner = np.full(len(giving), -1, np.int64)
            owner[~giving] = ops.entry[taking]
        slots, used, scan = clusters.feed(giving, block, cpu, owner)
        if len(scan.at):
            scan.at = taking[np.cumsum(~giving)[scan.at] - 1]
        return slots, used, scan
