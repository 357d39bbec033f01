"""Twin of `swaptrace.layouts.vswap_v6`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowVirtual


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
        disk = op.backing in ("DISK", "RAM")
        if op.out:
            walks = 1 + 1 + 2 + (1 if op.backing in ("ZERO", "SAME") else 2)
        else:
            read = 12 + (disk or op.backing in ("BUFFER", "ZSWAP"))
            walks = {"IN": read, "HIT": 6, "FREE": 1, "WRITEBACK": 2, "DUP": 1, "PUT": 1}[op.name]
            if op.name == "WRITEBACK" and not op.store:
                walks = 1
        bypass = 2 if op.name in ("IN", "HIT") else 0
        hit = False
        if self.mru and op.sub == 0:
            hit = self.cache.get(op.cpu) == self.key
            self.cache[op.cpu] = self.key
            books.count["mru_asked"] += walks - bypass
            books.count["indirection.mru_hits"] += walks - bypass - (not hit)
        start = 24 * self.position % 64
        lines = (0 if hit and not bypass else self.d) + 2 + (2 if start + 24 > 64 else 1)
        took = op.took and disk
        walks += 2 * took + op.gave + (op.name == "IN" and disk)
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines
