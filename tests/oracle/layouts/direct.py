"""Twin of `swaptrace.layouts.direct`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.swap_table import SlowSwapTable


class SlowDirect(SlowSwapTable):
    def __init__(self, slots: int, bytes: str = "real", prefer: str = "nonfull") -> None:
        super().__init__(slots, "p1", prefer)  # who holds which slot is the same
        self.static = int(slots * 3.125)
        self.node_share = 9 if bytes == "real" else 8

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        super().charge(op, books)
        books.now["meta"] = self.node_share * (len(self.slot) + books.now["pooled"])
        arrays = {"NEW": 4, "REWRITE": 2, "IN": 4, "HIT": 1, "FREE": 1, "WRITEBACK": 2, "DUP": 1, "PUT": 1}[op.name]
        cache = {"NEW": 2, "REWRITE": 1, "IN": 2, "HIT": 1, "FREE": 1, "WRITEBACK": 2}.get(op.name, 0)
        pool = 2 if op.name == "WRITEBACK" else 0
        if op.backing == "ZSWAP":
            pool = {"NEW": 1, "REWRITE": 1, "IN": 2, "FREE": 1}.get(op.name, pool)
        lines = 1 + 3 * (cache > 0) + 3 * (pool > 0)
        lines += op.name in ("NEW", "IN", "FREE")
        lines += op.name in ("NEW", "REWRITE", "IN")
        return arrays + cache + pool, lines
