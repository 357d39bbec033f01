"""What slow layouts have in common: who holds which entry, and what one page op costs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

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
    mixed = False  # some entries are slots, others virtual
    rmap = True

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

    areas: Sequence[tuple[int, int, int]] = ()

    def several_devices(self, areas: Sequence[tuple[int, int, int]]) -> None:
        """Hear first slot, slots and priority of the swap devices: they are not one."""

    def scan(self, op: SlowOp, books: Books, dedup: bool) -> None:
        """Charge what the allocator passed over: nothing but lines of its own table."""
        for taken, passed in op.scans:
            books.count["lines.scan"] += table_lines(taken, [slot for slot, _ in passed], 8)

    def further(self, op: SlowOp) -> int:
        """Walks of a further page of a folio."""
        return 0


def table_lines(taken: int, passed: list[int], per_line: int) -> int:
    return len({slot // per_line for slot in passed} - {taken // per_line})


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
            for cluster in {key for key, _ in places}:
                books.count[f"lookups.{name}"] += 1
                books.count["lines"] += self.d + self.run_lines({at for key, at in places if key == cluster})

    def run_lines(self, positions: set[int]) -> int:
        """Lines of one virtual cluster of which entries are updated."""
        size = self.descriptor
        return self.fixed_lines + len({byte // 64 for at in positions for byte in (at * size, at * size + size - 1)})
