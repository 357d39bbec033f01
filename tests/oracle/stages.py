"""Op-at-a-time twins of every stage, written from the rules in their docstrings: dicts only."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.clusters import SlowPhysicalClusters
from tests.oracle.flashlog import SlowFlashLog


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
