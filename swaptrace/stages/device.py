"""The device traffic of the recording itself: every page that the recorded kernel wrote and read, at its own slot.

Rule. A writeout whose recorded backend is the device writes its page at its recorded slot; so does a recorded zswap
writeback; a read whose recorded backend is the device reads there. Zero pages and zswap stores write nothing. Slots
of several swap devices lie behind one another, in the order in which devices appear in the header.
"""

from __future__ import annotations

import numpy as np

from swaptrace.model.component import Account, Layout, Role, Space, Stage
from swaptrace.model.events import Backend
from swaptrace.model.ledger import Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import Backing, DeviceWrites, Op, Ops

__all__ = ["Device"]

_BACKING = np.full(256, Backing.PENDING, np.uint8)
_BACKING[[Backend.DISK, Backend.ZERO, Backend.CACHE]] = [Backing.DISK, Backing.ZERO, Backing.CACHE]


class Device(Stage):
    """Writes and reads as recorded."""

    name = "device"
    role = Role.PLACEMENT
    summary = "writes and reads exactly as recorded"
    requires = (Capability.SLOT,)
    columns = ("backend", "slot", "swap_type")

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self._bases = np.zeros(256, np.int64)
        for swap_type, base in space.bases:
            self._bases[swap_type] = base
        self.pages = space.slots
        self._elsewhere = 0  # writeouts less the pages written

    def feed(self, ops: Ops) -> Ops:
        """Send the recorded traffic to the device."""
        backend, slot = ops.columns["backend"], ops.columns["slot"] + self._bases[ops.columns["swap_type"]]
        on_device = backend == Backend.DISK
        stores = np.flatnonzero((ops.store & on_device) | (ops.op == Op.WRITEBACK))
        reads = np.flatnonzero(ops.fetch & on_device)
        none = np.empty(0, np.int64)
        ops.writes = DeviceWrites(stores, slot[stores], ops.block[stores], np.zeros(len(stores), np.bool_), none, none)
        self._elsewhere += int(np.count_nonzero(ops.store)) - len(stores)
        self._ledger.written.extend(slot[stores])
        self._ledger.read.extend(slot[reads])
        ops.backing = _BACKING[backend]
        return ops

    def account(self) -> Account:
        """Writeouts that the recorded kernel did not send to the device, or not yet."""
        return Account(self._elsewhere)
