"""Twin of `swaptrace.stages.slots`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters
from tests.oracle.stages.base import SlowStage, World


class SlowSlots(SlowStage):
    placing = True

    def __init__(self, world: World, discard: str, prefer: str, size: str) -> None:
        self.discard = discard == "on"
        self.at_entry = world.layout.direct and not world.shared
        self.layout = world.layout
        world.device_pages = int(size) or world.slots
        self.clusters = SlowPhysicalClusters(world.device_pages, 8, 512, prefer == "free")
        self.units: dict[Hashable, int] = {}
        self.slot: dict[Hashable, int] = {}

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        slot = entry = self.layout.entry(op)
        if self.at_entry:
            if op.name == "FREE" and self.discard:
                books.stream.append(~entry)
        else:
            if op.drop is not None:
                gone, change = self.clusters.step(True, self._unit(op.drop), op.cpu)
                books.now["clusters"] += change
                op.gave = True
                del self.slot[op.drop]
                if self.discard:
                    books.stream.append(~gone)
            if op.store and not op.inplace:
                self.slot[op.block], change = self.clusters.step(False, self._unit(op.block), op.cpu)
                books.now["clusters"] += change
                op.took = True
            slot = self.slot.get(op.block, -1)
            books.now["physical"] = len(self.slot)
        if op.store:
            books.written.append(slot)
            books.stream.append(slot)
        if op.fetch:
            books.read.append(slot)
        op.backing = op.backing or "DISK"
        return [op]

    def _unit(self, block: Hashable) -> int:
        return self.units.setdefault(block, len(self.units))
