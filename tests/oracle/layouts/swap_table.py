"""Twin of `swaptrace.layouts.swap_table`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.books import Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters
from tests.oracle.layouts.base import SlowLayout, table_lines


class SlowSwapTable(SlowLayout):
    direct = True

    def __init__(self, slots: int, phase: str = "p4", prefer: str = "nonfull") -> None:
        per_slot = {"p1": 3.125, "p2": 3.125, "p3": 2.125, "p4rfc": 0, "p4": 0}[phase]
        self.phase = phase
        self.static = int(slots * per_slot) + slots // 512 * (48 if phase == "p4" else 32)
        self.page = 5120 if phase == "p4" else 4096
        self.slots, self.spread = slots, prefer == "free"
        self.clusters = SlowPhysicalClusters(slots, 8, 512, self.spread)
        self.slot: dict[int, int] = {}
        self.idle: set[int] = set()

    def several_devices(self, areas: Sequence[tuple[int, int, int]]) -> None:
        self.areas = areas
        self.clusters = SlowPhysicalClusters(self.slots, 8, 512, self.spread, areas)

    def enter(self, op: SlowOp) -> None:
        self.now = self.slot.get(op.obj, -1)
        if op.name == "NEW":
            self.now, _ = self.clusters.step(False, op.obj, op.cpu)
            self.slot[op.obj] = self.now
            self.passed = [slot for run in self.clusters.passed for slot in run]
        elif op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            del self.slot[op.obj]

    def entry(self, op: SlowOp) -> int:
        return self.now

    def scan(self, op: SlowOp, books: Books, dedup: bool) -> None:
        per_line = 64 if self.phase in ("p1", "p2") else 8
        found = [(self.now, self.passed)] if op.name == "NEW" else []
        if op.entry_clusters is not None:
            found = [(taken, [slot for slot, _ in passed]) for taken, passed in op.scans]
        for taken, passed in found:
            books.count["lines.scan"] += table_lines(taken, passed, per_line)

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        books.now["virtual"] = books.now["physical"] = len(self.slot)
        used = self.clusters.used_clusters() if op.entry_clusters is None else op.entry_clusters
        books.now["meta"] = used * self.page + 9 * books.now["pooled"]
        if op.out or op.name in ("FREE", "WRITEBACK"):
            self.idle.discard(op.obj)
        if op.out and op.backing in ("ZERO", "SAME", "SHARED", "ZSWAP", "ZSWAP_SHARED"):
            self.idle.add(op.obj)
        books.now["idle"] = len(self.idle) + books.now["buffered"]
        early = self.phase in ("p1", "p2", "p3")
        walks = {
            "NEW": 3 + 2 * early,
            "REWRITE": 2 + early,
            "IN": 4 + 2 * early,
            "HIT": 2,
            "FREE": 1,
            "WRITEBACK": 2,
            "DUP": 1,
            "PUT": 1,
        }[op.name]
        lines = 2 + (self.phase in ("p1", "p2"))
        lines += self.phase != "p4rfc" and op.name in ("NEW", "IN", "FREE")
        lines += early and op.name in ("NEW", "REWRITE", "IN")
        tree = zswap_walks(op)
        return walks + tree, lines + 3 * (tree > 0)


def zswap_walks(op: SlowOp) -> int:
    if op.name == "WRITEBACK":
        return 2
    if op.backing == "ZSWAP_SHARED":
        return 1
    if op.backing != "ZSWAP":
        return 0
    return {"NEW": 1, "REWRITE": 1, "IN": 2, "FREE": 1}.get(op.name, 0)
