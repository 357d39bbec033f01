"""Twin of `swaptrace.stages.zswap`."""

from __future__ import annotations

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.stages.base import SlowStage, World, duration, share
from tests.oracle.zsmalloc import footprint

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}


class SlowZswap(SlowStage):
    def __init__(
        self, world: World, pool: str, order: str, load: str, incompressible: str, accept: str, shrinker: str,
        batch: str, sizes: str, ram: str,
    ) -> None:  # fmt: skip
        if pool == "unlimited":
            self.limit = float("inf")
        elif pool.endswith("%"):
            self.limit = int(share(pool) * int(ram[:-3]) * UNITS[ram[-3:]]) // PAGE * PAGE
        else:
            self.limit = int(pool[:-3]) * UNITS[pool[-3:]]
        self.low = int(self.limit * share(accept)) if pool != "unlimited" else self.limit
        self.lru, self.exclusive, self.raw = order == "lru", load == "exclusive", incompressible == "store"
        self.age, self.batch = duration(shrinker) if shrinker != "off" else float("inf"), int(batch)
        self.since: dict[int, int] = {}
        self.sizes, self.contents, self.hashes = sizes, world.contents, sorted(world.contents)
        self.queue: list[int] = []  # oldest first
        self.size: dict[int, int] = {}
        self.on_device: set[int] = set()
        self.in_ram: set[int] = set()

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        self._measure(op, books)
        seen = [op]
        full = False
        if op.store:
            full = self._store(op, books)
        elif op.fetch:
            self._load(op, books)
        elif op.drop is not None:
            self._end(op, books)
        else:
            op.pool = frozenset(self.size)
            books.pending.append({})
            return seen
        op.pool = frozenset(self.size)
        levels = [self._levels()]
        while self.queue:
            if op.ts - self.since[self.queue[0]] < self.age:
                more = (full and sum(self.size.values()) > self.low) or 1 < len(seen) < self.batch + 1
                if not more or len(self.queue) == 1:
                    break
            victim = self.queue.pop(0)
            del self.size[victim]
            self.on_device.add(victim)
            books.count["zswap.writebacks"] += 1
            pool = frozenset(self.size)
            seen.append(SlowOp("WRITEBACK", victim, op.ts, op.cpu, store=True, block=victim, pool=pool))
            levels.append(self._levels())
        books.pending += levels  # a stage above may have split the op
        return seen

    def _measure(self, op: SlowOp, books: Books) -> None:
        if self.sizes == "recorded" or not op.store:
            return
        op.csize = 0
        if op.hash is not None:
            sampled = op.hash in self.contents
            alike = op.hash if sampled else self.hashes[op.hash * len(self.hashes) // 2**64]
            op.csize = min(self.contents[alike][self.sizes], PAGE)
            books.count["looked_up"] += 1
            books.count["measured"] += sampled

    def _store(self, op: SlowOp, books: Books) -> bool:
        old_on_device = op.obj in self.on_device
        self._forget(op.obj, books)
        if op.csize == 0:
            books.count["zswap.unsized"] += 1
        huge = op.csize in (0, PAGE)
        if huge and not self.raw:
            books.count["zswap.rejects"] += 1
            op.inplace = old_on_device
            self.on_device.add(op.obj)
            return False
        op.store = op.inplace = False
        op.backing = "ZSWAP"
        if old_on_device:
            op.drop = op.block
        self.size[op.obj] = footprint(PAGE if huge else op.csize)
        self.queue.append(op.obj)
        books.count["zswap.stores"] += 1
        books.count["occupied"] += self.size[op.obj]
        self.since[op.obj] = op.ts
        return sum(self.size.values()) > self.limit

    def _load(self, op: SlowOp, books: Books) -> None:
        if op.obj in self.size:
            books.count["zswap.loads"] += 1
            op.fetch, op.backing = False, "ZSWAP"
            if self.exclusive:
                self._forget(op.obj, books)
                self.in_ram.add(op.obj)
            elif self.lru:
                self.queue.remove(op.obj)
                self.queue.append(op.obj)
                self.since[op.obj] = op.ts
        elif op.obj in self.in_ram:
            op.fetch, op.backing = False, "CACHE"

    def _end(self, op: SlowOp, books: Books) -> None:
        where = "ZSWAP" if op.obj in self.size else "CACHE" if op.obj in self.in_ram else ""
        self._forget(op.obj, books)
        if where:
            op.drop, op.backing = None, op.backing or where

    def _forget(self, obj: int, books: Books) -> None:
        if obj in self.size:
            books.count["zswap.absorbed_pages"] += 1
            del self.size[obj]
            self.queue.remove(obj)
        self.on_device.discard(obj)
        self.in_ram.discard(obj)

    def _levels(self) -> dict[str, int]:
        return {
            "pooled": len(self.size),
            "pool_bytes": sum(self.size.values()),
            "stage_meta": 56 * len(self.size),
        }

    def figures(self, books: Books) -> dict[str, float]:
        names = ("stores", "loads", "writebacks", "rejects", "unsized", "absorbed_pages")
        out: dict[str, float] = {f"zswap.{name}": books.count[f"zswap.{name}"] for name in names}
        out["zswap.pages_peak"], out["zswap.pages_end"] = books.peak["pooled"], books.now["pooled"]
        out["zswap.pool_bytes_peak"] = books.peak["pool_bytes"]
        if books.count["looked_up"]:
            out["zswap.measured_share"] = books.count["measured"] / books.count["looked_up"]
        if books.count["occupied"]:
            out["zswap.ratio"] = PAGE * books.count["zswap.stores"] / books.count["occupied"]
        return out
