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
        self.at_entry = world.layout.direct and "dedup" not in world.path
        self.layout = world.layout
        world.device_pages = int(size) or world.slots
        self.clusters = SlowPhysicalClusters(world.device_pages, 8, 512, prefer == "free")
        self.units: dict[Hashable, int] = {}
        self.slot: dict[Hashable, int] = {}
        self.block_in: dict[int, Hashable] = {}
        self.mapped_clusters: set[int] = set()

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        slot = entry = self.layout.entry(op)
        if self.at_entry:
            if op.name == "FREE" and self.discard:
                books.stream.append(~entry)
        else:
            drop, takes = op.drop, op.store and not op.inplace
            if op.mapped:  # its entry is a slot: from the object's beginning to its end
                drop, takes = (op.obj if op.name == "FREE" else None), op.name == "NEW"
            if drop is not None:
                gone, change = self.clusters.step(True, self._unit(drop), op.cpu)
                books.now["clusters"] += change
                op.gave = True
                del self.slot[drop]
                if not any(slot // 512 == gone // 512 for slot in self.slot.values()):
                    self.mapped_clusters.discard(gone // 512)
                if self.discard:
                    books.stream.append(~gone)
            if takes:
                at, change = self.clusters.step(False, self._unit(op.block), op.cpu)
                op.scans.append((at, [(s, self.block_in[s]) for run in self.clusters.passed for s in run]))
                self.slot[op.block] = at
                self.block_in[at] = op.block
                books.now["clusters"] += change
                op.took = True
                if op.mapped:
                    self.mapped_clusters.add(self.slot[op.block] // 512)
            books.now["mapped_clusters"] = len(self.mapped_clusters)
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
