"""Twin of `swaptrace.stages.tiers`: a dict per tier."""

from __future__ import annotations

from collections.abc import Hashable

from swaptrace.model.units import parse_share, parse_time_ns
from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters
from tests.oracle.layouts.base import SlowVirtual
from tests.oracle.stages.base import SlowStage, World, pages


class SlowTiers(SlowStage):
    placing = True

    def __init__(self, world: World, sizes: str, memcg: str, demote: str, prefer: str) -> None:
        self.layout, self.dedup = world.layout, world.shared
        self.at_entry = world.layout.direct and not self.dedup
        self.sizes = [int(parse_share(s) * world.slots) if s.endswith("%") else pages(s) for s in sizes.split("/")]
        self.clusters = [SlowPhysicalClusters(size, 8, 512, prefer == "free") for size in self.sizes]
        self.masks = {} if memcg == "all" else {int(p.split("@")[0]): p.split("@")[1] for p in memcg.split("/")}
        self.age = None if demote == "off" else parse_time_ns(demote)
        self.where: dict[Hashable, tuple[int, int]] = {}  # block -> tier, slot
        self.block_in: dict[tuple[int, int], Hashable] = {}
        self.pages = [0] * len(self.sizes)  # in each tier
        self.touched: dict[Hashable, tuple[int, int]] = {}  # block -> time, order
        self.given_up: set[Hashable] = set()
        self.allowed: dict[Hashable, list[int]] = {}
        self.units: dict[Hashable, int] = {}
        self.order = 0
        self.moved: list[Hashable] = []
        self.mapped_clusters: set[tuple[int, int]] = set()
        self.memcg: dict[Hashable, int] = {}  # object -> cgroup that wrote it out last

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        as_entry = self.at_entry or op.mapped
        drop = (op.obj if op.name == "FREE" else None) if as_entry else op.drop
        takes = op.name == "NEW" if as_entry else op.store and not op.inplace
        self.moved = []
        if op.name in ("NEW", "REWRITE"):
            self.memcg[op.obj] = op.memcg
        if drop is not None:
            self._give(drop, op, books)
            del self.touched[drop]
            op.gave = not self.at_entry
        if takes:
            self._take(op, books)
            op.took = not self.at_entry
            if op.mapped:
                tier, slot = self.where[op.block]
                self.mapped_clusters.add((tier, slot // 512))
        if op.store or op.fetch:
            tier, slot = self.where[op.block]
            self._traffic(op.store, tier, slot, books)
        if takes or op.store or op.fetch:
            self._touch(op.block, op.ts)
        if (drop is not None or takes or op.store or op.fetch) and self.age is not None:
            for tier in range(len(self.sizes) - 1):
                self._demote(tier, op, books)
        self.mapped_clusters &= {(tier, slot // 512) for tier, slot in self.where.values()}
        books.now["mapped_clusters"] = len(self.mapped_clusters)
        if self.at_entry:
            op.entry_clusters = sum(clusters.used_clusters() for clusters in self.clusters)
        else:
            books.now["physical"] = len(self.where)
        for tier in range(len(self.sizes)):
            books.now[f"tier{tier}"] = self.pages[tier]
        op.backing = op.backing or "DISK"
        return [op]

    def _demote(self, tier: int, op: SlowOp, books: Books) -> None:
        while True:
            here = [b for b, (t, _) in self.where.items() if t == tier and b not in self.given_up]
            if not here:
                return
            block = min(here, key=lambda b: self.touched[b])
            assert self.age is not None
            if op.ts - self.touched[block][0] < self.age:
                return
            lower = [t for t in self.allowed[block] if t > tier]
            free = [t for t in lower if self._room(t)]
            if not lower:
                self.given_up.add(block)
                continue
            if not free:
                return
            self._traffic(False, *self._give(block, op, books), books)
            self._put(block, free[0], op, books)
            self._traffic(True, *self.where[block], books)
            books.count["demoted"] += 1
            self.moved.append(block)
            self._touch(block, op.ts)

    def _room(self, tier: int) -> bool:
        return self.pages[tier] < self.sizes[tier] - 1

    def _take(self, op: SlowOp, books: Books) -> None:
        every = list(range(len(self.sizes)))
        memcg = self.memcg[op.obj]
        allowed = sorted({int(d) - 1 for d in self.masks[memcg]}) if memcg in self.masks else every
        free = [t for t in allowed if self._room(t)]
        books.count["overflow"] += free[0] != allowed[0]
        self.allowed[op.block] = allowed
        self._put(op.block, free[0], op, books)

    def _put(self, block: Hashable, tier: int, op: SlowOp, books: Books) -> None:
        slot, change = self.clusters[tier].step(False, self.units.setdefault(block, len(self.units)), op.cpu)
        self._used(change, books)
        if self.at_entry:
            op.scans.append((slot, [(s, None) for run in self.clusters[tier].passed for s in run]))
        else:
            passed = [s for run in self.clusters[tier].passed for s in run]
            op.scans.append((slot, [(s, self.block_in[tier, s]) for s in passed]))
            self.block_in[tier, slot] = block
        self.where[block] = tier, slot
        self.pages[tier] += 1

    def _give(self, block: Hashable, op: SlowOp, books: Books) -> tuple[int, int]:
        tier, slot = self.where.pop(block)
        self.pages[tier] -= 1
        _, change = self.clusters[tier].step(True, self.units[block], op.cpu)
        self._used(change, books)
        return tier, slot

    def _used(self, change: int, books: Books) -> None:
        if not self.at_entry:
            books.now["clusters"] += change

    def _touch(self, block: Hashable, ts: int) -> None:
        self.order += 1
        self.touched[block] = ts, self.order
        self.given_up.discard(block)

    def _traffic(self, write: bool, tier: int, slot: int, books: Books) -> None:
        page = sum(self.sizes[:tier]) + slot
        (books.written if write else books.read).append(page)
        books.count[f"tier{tier}.{'written' if write else 'read'}"] += 1

    def settle(self, books: Books) -> None:
        if isinstance(self.layout, SlowVirtual):
            for block in self.moved:
                self.layout.move([(block, True)], books, self.dedup)

    def figures(self, books: Books) -> dict[str, float]:
        out: dict[str, float] = {
            "tiers.overflow_pages": books.count["overflow"],
            "tiers.demoted_pages": books.count["demoted"],
        }
        for tier in range(len(self.sizes)):
            out[f"tiers.{tier + 1}.pages_peak"] = books.peak[f"tier{tier}"]
            for name in ("written", "read"):
                out[f"tiers.{tier + 1}.{name}_bytes"] = PAGE * books.count[f"tier{tier}.{name}"]
        return out
