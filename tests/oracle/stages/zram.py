"""Twin of `swaptrace.stages.zram`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters
from tests.oracle.stages.base import SlowStage, World
from tests.oracle.zsmalloc import footprint


class SlowZram(SlowStage):
    placing = True

    def __init__(self, world: World, same: str, compressor: str, prefer: str, size: str) -> None:
        slots = int(size) or world.slots
        self.layout, self.same = world.layout, same == "on"
        self.dedup = "dedup" in world.path
        world.layout.static += 16 * slots
        self.clusters = SlowPhysicalClusters(slots, 8, 512, prefer == "free")
        self.object: dict[Hashable, int] = {}  # block -> bytes of its object, 0 in the table
        self.units: dict[Hashable, int] = {}

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        shared_too = self.dedup and self.layout.direct
        through_table = op.backing == "SHARED" or (op.name == "FREE" and not op.backing)
        op.device_walk = op.store or op.fetch or op.drop is not None or (shared_too and through_table)
        if op.drop is not None:
            del self.object[op.drop]
            self._slot(True, op.drop, op, books)
        if op.store:
            books.count["zram.stores"] += 1
            if op.block not in self.object:
                assert not op.inplace
                self._slot(False, op.block, op, books)
            self.object[op.block] = self._store(op, books)
            books.count["occupied"] += self.object[op.block]
        books.count["zram.loads"] += op.fetch
        op.backing = op.backing or "RAM"
        books.now["zram"] = len(self.object)
        books.now["zram_bytes"] = sum(self.object.values())
        books.now["stage_meta"] = 8 * sum(held > 0 for held in self.object.values())
        if not self.layout.direct:
            books.now["physical"] = len(self.object)
        return [op]

    def _store(self, op: SlowOp, books: Books) -> int:
        if self.same and (op.same or op.zero):
            books.count["zram.same_filled"] += 1
            return 0
        if 0 < op.csize < 3625:
            return footprint(op.csize)
        books.count["zram.huge"] += 1
        books.count["zram.unsized"] += op.csize == 0
        return PAGE

    def _slot(self, free: bool, block: Hashable, op: SlowOp, books: Books) -> None:
        if not self.layout.direct:
            _, change = self.clusters.step(free, self.units.setdefault(block, len(self.units)), op.cpu)
            books.now["clusters"] += change
            op.gave, op.took = op.gave or free, op.took or not free

    def figures(self, books: Books) -> dict[str, float]:
        names = ("stores", "loads", "same_filled", "huge", "unsized")
        out: dict[str, float] = {f"zram.{name}": books.count[f"zram.{name}"] for name in names}
        out["zram.pages_peak"], out["zram.pages_end"] = books.peak["zram"], books.now["zram"]
        out["zram.pool_bytes_peak"] = books.peak["zram_bytes"]
        span = (books.last_ts or 0) - books.first_ts
        out["zram.pool_bytes_avg"] = books.area["zram_bytes"] / span if span else books.peak["zram_bytes"]
        if books.count["occupied"]:
            out["zram.ratio"] = PAGE * books.count["zram.stores"] / books.count["occupied"]
        return out
