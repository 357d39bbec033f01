"""Twin of `swaptrace.layouts.vswap_table` and `swaptrace.layouts.redirect`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowVirtual
from tests.oracle.layouts.swap_table import zswap_walks


class SlowVswapTable(SlowVirtual):
    fixed_lines, descriptor = 1, 8

    def __init__(self, slots: int, redirect: str = "8", memcg_table: str = "deferred", mru: str = "0") -> None:
        super().__init__(slots)
        self.redirect, self.eager, self.mru = redirect, memcg_table == "eager", mru == "1"
        self.memcg = redirect in ("4", "8")
        self.rmap = redirect in ("8", "24")
        self.vtable = redirect != "4"
        self.static = slots // 512 * (48 if self.memcg else 32)
        self.cluster_bytes = 48 * self.memcg + 32 * (not self.memcg) + 32 + 4096 + 9
        self.cluster_bytes += 4096 * self.vtable + 1024 * self.memcg
        self.redirected: set[int] = set()
        self.cache: dict[int, int] = {}

    def settle(self, books: Books) -> None:
        books.now["virtual"] = len(self.place)
        mapped = books.now["mapped_clusters"]
        slots = 512 * books.now["clusters"] + self.segment_pages * books.now["segments"]
        meta = len(self.clusters.clusters) * self.cluster_bytes
        if self.rmap:
            meta += 8 * slots
        else:
            meta += 4096 * mapped + (slots - 512 * mapped) // 8
        if self.memcg:
            meta += 2 * slots if self.eager else 1024 * mapped
        if self.redirect == "4":
            meta += 4 * len(self.redirected)
        books.now["meta"] = meta

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        if op.out:
            self.redirected.discard(op.obj)
        if (op.out and op.backing not in ("ZERO", "ZSWAP", "ZSWAP_SHARED")) or op.name == "WRITEBACK":
            self.redirected.add(op.obj)
        if op.name == "FREE":
            self.redirected.discard(op.obj)
        self.settle(books)
        tree = 0
        if not self.vtable:
            tree = zswap_walks(op)
            books.now["meta"] += 9 * sum(obj in self.place for obj in op.pool)
        disk, zero = op.backing in ("DISK", "RAM"), op.backing == "ZERO"
        pooled = op.backing in ("ZSWAP", "ZSWAP_SHARED")
        nothing = zero or (not self.vtable and pooled)  # there is no backing to be resolved
        took = op.took and disk
        if op.out:
            walks = 4
        elif op.name == "IN":
            walks = 5 + (not nothing)
        elif op.name == "WRITEBACK":
            walks = 2 if op.store else 1
        else:
            walks = 2 if op.name == "HIT" else 1
        hit = False
        if self.mru and op.sub == 0:
            hit = self.cache.get(op.cpu) == self.key
            self.cache[op.cpu] = self.key
            books.count["mru_asked"] += walks
            books.count["indirection.mru_hits"] += walks - (not hit)
        walks += took + op.gave + (op.name == "IN" and disk) + tree
        lines = 2 + (0 if hit else self.d)
        lines += not nothing and op.name not in ("HIT", "DUP", "PUT")
        lines += self.memcg and op.name in ("NEW", "IN", "FREE")
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        lines += 3 * (tree > 0)
        return walks, lines
