"""Twin of `swaptrace.layouts.vswap_table`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowVirtual


class SlowVswapTable(SlowVirtual):
    fixed_lines, descriptor = 1, 8
    cluster_bytes = 80 + 4096 + 4096 + 1024 + 9

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.static = slots // 512 * 48

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk, zero = op.backing in ("DISK", "RAM"), op.backing == "ZERO"
        took = op.took and disk
        if op.out:
            walks = 4 + took
        elif op.name == "IN":
            walks = 5 + (not zero) + disk
        elif op.name == "WRITEBACK":
            walks = 2 + took if op.store else 1
        else:
            walks = 2 if op.name == "HIT" else 1
        walks += op.gave
        lines = self.d + 2
        lines += not zero and op.name not in ("HIT", "DUP", "PUT")
        lines += op.name in ("NEW", "IN", "FREE")
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines
