"""Twin of `swaptrace.stages.dedup`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.stages.base import SlowStage, World


class SlowDedup(SlowStage):
    def __init__(self, world: World, scope: str, index: str, entry: str) -> None:
        self.entry = int(entry)
        self.block_of: dict[Hashable, Hashable] = {}  # content -> block
        self.holders: dict[Hashable, dict[int, int]] = {}  # content -> object -> memcg that wrote it
        self.content: dict[int, Hashable] = {}  # object -> content that it holds below this stage
        self.blocks = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        old = self.content.get(op.obj)
        if op.store:
            books.count["arrived"] += 1
            self._store(op, old, books)
        elif op.fetch:
            op.block = self.block_of[old]
        elif op.drop is not None:
            op.drop = self._release(op.obj, old, books)
            self.content.pop(op.obj)
        return [op]

    def _store(self, op: SlowOp, old: Hashable, books: Books) -> None:
        if op.hash is None:
            books.count["dedup.unhashed"] += 1
        content: Hashable = ("hash", op.hash) if op.hash is not None else ("own", op.ts)
        hit = bool(self.holders.get(content))
        if hit:
            books.count["dedup.hits"] += 1
            books.count["dedup.saved_bytes"] += PAGE
            if op.memcg not in self.holders[content].values():
                books.count["dedup.cross_memcg_hits"] += 1
        dead = None
        if old is not None and old != content:
            dead = self._release(op.obj, old, books)
        self.holders.setdefault(content, {})[op.obj] = op.memcg
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

    def _release(self, obj: int, content: Hashable, books: Books) -> Hashable:
        del self.holders[content][obj]
        if self.holders[content]:
            return None
        del self.holders[content]
        books.now["unique"] -= 1
        return self.block_of.pop(content)

    def figures(self, books: Books) -> dict[str, float]:
        names = ("hits", "cross_memcg_hits", "unhashed", "saved_bytes", "refs_max")
        out: dict[str, float] = {f"dedup.{name}": books.count[f"dedup.{name}"] for name in names}
        if books.count["arrived"]:
            out["dedup.hit_rate"] = books.count["dedup.hits"] / books.count["arrived"]
        out["dedup.unique_peak"] = books.peak["unique"]
        out["dedup.index_bytes_peak"] = self.entry * books.peak["unique"]
        return out
