"""Twins of `swaptrace.layouts.vswap_v5`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowVirtual

HEADER = 104  # bytes of the cluster object before its descriptors


def lines_of(positions: set[int], first: int, last: int) -> int:
    """Lines of one cluster object: lock, bits of the bitmap, and the bytes first to last of the descriptors."""
    header = {0} | {(HEADER - 64 + position // 8) // 64 for position in positions}
    touched = {(HEADER + 24 * position + byte) // 64 for position in positions for byte in (first, last)}
    return len(header) + len(touched)


class SlowVswapV5(SlowVirtual):
    asks_before_free = 2  # memcg id, count down

    def __init__(self, slots: int, bytes: str = "published") -> None:
        super().__init__(slots)
        self.cluster_bytes = {"published": 12352, "real": 16393}[bytes]
        self.static = slots // 4

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk, in_ram = op.backing in ("DISK", "RAM"), op.backing in ("SHARED", "BUFFER", "ZSWAP", "ZSWAP_SHARED")
        took = op.took and disk
        read = op.name == "IN" and disk
        if op.out:
            by_content = 7 if disk else 5 if in_ram else 2
            if disk and not took and op.name == "REWRITE":
                by_content = 4
            walks = 1 + 1 + by_content + 4 + 2 * (op.name == "NEW")
        else:
            walks = {
                "IN": 12 + 2 * disk + in_ram,
                "HIT": 6,
                "FREE": self.asks_before_free + 2,
                "WRITEBACK": 5 if op.store else 1,
                "DUP": 1,
                "PUT": self.asks_before_free,
            }[op.name]
        walks += 2 * took + 2 * op.gave + read
        return walks, self.d + lines_of({self.position}, 0, 23) + 2 * (took or op.gave or read)

    def further(self, op: SlowOp) -> int:
        return 3 + 2 * op.gave if op.name == "FREE" else 0

    def scan(self, op: SlowOp, books: Books, dedup: bool) -> None:
        super().scan(op, books, dedup)
        blocks = [block for _, passed in op.scans for _, block in passed]
        books.count["lookups.scan"] += 2 * len(blocks)
        if dedup:
            books.count["lines.scan"] += len(blocks)
            return
        places = {self.place[block] for block in blocks}  # type: ignore[index]
        for cluster in {key for key, _ in places}:
            positions = {position for key, position in places if key == cluster}
            books.count["lines.scan"] += self.d + lines_of(positions, 16, 23)

    def run_lines(self, positions: set[int]) -> int:
        return lines_of(positions, 0, 23)


class SlowVswapV3(SlowVswapV5):
    asks_before_free = 3  # and whether its neighbour has the same backing

    def further(self, op: SlowOp) -> int:
        return 5 + 2 * op.gave if op.name == "FREE" else 0
