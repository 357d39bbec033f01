"""A whole policy, one op at a time: the layout, the path of stages, and the figures that a report must show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Any

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.layouts import SlowLayout
from tests.oracle.stages import SlowStage
from tests.oracle.stages.dedup import SlowDedup
from tests.oracle.swapoff import SlowCensus

COUNTED_AS = {
    "NEW": "swap_out", "REWRITE": "swap_out", "DUP": "swap_out", "IN": "swap_in", "HIT": "swap_in", "FREE": "free",
    "PUT": "free", "WRITEBACK": "writeback",
}  # fmt: skip


class SlowPolicy:
    """A layout and its path, one op at a time."""

    def __init__(self, layout: SlowLayout, stages: Sequence[SlowStage]) -> None:
        self.layout, self.stages = layout, stages
        self.books = Books()
        self.walks: Counter[str] = Counter()
        self.census = SlowCensus()

    def step(self, op: SlowOp) -> None:
        books = self.books
        books.begin(op.ts)
        op.store, op.fetch, op.block = op.out, op.name == "IN", op.obj
        op.inplace = op.name == "REWRITE"
        op.drop = op.obj if op.name == "FREE" else None
        op.backing = "CACHE" if op.name == "HIT" else ""
        seen = [op]
        for stage in self.stages:
            if not stage.placing:
                seen = [below for above in seen for below in stage.step(above, books)]
        levels, books.pending = books.pending, []
        for each, level in zip_longest(seen, levels, fillvalue=None):
            assert each is not None
            for gauge, value in (level or {}).items():
                books.now[gauge] = value
            self.place(each)
            books.end()
        if not seen:
            books.end()

    def place(self, op: SlowOp) -> None:
        books = self.books
        self.layout.enter(op)
        for stage in self.stages:
            if stage.placing:
                stage.step(op, books)
        walks, lines = self.layout.charge(op, books)
        walks, lines = walks + op.device_walk, lines + op.device_walk
        self.layout.scan(op, books, any(isinstance(stage, SlowDedup) for stage in self.stages))
        if op.sub:
            walks, lines = self.layout.further(op), int(op.sub % 8 == 0) * (1 + op.device_walk)
        self.walks[COUNTED_AS[op.name]] += walks
        books.count["lines"] += lines
        for stage in self.stages:
            stage.settle(books)
        self.census.step(op)

    def figures(self) -> dict[str, float]:
        b = self.books
        out: dict[str, Any] = {f"indirection.lookups.{op}": self.walks[op] for op in ("swap_out", "swap_in", "free")}
        for name in ("writeback", "gc"):
            out[f"indirection.lookups.{name}"] = b.count[f"lookups.{name}"] + self.walks[name]
        out["indirection.lookups.scan"] = b.count["lookups.scan"]
        out["indirection.lookups"] = sum(out.values())
        out["indirection.cachelines"] = b.count["lines"] + b.count["lines.scan"]
        out["indirection.cachelines.scan"] = b.count["lines.scan"]
        static = self.layout.static
        out["indirection.metadata_bytes.static"] = static
        out["indirection.metadata_bytes.peak"] = static + b.peak["all_meta"]
        out["indirection.metadata_bytes.end"] = static + b.now["all_meta"]
        span = (b.last_ts or 0) - b.first_ts
        out["indirection.metadata_bytes.avg"] = static + (b.area["all_meta"] / span if span else b.peak["all_meta"])
        if b.at_meta_peak:
            out["indirection.metadata_bytes_per_slot"] = b.peak["all_meta"] / b.at_meta_peak
        if b.count["mru_asked"]:
            out["indirection.mru_hits"] = b.count["indirection.mru_hits"]
            out["indirection.mru_hit_rate"] = b.count["indirection.mru_hits"] / b.count["mru_asked"]
        out["slots.virtual_peak"] = b.peak["virtual"]
        out["slots.physical_peak"] = b.peak["physical"]
        out["slots.physical_idle_peak"] = b.peak["idle"]
        out["write.host_bytes"] = PAGE * len(b.written)
        out["read.device_bytes"] = PAGE * len(b.read)
        for name, pages in (("write", b.written), ("read", b.read)):
            follows = sum(y == x + 1 for x, y in pairwise(pages))
            out[f"{name}.requests"] = len(pages) - follows
            if name == "write" and pages:
                out["write.sequential_share"] = follows / len(pages)
        for stage in self.stages:
            out |= stage.figures(b)
        return out
