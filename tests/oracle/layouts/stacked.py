"""Twin of `swaptrace.layouts.stacked`: the upper layout's twin, and one map."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowLayout, SlowVirtual
from tests.oracle.layouts.vswap_table import SlowVswapTable
from tests.oracle.layouts.vswap_v6 import SlowVswapV6

UPPER: dict[str, type[SlowVirtual]] = {"vswap-v6": SlowVswapV6, "vswap-table": SlowVswapTable}


class SlowStacked(SlowLayout):
    def __init__(self, slots: int, upper: str) -> None:
        self.upper = UPPER[upper](slots)
        self.static = self.upper.static + 8 * slots

    def enter(self, op: SlowOp) -> None:
        self.upper.enter(op)

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        costs = self.upper.charge(op, books)
        op.device_walk = op.store or op.fetch or op.drop is not None  # charged on top by the policy
        books.now["meta"] += 8 * books.now["physical"]
        return costs

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None:
        self.upper.move(run, books, dedup)

    def scan(self, op: SlowOp, books: Books, dedup: bool) -> None:
        self.upper.scan(op, books, dedup)

    def pages_per_segment(self, pages: int) -> None:
        self.upper.pages_per_segment(pages)
