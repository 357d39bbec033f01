"""A whole policy, one op at a time: the layout, the path of stages, and the figures that a report must show."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.ftl import SlowFtl
from tests.oracle.layouts import SlowLayout, SlowVirtual
from tests.oracle.stages import SlowDedup, SlowFlash, SlowSlots, SlowZero


class SlowPolicy:
    """A layout and its path, one op at a time."""

    def __init__(
        self,
        layout: SlowLayout,
        zero: SlowZero | None,
        dedup: SlowDedup | None,
        place: SlowSlots | SlowFlash,
        ftl: SlowFtl | None,
    ) -> None:
        self.layout, self.zero, self.dedup, self.place, self.ftl = layout, zero, dedup, place, ftl
        self.books = Books()
        self.direct_map = isinstance(place, SlowFlash) and layout.direct
        if isinstance(place, SlowFlash) and isinstance(layout, SlowVirtual):
            layout.segment_pages = place.segment_pages
        self.walks: Counter[str] = Counter()

    def step(self, op: SlowOp) -> None:
        books = self.books
        books.begin(op.ts)
        op.store, op.fetch, op.block = op.out, op.name == "IN", op.obj
        op.inplace = op.name == "REWRITE"
        op.drop = op.obj if op.name == "FREE" else None
        op.backing = "CACHE" if op.name == "HIT" else ""
        self.layout.enter(op)
        if self.zero:
            self.zero.step(op, books)
        if self.dedup:
            self.dedup.step(op, books)
        done = len(books.stream)
        if isinstance(self.place, SlowFlash):
            self.place.step(op, books)
        else:
            self.place.step(op, books, self.layout.entry(op), self.layout.direct and not self.dedup)
        if self.ftl:
            for page in books.stream[done:]:
                self.ftl.step(page)
        walks, lines = self.layout.charge(op, books)
        if self.direct_map:
            assert isinstance(self.place, SlowFlash)
            books.now["meta"] += 8 * len(self.place.log.address)
        if op.sub:
            walks, lines = 0, int(op.sub % 8 == 0)
        self.walks[
            {"NEW": "swap_out", "REWRITE": "swap_out", "IN": "swap_in", "HIT": "swap_in", "FREE": "free"}[op.name]
        ] += walks
        books.count["lines"] += lines
        if isinstance(self.place, SlowFlash) and not self.layout.direct:
            for run in self.place.moved:
                self.layout.move(run, books, self.dedup is not None)
        books.end()

    def figures(self) -> dict[str, float]:
        b = self.books
        out: dict[str, Any] = {f"indirection.lookups.{op}": self.walks[op] for op in ("swap_out", "swap_in", "free")}
        for name in ("writeback", "gc"):
            out[f"indirection.lookups.{name}"] = b.count[f"lookups.{name}"]
        out["indirection.lookups"] = sum(out.values())
        out["indirection.cachelines"] = b.count["lines"]
        static = self.layout.static
        out["indirection.metadata_bytes.static"] = static
        out["indirection.metadata_bytes.peak"] = static + b.peak["meta"]
        out["indirection.metadata_bytes.end"] = static + b.now["meta"]
        span = (b.last_ts or 0) - b.first_ts
        out["indirection.metadata_bytes.avg"] = static + (b.area["meta"] / span if span else b.peak["meta"])
        if b.at_meta_peak:
            out["indirection.metadata_bytes_per_slot"] = b.peak["meta"] / b.at_meta_peak
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
        for name in ("zero_pages", "same_filled_pages"):
            if self.zero:
                out[f"dedup.{name}"] = b.count[f"dedup.{name}"]
        if self.dedup:
            for name in ("hits", "cross_memcg_hits", "unhashed", "saved_bytes", "refs_max"):
                out[f"dedup.{name}"] = b.count[f"dedup.{name}"]
            if b.count["arrived"]:
                out["dedup.hit_rate"] = b.count["dedup.hits"] / b.count["arrived"]
            out["dedup.unique_peak"] = b.peak["unique"]
            out["dedup.index_bytes_peak"] = 24 * b.peak["unique"]
        if isinstance(self.place, SlowFlash):
            out["write.absorbed_pages"] = b.count["write.absorbed_pages"]
            out["write.host_gc_bytes"] = PAGE * b.count["gc_pages"]
            out["buffer.hits"] = b.count["buffer.hits"]
            out["buffer.pages_end"] = len(self.place.log.buffer)
            out["buffer.bytes_peak"] = PAGE * b.peak["buffered"]
        if self.ftl:
            out["write.flash_bytes"] = PAGE * self.ftl.flash_pages
            out["write.erases"] = self.ftl.erases
        return out
