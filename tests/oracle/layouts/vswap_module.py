"""Twin of `swaptrace.layouts.vswap_module` and `swaptrace.layouts.bypass`."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowLayout
from tests.oracle.layouts.swap_table import zswap_walks
from tests.oracle.layouts.vswap_table import SlowVswapTable


class SlowVswapModule(SlowLayout):
    def __init__(self, slots: int, share: str, bypass: str, redirect: str, memcg_table: str, mru: str) -> None:
        self.virtual = SlowVswapTable(slots, redirect, memcg_table, mru)
        self.static, self.rmap = self.virtual.static, self.virtual.rmap
        self.share = Fraction(share.rstrip("%")) / (100 if share.endswith("%") else 1)
        self.chosen = set() if bypass == "none" else set(bypass.split("/"))
        self.mixed = self.share < 1 or bool(self.chosen)
        self.past: dict[int, bool] = {}  # by live object
        self.idle: set[int] = set()
        self.before: SlowOp | None = None
        self.last = False
        self.k = 0

    def enter(self, op: SlowOp) -> None:
        if op.name == "NEW":
            self.past[op.obj] = self._decide(op)
            self.before = op
        op.mapped = self.past[op.obj]
        if not op.mapped:
            self.virtual.enter(op)
        if op.name == "FREE":
            del self.past[op.obj]

    def _decide(self, op: SlowOp) -> bool:
        if self.before is not None and self.before.cpu == op.cpu and self.before.sub < op.sub:
            return self.last
        if str(op.memcg) in self.chosen:
            self.last = True
        else:
            self.k += 1
            self.last = floor(self.k * self.share) == floor((self.k - 1) * self.share)
        return self.last

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        if self.mixed:
            books.now["entries"] = len(self.past)
        if not op.mapped:
            costs = self.virtual.charge(op, books)
        else:
            self.virtual.settle(books)
            if not self.virtual.vtable:
                books.now["meta"] += 9 * sum(obj in self.virtual.place for obj in op.pool)
            if op.out or op.name in ("FREE", "WRITEBACK"):
                self.idle.discard(op.obj)
            if op.out and op.backing in ("ZERO", "SAME", "ZSWAP"):
                self.idle.add(op.obj)
            walks = {"NEW": 3, "REWRITE": 2, "IN": 4, "HIT": 2, "FREE": 1, "WRITEBACK": 2, "DUP": 1, "PUT": 1}[op.name]
            lines = 2 + (self.virtual.memcg and op.name in ("NEW", "IN", "FREE"))
            tree = zswap_walks(op)
            costs = walks + tree, lines + 3 * (tree > 0)
        books.now["idle"] = len(self.idle)
        books.now["meta"] += 9 * sum(self.past.get(obj, False) for obj in op.pool)
        return costs
