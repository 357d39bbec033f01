"""Op-at-a-time twins of every layout, written from the rules in their docstrings: dicts only."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters, SlowVirtualClusters


def levels(clusters: int) -> int:
    d = 1
    while clusters > 64**d:
        d += 1
    return d


class SlowLayout:
    """Common to all: who holds which entry, and what one page op costs."""

    direct = False

    def __init__(self, slots: int, **params: str) -> None:
        self.static = 0

    def enter(self, op: SlowOp) -> None: ...

    def entry(self, op: SlowOp) -> int:
        return -1

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        raise NotImplementedError

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None: ...


class SlowSwapTable(SlowLayout):
    direct = True

    def __init__(self, slots: int, phase: str = "p4", prefer: str = "nonfull") -> None:
        per_slot = {"p1": 3.125, "p2": 3.125, "p3": 2.125, "p4rfc": 0, "p4": 0}[phase]
        self.phase = phase
        self.static = int(slots * per_slot) + slots // 512 * (48 if phase == "p4" else 32)
        self.page = 5120 if phase == "p4" else 4096
        self.clusters = SlowPhysicalClusters(slots, 8, 512, prefer == "free")
        self.slot: dict[int, int] = {}
        self.idle: set[int] = set()

    def enter(self, op: SlowOp) -> None:
        self.now = self.slot.get(op.obj, -1)
        if op.name == "NEW":
            self.now, _ = self.clusters.step(False, op.obj, op.cpu)
            self.slot[op.obj] = self.now
        elif op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            del self.slot[op.obj]

    def entry(self, op: SlowOp) -> int:
        return self.now

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        books.now["virtual"] = books.now["physical"] = len(self.slot)
        books.now["meta"] = self.clusters.used_clusters() * self.page
        if op.out or op.name == "FREE":
            self.idle.discard(op.obj)
        if op.out and op.backing in ("ZERO", "SAME", "SHARED"):
            self.idle.add(op.obj)
        books.now["idle"] = len(self.idle) + books.now["buffered"]
        early = self.phase in ("p1", "p2", "p3")
        walks = {"NEW": 3 + 2 * early, "REWRITE": 2 + early, "IN": 4 + 2 * early, "HIT": 2, "FREE": 1}[op.name]
        lines = 2 + (self.phase in ("p1", "p2"))
        lines += self.phase != "p4rfc" and op.name in ("NEW", "IN", "FREE")
        lines += early and op.name in ("NEW", "REWRITE", "IN")
        return walks, lines


class SlowVirtual(SlowLayout):
    cluster_bytes = 0
    fixed_lines = 0
    descriptor = 0

    def __init__(self, slots: int) -> None:
        self.clusters = SlowVirtualClusters(512)
        self.place: dict[int, tuple[int, int]] = {}

    def enter(self, op: SlowOp) -> None:
        if op.name == "NEW":
            key, position, _ = self.clusters.step(False, op.obj, op.cpu)
            self.place[op.obj] = (key, position)
        self.key, self.position = self.place[op.obj]
        if op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            del self.place[op.obj]
        self.d = levels(len(self.clusters.clusters))

    def settle(self, books: Books) -> None:
        books.now["virtual"] = len(self.place)
        rmap = 8 * 512 * books.now["clusters"] + 8 * self.segment_pages * books.now["segments"]
        books.now["meta"] = len(self.clusters.clusters) * self.cluster_bytes + rmap

    segment_pages = 0

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None:
        per_run = -(-len(run) // 512)
        books.count["lookups.writeback"] += per_run
        books.count["lines"] += per_run + -(-len(run) // 8)
        books.count["lines"] += sum(gc for _, gc in run)
        for gc, name in ((False, "writeback"), (True, "gc")):
            blocks = [block for block, copied in run if copied == gc]
            if dedup:
                books.count[f"lookups.{name}"] += len(blocks)
                books.count["lines"] += len(blocks)
                continue
            places = [self.place[block] for block in blocks]  # type: ignore[index]
            clusters = {key for key, _ in places}
            touched = {
                (key, line)
                for key, position in places
                for line in (position * self.descriptor // 64, (position * self.descriptor + self.descriptor - 1) // 64)
            }
            books.count[f"lookups.{name}"] += len(clusters)
            books.count["lines"] += len(clusters) * (self.d + self.fixed_lines) + len(touched)


class SlowVswapV6(SlowVirtual):
    fixed_lines, descriptor = 2, 24

    def __init__(self, slots: int, mru: str = "1", bytes: str = "published") -> None:
        super().__init__(slots)
        self.mru = mru == "1"
        self.cluster_bytes = {"published": int(512 * 24.125), "real": 12553}[bytes]
        self.static = slots // 4
        self.cache: dict[int, int] = {}

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk = op.backing == "DISK"
        if op.out:
            walks = 6 if disk else 5
        else:
            walks = {"IN": 12 if disk else 11 if op.backing == "BUFFER" else 10, "HIT": 5, "FREE": 1}[op.name]
        bypass = 2 if op.name in ("IN", "HIT") else 0
        hit = False
        if self.mru and op.sub == 0:
            hit = self.cache.get(op.cpu) == self.key
            self.cache[op.cpu] = self.key
            books.count["mru_asked"] += walks - bypass
            books.count["indirection.mru_hits"] += walks - bypass - (not hit)
        start = 24 * self.position % 64
        lines = (0 if hit and not bypass else self.d) + 2 + (2 if start + 24 > 64 else 1)
        lines += op.name in ("NEW", "FREE")
        took = op.took and disk
        walks += 2 * took + op.gave + (op.name == "IN" and disk)
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines


class SlowVswapTable(SlowVirtual):
    fixed_lines, descriptor = 1, 8
    cluster_bytes = 80 + 4096 + 4096 + 1024 + 9

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.static = slots // 512 * 48

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk, zero = op.backing == "DISK", op.backing == "ZERO"
        took = op.took and disk
        if op.out:
            walks = 4 + took
        elif op.name == "IN":
            walks = 5 + (not zero) + disk
        else:
            walks = 2 if op.name == "HIT" else 1
        walks += op.gave
        lines = self.d + 2
        lines += not zero and op.name != "HIT"
        lines += op.name in ("NEW", "IN", "FREE")
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines
