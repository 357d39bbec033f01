"""Twin of `swaptrace.stages.slots`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.clusters import SlowNextFree, SlowPhysicalClusters
from tests.oracle.layouts.swap_table import SlowSwapTable
from tests.oracle.stages.base import SlowStage, World


class SlowSlots(SlowStage):
    placing = True

    def __init__(self, world: World, discard: str, prefer: str, size: str, alloc: str, priorities: str) -> None:
        self.discard = discard == "on"
        self.at_entry = world.layout.direct and not world.shared
        self.layout = world.layout
        world.device_pages = int(size) or world.slots
        several = world.areas if priorities == "on" else ()
        self.clusters: SlowPhysicalClusters | SlowNextFree = SlowPhysicalClusters(
            world.device_pages, 8, 512, prefer == "free", several
        )
        if alloc == "append":
            self.clusters = SlowNextFree(world.device_pages)
        self.areas = world.several = world.layout.areas if world.layout.direct else several
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
        self._count_devices(op, slot, books)
        if op.store:
            books.written.append(slot)
            books.stream.append(slot)
        if op.fetch:
            books.read.append(slot)
        op.backing = op.backing or "DISK"
        return [op]

    def _count_devices(self, op: SlowOp, slot: int, books: Books) -> None:
        held = list(self.slot.values())
        if self.at_entry and isinstance(self.layout, SlowSwapTable):
            held = list(self.layout.slot.values())
        for number, (first, size, _) in enumerate(self.areas, 1):
            here = range(first, first + size)
            books.now[f"device{number}"] = sum(at in here for at in held)
            books.count[f"device{number}.written"] += op.store and slot in here
            books.count[f"device{number}.read"] += op.fetch and slot in here

    def figures(self, books: Books) -> dict[str, float]:
        out: dict[str, float] = {}
        for number in range(1, len(self.areas) + 1):
            out[f"devices.{number}.pages_peak"] = books.peak[f"device{number}"]
            for name in ("written", "read"):
                out[f"devices.{number}.{name}_bytes"] = PAGE * books.count[f"device{number}.{name}"]
        return out

    def _unit(self, block: Hashable) -> int:
        return self.units.setdefault(block, len(self.units))
