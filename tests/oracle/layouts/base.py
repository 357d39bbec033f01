"""What slow layouts have in common: who holds which entry, and what one page op costs."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import Books, SlowOp
from tests.oracle.clusters import SlowVirtualClusters


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

    def pages_per_segment(self, pages: int) -> None:
        """Hear how many pages a segment of the placement below has."""


class SlowVirtual(SlowLayout):
    cluster_bytes = 0
    fixed_lines = 0
    descriptor = 0

    def __init__(self, slots: int) -> None:
        self.clusters = SlowVirtualClusters(512)
        self.place: dict[int, tuple[int, int]] = {}

    def enter(self, op: SlowOp) -> None:
        self.ended: dict[int, tuple[int, int]] = {}
        if op.name == "NEW":
            key, position, _ = self.clusters.step(False, op.obj, op.cpu)
            self.place[op.obj] = (key, position)
        self.key, self.position = self.place[op.obj]
        if op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            self.ended[op.obj] = self.place.pop(op.obj)
        self.d = levels(len(self.clusters.clusters))

    def settle(self, books: Books) -> None:
        books.now["virtual"] = len(self.place)
        rmap = 8 * 512 * books.now["clusters"] + 8 * self.segment_pages * books.now["segments"]
        books.now["meta"] = len(self.clusters.clusters) * self.cluster_bytes + rmap

    segment_pages = 0

    def pages_per_segment(self, pages: int) -> None:
        self.segment_pages = pages

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None:
        per_run = -(-len(run) // 512)
        books.count["lookups.writeback"] += per_run
        run = [page for page in run if page[0] is not None]  # without the padding
        books.count["lines"] += per_run + -(-len(run) // 8)
        books.count["lines"] += sum(gc for _, gc in run)
        for gc, name in ((False, "writeback"), (True, "gc")):
            blocks = [block for block, copied in run if copied == gc]
            if dedup:
                books.count[f"lookups.{name}"] += len(blocks)
                books.count["lines"] += len(blocks)
                continue
            places = [(self.place | self.ended)[block] for block in blocks]  # type: ignore[index]
            clusters = {key for key, _ in places}
            touched = {
                (key, line)
                for key, position in places
                for line in (position * self.descriptor // 64, (position * self.descriptor + self.descriptor - 1) // 64)
            }
            books.count[f"lookups.{name}"] += len(clusters)
            books.count["lines"] += len(clusters) * (self.d + self.fixed_lines) + len(touched)
