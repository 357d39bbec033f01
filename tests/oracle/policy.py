"""Op-at-a-time twins of every layout and stage, written from the rules in their docstrings.

Objects are numbers, blocks are any hashable key, everything lives in dicts. `SlowPolicy.step` runs one op through the
same path as the real thing; `figures` gives what a report must say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.oracle.clusters import SlowPhysicalClusters, SlowVirtualClusters
from tests.oracle.flashlog import SlowFlashLog
from tests.oracle.ftl import SlowFtl

PAGE = 4096


@dataclass
class SlowOp:
    """One op: name is NEW, REWRITE, IN, HIT or FREE."""

    name: str
    obj: int
    ts: int
    cpu: int = 0
    sub: int = 0
    memcg: int = 0
    hash: int | None = None
    zero: bool = False
    same: bool = False
    backing: str = ""
    store: bool = False
    fetch: bool = False
    inplace: bool = False
    block: Hashable = None
    drop: Hashable = None
    took: bool = False
    gave: bool = False

    @property
    def out(self) -> bool:
        return self.name in ("NEW", "REWRITE")


@dataclass
class Books:
    """The twin's ledger: counts, and gauges sampled after each op."""

    count: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    area: Counter[str] = field(default_factory=Counter)
    at_meta_peak: int = 0
    written: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    stream: list[int] = field(default_factory=list)
    last_ts: int | None = None
    first_ts: int = 0
    ns: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def begin(self, ts: int) -> None:
        if self.last_ts is None:
            self.first_ts = ts
        else:
            for gauge, level in self.now.items():
                self.area[gauge] += level * (ts - self.last_ts)
        self.last_ts = ts

    def end(self) -> None:
        if self.now["meta"] > self.peak["meta"]:
            self.at_meta_peak = self.now["virtual"]
        for gauge, level in self.now.items():
            self.peak[gauge] = max(self.peak[gauge], level)


class SlowZero:
    def __init__(self, same: bool = False) -> None:
        self.same = same
        self.elided: dict[int, str] = {}

    def step(self, op: SlowOp, books: Books) -> None:
        was = self.elided.get(op.obj, "") if op.name != "NEW" else ""
        if op.out:
            now = "ZERO" if op.zero else ("SAME" if self.same and op.same else "")
            self.elided[op.obj] = now
            if now:
                books.count["dedup.zero_pages" if now == "ZERO" else "dedup.same_filled_pages"] += 1
                op.store, op.backing = False, now
                if op.name == "REWRITE" and not was:
                    op.drop = op.block
            op.inplace = op.name == "REWRITE" and not was and not now
        elif was:
            op.backing, op.fetch, op.drop = was, False, None


class SlowDedup:
    def __init__(self) -> None:
        self.block_of: dict[Hashable, Hashable] = {}  # content -> block
        self.holders: dict[Hashable, dict[int, int]] = {}  # content -> object -> memcg that wrote it
        self.content: dict[int, Hashable] = {}  # object -> content that it holds below this stage
        self.blocks = 0

    def step(self, op: SlowOp, books: Books) -> None:
        old = self.content.get(op.obj)
        if op.store:
            books.count["arrived"] += 1
            self._store(op, old, books)
        elif op.fetch:
            op.block = self.block_of[old]
        elif op.drop is not None:
            op.drop = self._release(op.obj, old, books)
            self.content.pop(op.obj)

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


class SlowSlots:
    def __init__(self, slots: int, discard: bool = False, spread: bool = False) -> None:
        self.discard = discard
        self.clusters = SlowPhysicalClusters(slots, 8, 512, spread)
        self.units: dict[Hashable, int] = {}
        self.slot: dict[Hashable, int] = {}

    def step(self, op: SlowOp, books: Books, entry: int, at_entry: bool) -> None:
        slot = entry
        if at_entry:
            if op.name == "FREE" and self.discard:
                books.stream.append(~entry)
        else:
            if op.drop is not None:
                gone, change = self.clusters.step(True, self._unit(op.drop), op.cpu)
                books.now["clusters"] += change
                op.gave = True
                del self.slot[op.drop]
                if self.discard:
                    books.stream.append(~gone)
            if op.store and not op.inplace:
                self.slot[op.block], change = self.clusters.step(False, self._unit(op.block), op.cpu)
                books.now["clusters"] += change
                op.took = True
            slot = self.slot.get(op.block, -1)
            books.now["physical"] = len(self.slot)
        if op.store:
            books.written.append(slot)
            books.stream.append(slot)
        if op.fetch:
            books.read.append(slot)
        op.backing = op.backing or "DISK"

    def _unit(self, block: Hashable) -> int:
        return self.units.setdefault(block, len(self.units))


class SlowFlash:
    def __init__(self, segments: int, segment_pages: int, buffer_pages: int, discard: bool = True) -> None:
        self.log = SlowFlashLog(segments, segment_pages, buffer_pages, 2)
        self.segment_pages, self.discard = segment_pages, discard
        self.units: dict[Hashable, int] = {}
        self.names: dict[int, Hashable] = {}
        self.moved: list[list[tuple[Hashable, bool]]] = []  # segments written by the op just made

    def step(self, op: SlowOp, books: Books) -> None:
        log = self.log
        writes, deaths = len(log.writes), len(log.deaths)
        if op.drop is not None:
            op.gave = self._unit(op.drop) not in log.buffer
            self._run("drop", op.drop, books)
        if op.store:
            self._run("store", op.block, books)
        if op.fetch:
            self._run("fetch", op.block, books)
            books.count["buffer.hits"] += log.hits[-1]
            if log.hits[-1]:
                op.backing = op.backing or "BUFFER"
            else:
                books.read.append(log.addresses[-1])
        if self.discard:
            for _, segment in log.deaths[deaths:]:
                books.stream += [~(segment * self.segment_pages + i) for i in range(self.segment_pages)]
        new = log.writes[writes:]
        books.stream += [page for _, page, _, _ in new]
        books.written += [page for _, page, _, _ in new]
        books.count["gc_pages"] += sum(gc for *_, gc in new)
        named = [(self.names[unit], gc) for _, _, unit, gc in new]
        self.moved = [named[i : i + self.segment_pages] for i in range(0, len(named), self.segment_pages)]
        books.now["buffered"], books.now["physical"] = len(log.buffer), len(log.address)
        books.now["segments"] = len(log.used)
        op.backing = op.backing or ("BUFFER" if op.out else "DISK")

    def _run(self, what: str, block: Hashable, books: Books) -> None:
        self.log.step(what, self._unit(block))
        books.count["write.absorbed_pages"] += self.log.absorbed[-1]

    def _unit(self, block: Hashable) -> int:
        unit = self.units.setdefault(block, len(self.units))
        self.names[unit] = block
        return unit


def levels(clusters: int) -> int:
    d = 1
    while clusters > 64**d:
        d += 1
    return d


class SlowLayout:
    """Common to all: who holds which entry, and what one page op costs."""

    direct = False

    def __init__(self, slots: int, **params: str) -> None:
        self.static = 0

    def enter(self, op: SlowOp) -> None: ...

    def entry(self, op: SlowOp) -> int:
        return -1

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        raise NotImplementedError

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None: ...


class SlowSwapTable(SlowLayout):
    direct = True

    def __init__(self, slots: int, phase: str = "p4", prefer: str = "nonfull") -> None:
        per_slot = {"p1": 3.125, "p2": 3.125, "p3": 2.125, "p4rfc": 0, "p4": 0}[phase]
        self.phase = phase
        self.static = int(slots * per_slot) + slots // 512 * (48 if phase == "p4" else 32)
        self.page = 5120 if phase == "p4" else 4096
        self.clusters = SlowPhysicalClusters(slots, 8, 512, prefer == "free")
        self.slot: dict[int, int] = {}
        self.idle: set[int] = set()

    def enter(self, op: SlowOp) -> None:
        self.now = self.slot.get(op.obj, -1)
        if op.name == "NEW":
            self.now, _ = self.clusters.step(False, op.obj, op.cpu)
            self.slot[op.obj] = self.now
        elif op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            del self.slot[op.obj]

    def entry(self, op: SlowOp) -> int:
        return self.now

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        books.now["virtual"] = books.now["physical"] = len(self.slot)
        books.now["meta"] = self.clusters.used_clusters() * self.page
        if op.out or op.name == "FREE":
            self.idle.discard(op.obj)
        if op.out and op.backing in ("ZERO", "SAME", "SHARED"):
            self.idle.add(op.obj)
        books.now["idle"] = len(self.idle) + books.now["buffered"]
        early = self.phase in ("p1", "p2", "p3")
        walks = {"NEW": 3 + 2 * early, "REWRITE": 2 + early, "IN": 4 + 2 * early, "HIT": 2, "FREE": 1}[op.name]
        lines = 2 + (self.phase in ("p1", "p2"))
        lines += self.phase != "p4rfc" and op.name in ("NEW", "IN", "FREE")
        lines += early and op.name in ("NEW", "REWRITE", "IN")
        return walks, lines


class SlowVirtual(SlowLayout):
    cluster_bytes = 0
    fixed_lines = 0
    descriptor = 0

    def __init__(self, slots: int) -> None:
        self.clusters = SlowVirtualClusters(512)
        self.place: dict[int, tuple[int, int]] = {}

    def enter(self, op: SlowOp) -> None:
        if op.name == "NEW":
            key, position, _ = self.clusters.step(False, op.obj, op.cpu)
            self.place[op.obj] = (key, position)
        self.key, self.position = self.place[op.obj]
        if op.name == "FREE":
            self.clusters.step(True, op.obj, op.cpu)
            del self.place[op.obj]
        self.d = levels(len(self.clusters.clusters))

    def settle(self, books: Books) -> None:
        books.now["virtual"] = len(self.place)
        rmap = 8 * 512 * books.now["clusters"] + 8 * self.segment_pages * books.now["segments"]
        books.now["meta"] = len(self.clusters.clusters) * self.cluster_bytes + rmap

    segment_pages = 0

    def move(self, run: list[tuple[Hashable, bool]], books: Books, dedup: bool) -> None:
        per_run = -(-len(run) // 512)
        books.count["lookups.writeback"] += per_run
        books.count["lines"] += per_run + -(-len(run) // 8)
        books.count["lines"] += sum(gc for _, gc in run)
        for gc, name in ((False, "writeback"), (True, "gc")):
            blocks = [block for block, copied in run if copied == gc]
            if dedup:
                books.count[f"lookups.{name}"] += len(blocks)
                books.count["lines"] += len(blocks)
                continue
            places = [self.place[block] for block in blocks]  # type: ignore[index]
            clusters = {key for key, _ in places}
            touched = {
                (key, line)
                for key, position in places
                for line in (position * self.descriptor // 64, (position * self.descriptor + self.descriptor - 1) // 64)
            }
            books.count[f"lookups.{name}"] += len(clusters)
            books.count["lines"] += len(clusters) * (self.d + self.fixed_lines) + len(touched)


class SlowVswapV6(SlowVirtual):
    fixed_lines, descriptor = 2, 24

    def __init__(self, slots: int, mru: str = "1", bytes: str = "published") -> None:
        super().__init__(slots)
        self.mru = mru == "1"
        self.cluster_bytes = {"published": int(512 * 24.125), "real": 12553}[bytes]
        self.static = slots // 4
        self.cache: dict[int, int] = {}

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk = op.backing == "DISK"
        if op.out:
            walks = 6 if disk else 5
        else:
            walks = {"IN": 12 if disk else 11 if op.backing == "BUFFER" else 10, "HIT": 5, "FREE": 1}[op.name]
        bypass = 2 if op.name in ("IN", "HIT") else 0
        hit = False
        if self.mru and op.sub == 0:
            hit = self.cache.get(op.cpu) == self.key
            self.cache[op.cpu] = self.key
            books.count["mru_asked"] += walks - bypass
            books.count["indirection.mru_hits"] += walks - bypass - (not hit)
        start = 24 * self.position % 64
        lines = (0 if hit and not bypass else self.d) + 2 + (2 if start + 24 > 64 else 1)
        lines += op.name in ("NEW", "FREE")
        took = op.took and disk
        walks += 2 * took + op.gave + (op.name == "IN" and disk)
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines


class SlowVswapTable(SlowVirtual):
    fixed_lines, descriptor = 1, 8
    cluster_bytes = 80 + 4096 + 4096 + 1024 + 9

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.static = slots // 512 * 48

    def charge(self, op: SlowOp, books: Books) -> tuple[int, int]:
        self.settle(books)
        disk, zero = op.backing == "DISK", op.backing == "ZERO"
        took = op.took and disk
        if op.out:
            walks = 4 + took
        elif op.name == "IN":
            walks = 5 + (not zero) + disk
        else:
            walks = 2 if op.name == "HIT" else 1
        walks += op.gave
        lines = self.d + 2
        lines += not zero and op.name != "HIT"
        lines += op.name in ("NEW", "IN", "FREE")
        lines += 2 * (took or op.gave or (op.name == "IN" and disk))
        return walks, lines


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
