"""Twin of `swaptrace.stages.dedup`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.charges import SlowCharges
from tests.oracle.stages.base import SlowStage, World, duration


class SlowDedup(SlowStage):
    def __init__(
        self, world: World, scope: str, index: str, ttl: str, capacity: str, verify: str, entry: str, shared: str,
        charges: str,
    ) -> None:  # fmt: skip
        self.in_pool = scope == "zswap"
        self.charges = SlowCharges() if charges == "on" else None
        self.first: dict[Hashable, int] = {}  # content -> memcg of its first reference
        self.entry, self.loose = int(entry) + 8 * (verify == "hash"), index == "loose"
        self.verify = verify == "content"
        self.ttl, self.capacity, self.room = duration(ttl), int(capacity), world.slots - 1
        self.stale: dict[Hashable, int] = {}  # content that no object holds -> since when, the oldest first
        self.block_of: dict[Hashable, Hashable] = {}  # content -> block
        self.holders: dict[Hashable, dict[int, int]] = {}  # content -> object -> memcg that wrote it
        self.content: dict[int, Hashable] = {}  # object -> content that it holds below this stage
        self.blocks = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        if self.in_pool:
            return [op]
        old = self.content.get(op.obj)
        acts = op.store or op.drop is not None or op.inplace
        if op.store:
            books.count["arrived"] += 1
            self._store(op, old, books)
        elif op.fetch:
            op.block = self.block_of[old]
        elif op.drop is not None:
            op.drop = self._release(op.obj, old, books, op.ts)
            self.content.pop(op.obj)
        if self.stale and acts and op.drop is None and not op.inplace:
            self._clean(op, books)
        books.now["stale"] = len(self.stale)
        books.now["index"] = self.entry * (len(self.stale) + books.now["unique"])
        return [op]

    def _store(self, op: SlowOp, old: Hashable, books: Books) -> None:
        if op.hash is None:
            books.count["dedup.unhashed"] += 1
        content: Hashable = ("hash", op.hash) if op.hash is not None else ("own", books.count["dedup.unhashed"])
        live = bool(self.holders.get(content))
        hit = live or content in self.stale
        if hit:
            books.count["dedup.saved_bytes"] += PAGE
            books.count["dedup.verify_bytes"] += PAGE
        if hit and not live:
            books.count["dedup.stale_hits"] += 1
            books.now["unique"] += 1
            del self.stale[content]
        if live:
            books.count["dedup.hits"] += 1
            if op.memcg not in self.holders[content].values():
                books.count["dedup.cross_memcg_hits"] += 1
        dead = None
        if old is not None and old != content:
            dead = self._release(op.obj, old, books, op.ts)
        if not self.holders.get(content) and content != old:
            self.first[content] = op.memcg
        self.holders.setdefault(content, {})[op.obj] = op.memcg
        self._charge(content)
        if op.hash is not None:
            shared = len(self.holders[content]) + (old == content)  # the old reference is still held at the look-up
            books.count["dedup.refs_max"] = max(books.count["dedup.refs_max"], shared)
        self.content[op.obj] = content
        op.inplace = False
        if hit:
            op.store, op.backing, op.drop = False, "SHARED", dead
        else:
            op.inplace = dead is not None
            if dead is None:
                self.blocks += 1
                dead = ("block", self.blocks)
            self.block_of[content] = dead
            op.drop = None
            books.now["unique"] += 1
        op.block = self.block_of[content]

    def _clean(self, op: SlowOp, books: Books) -> None:
        oldest = next(iter(self.stale))
        full = len(self.stale) > self.capacity or len(self.stale) + books.now["unique"] > self.room
        if full or op.ts - self.stale[oldest] >= self.ttl:
            del self.stale[oldest]
            op.drop = self.block_of.pop(oldest)

    def _release(self, obj: int, content: Hashable, books: Books, ts: int) -> Hashable:
        del self.holders[content][obj]
        self._charge(content)
        if self.holders[content]:
            return None
        del self.holders[content]
        books.now["unique"] -= 1
        if self.loose and isinstance(content, tuple) and content[0] == "hash":
            self.stale[content] = ts
            return None
        return self.block_of.pop(content)

    def _charge(self, content: Hashable) -> None:
        if self.charges is not None:
            self.charges.hold(content, PAGE, self.first[content], self.holders[content].values())

    def figures(self, books: Books) -> dict[str, float]:
        names = ("hits", "cross_memcg_hits", "unhashed", "saved_bytes", "refs_max")
        out: dict[str, float] = {f"dedup.{name}": books.count[f"dedup.{name}"] for name in names}
        if books.count["arrived"]:
            out["dedup.hit_rate"] = books.count["dedup.hits"] / books.count["arrived"]
        out["dedup.unique_peak"] = books.peak["unique"]
        out["dedup.index_bytes_peak"] = books.peak["index"]
        if self.loose:
            out["dedup.stale_hits"] = books.count["dedup.stale_hits"]
            out["dedup.stale_peak"] = books.peak["stale"]
        if self.verify:
            out["dedup.verify_bytes"] = books.count["dedup.verify_bytes"]
        if self.charges is not None and not self.in_pool:
            out |= self.charges.figures()
        return out
