"""Twin of `swaptrace.stages.zswap` with `dedup:scope=zswap` above it, written from the rules of both."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.charges import SlowCharges
from tests.oracle.stages.base import World
from tests.oracle.stages.zswap import SlowZswap
from tests.oracle.zsmalloc import footprint


@dataclass(eq=False)
class Page:
    """A page in the pool: its owners in order, with the memcg that wrote each."""

    size: int
    hash: int | None
    first: int
    since: float
    owners: dict[int, int] = field(default_factory=dict)
    name: Hashable = None


class SlowSharedZswap(SlowZswap):
    """Pages in a list, the oldest first; pinned ones beside it."""

    def __init__(self, world: World, **texts: str) -> None:
        super().__init__(world, **texts)
        dedup = world.path["dedup"]
        self.pin, self.apart = dedup["shared"] == "pin", world.layout.direct
        self.charges = SlowCharges() if dedup["charges"] == "on" else None
        self.index_entry = int(dedup["entry"]) + 8 * (dedup["verify"] == "hash")
        self.pages: list[Page] = []
        self.pinned: list[Page] = []
        self.page_of: dict[int, Page] = {}
        self.block_of: dict[int, Hashable] = {}  # on the device
        self.sharers: dict[Hashable, set[int]] = {}  # of a block on the device
        self.loaded: set[int] = set()
        self.names = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        acts = op.store or op.fetch or op.drop is not None
        if not acts:
            op.pool = frozenset(self.page_of)
            books.pending.append({})
            return [op]
        self._measure(op, books)
        levels: list[dict[str, int]] = []
        seen = [op]
        full = False
        if op.store:
            full = self._arrive(op, books)
        elif op.fetch:
            self._read(op, books)
        else:
            self._leave(op, books)
        op.pool = frozenset(self.page_of)
        levels.append(self._levels())
        written = 0
        while self.pages:
            page = self.pages[0]
            if op.ts - page.since < self.age:
                more = (full and self._used() > self.low) or 0 < written < self.batch
                if not more or len(self.pages) == 1:
                    break
            self.pages.remove(page)
            books.count["zswap.writebacks"] += 1
            owners = list(page.owners)
            for n, owner in enumerate(owners):
                del self.page_of[owner]
                block = owner if self.apart else page.name
                self.block_of[owner] = block
                self.sharers.setdefault(block, set()).add(owner)
                write = n == 0 or self.apart
                written += write
                books.count["dedup.copied_pages"] += n > 0 and self.apart
                books.count["dedup.repointed"] += n > 0 and not self.apart
                back = SlowOp("WRITEBACK", owner, op.ts, op.cpu, store=write, block=block)
                back.backing = "" if write else "SHARED"
                back.pool = frozenset(self.page_of)
                seen.append(back)
                levels.append(self._levels(leaving=len(owners) - n - 1))
            page.owners = {}
            self._charge(page)
        books.pending += levels  # a stage above may have split the op
        return seen

    def _arrive(self, op: SlowOp, books: Books) -> bool:
        held = next((p for p in self._all() if op.hash is not None and p.hash == op.hash), None)
        mine = self.page_of.get(op.obj)
        books.count["arrived"] += 1
        books.count["dedup.unhashed"] += op.hash is None
        if held is not None:
            books.count["dedup.hits"] += 1
            books.count["dedup.verify_bytes"] += PAGE
            books.count["dedup.saved_bytes"] += held.size
            books.count["dedup.cross_memcg_hits"] += op.memcg not in held.owners.values()
        elif op.csize == 0:
            books.count["zswap.unsized"] += 1
        if held is not None and held is mine:
            held.owners[op.obj] = op.memcg
            if self.lru:
                self._young(held, op.ts)
            op.drop, dead = None, None
        else:
            op.drop = dead = self._give(op.obj, books, op.ts)
        huge = op.csize in (0, PAGE)
        if held is None and huge and not self.raw:
            books.count["zswap.rejects"] += 1
            op.inplace = dead is not None
            op.block = dead if dead is not None else self._name(op.obj)
            op.drop = None
            self.block_of[op.obj] = op.block
            self.sharers[op.block] = {op.obj}
            return False
        op.store = op.inplace = False
        if held is not None:
            op.backing = "ZSWAP_SHARED"
            if held is not mine:
                held.owners[op.obj] = op.memcg
                if self.lru:
                    self._young(held, op.ts)
                if self.pin and held in self.pages and len(held.owners) > 1:
                    self.pages.remove(held)
                    self.pinned.append(held)
            page = held
        else:
            op.backing = "ZSWAP"
            page = Page(footprint(PAGE if huge else op.csize), op.hash, op.memcg, op.ts, {op.obj: op.memcg})
            page.name = self._name(op.obj)
            self.pages.append(page)
            books.count["zswap.stores"] += 1
            books.count["occupied"] += page.size
        self.page_of[op.obj] = page
        op.block = op.obj if self.apart else page.name
        books.count["dedup.refs_max"] = max(books.count["dedup.refs_max"], len(page.owners))
        self._charge(page)
        return held is None and self._used() > self.limit

    def _read(self, op: SlowOp, books: Books) -> None:
        page = self.page_of.get(op.obj)
        if page is not None:
            books.count["zswap.loads"] += 1
            op.fetch, op.backing = False, "ZSWAP"
            op.block = page.name
            if self.exclusive:
                self._give(op.obj, books, op.ts)
                self.loaded.add(op.obj)
            if self.lru:
                self._young(page, op.ts)
        elif op.obj in self.loaded:
            op.fetch, op.backing = False, "CACHE"
        else:
            op.block = self.block_of[op.obj]

    def _leave(self, op: SlowOp, books: Books) -> None:
        where = "ZSWAP" if op.obj in self.page_of else "CACHE" if op.obj in self.loaded else ""
        op.backing = op.backing or where
        op.drop = self._give(op.obj, books, op.ts)

    def _give(self, obj: int, books: Books, now: int) -> Hashable:
        """Give back what ``obj`` has; return the block of the device that dies."""
        self.loaded.discard(obj)
        if (page := self.page_of.pop(obj, None)) is not None:
            del page.owners[obj]
            if not page.owners:
                (self.pages if page in self.pages else self.pinned).remove(page)
                books.count["zswap.absorbed_pages"] += 1
            elif self.pin and len(page.owners) == 1:
                self.pinned.remove(page)
                self.pages.append(page)
                page.since = now
            self._charge(page)
        if (block := self.block_of.pop(obj, None)) is not None:
            self.sharers[block].remove(obj)
            if not self.sharers[block]:
                del self.sharers[block]
                return block
        return None

    def _young(self, page: Page, now: int) -> None:
        if page in self.pages:
            self.pages.remove(page)
            self.pages.append(page)
            page.since = now

    def _name(self, obj: int) -> Hashable:
        self.names += 1
        return obj if self.apart else ("page", self.names)

    def _all(self) -> list[Page]:
        return self.pages + self.pinned

    def _used(self) -> int:
        return sum(page.size for page in self._all())

    def _levels(self, leaving: int = 0) -> dict[str, int]:
        refs = sum(len(page.owners) for page in self._all()) + leaving
        return {
            "pooled": refs,
            "pool_pages": len(self._all()),
            "pool_bytes": self._used(),
            "stage_meta": 56 * len(self._all()),
            "unique": len(self._all()),
            "index": self.index_entry * len(self._all()) + 24 * refs,
            "pinned": sum(page.size for page in self.pinned),
        }

    def _charge(self, page: Page) -> None:
        if self.charges is not None:
            self.charges.hold(page, page.size, page.first, page.owners.values())

    def figures(self, books: Books) -> dict[str, float]:
        out = super().figures(books)
        out["zswap.pages_peak"], out["zswap.pages_end"] = books.peak["pool_pages"], books.now["pool_pages"]
        out["dedup.repointed"] = books.count["dedup.repointed"]
        out["dedup.copied_pages"] = books.count["dedup.copied_pages"]
        if self.pin:
            out["zswap.pinned_bytes_peak"] = books.peak["pinned"]
        if self.charges is not None:
            out |= self.charges.figures()
        return out
