"""Twin of `swaptrace.stages.flash`."""

from __future__ import annotations

import math
from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.flashlog import SlowFlashLog
from tests.oracle.packlog import SlowPackedLog
from tests.oracle.stages.base import SlowStage, World, duration, pages, share


class SlowFlash(SlowStage):
    placing = True

    def __init__(
        self, world: World, buffer: str, erase: str, reserve: str, gc: str, buffered: str, low: str, timer: str,
        pressure: str, compress: str, pack: str, discard: str, size: str,
    ) -> None:  # fmt: skip
        self.segment_pages, self.discard = pages(erase), discard == "on"
        segments = (int(size) or world.slots) // self.segment_pages
        world.device_pages = segments * self.segment_pages
        clock = float("inf") if timer == "off" else duration(timer)
        low_pages = math.floor(round(share(low) * pages(buffer), 9))
        habits = (
            segments,
            self.segment_pages,
            pages(buffer),
            int(reserve),
            gc,
            buffered == "tombstone",
            clock,
            low_pages,
        )
        self.packed = compress == "recorded"
        self.log = SlowPackedLog(*habits, pack == "aligned") if self.packed else SlowFlashLog(*habits)
        stores, _, span = pressure.partition("/")
        self.stores, self.span = (int(stores), duration(span)) if span else (1, -1.0)
        self.stored_at: list[int] = []
        self.own_map, self.layout = world.layout.direct, world.layout
        self.dedup = world.shared
        if self.own_map:
            world.layout.static += 8 * world.slots
        world.layout.pages_per_segment(self.segment_pages)
        self.units: dict[Hashable, int] = {}
        self.names: dict[int, Hashable] = {}
        self.moved: list[list[tuple[Hashable | None, bool]]] = []  # segments written by the op just made

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        log = self.log
        op.device_walk = self.own_map and (op.store or op.fetch or op.drop is not None)
        wrote, copied, runs, deaths = len(log.pages), len(log.copies), len(log.runs), len(log.deaths)
        if op.drop is not None:
            self._run("drop", op.drop, op, books)
            op.gave = not log.absorbed[-1]
        if op.store:
            self.stored_at = [*self.stored_at, op.ts][-self.stores :]
            self._run("store", op.block, op, books)
        if op.fetch:
            self._run("fetch", op.block, op, books)
            books.count["buffer.hits"] += log.hits[-1]
            if log.hits[-1]:
                op.backing = op.backing or "BUFFER"
            else:
                books.read += log.blocks[-1]
        new = log.pages[wrote:]
        stream: list[tuple[float, list[int]]] = [(i + 0.5, [page]) for i, page in enumerate(new)]
        if self.discard:
            for _, before, segment in log.deaths[deaths:]:
                dead = [~(segment * self.segment_pages + i) for i in range(self.segment_pages)]
                stream.append((before - wrote, dead))
        books.stream += [page for _, run in sorted(stream, key=lambda item: item[0]) for page in run]
        books.written += new
        copies = log.copies[copied:]
        books.count["gc_bytes"] += sum(size for _, _, size, gc, _ in copies if gc)
        books.count["fresh"] += sum(not gc for *_, gc, _ in copies)
        books.count["fresh_bytes"] += sum(size for _, _, size, gc, _ in copies if not gc)
        books.count["padding_bytes"] += PAGE * len(new) - sum(size for _, _, size, *_ in copies)
        named = iter([(self.names[unit], gc) for _, unit, _, gc, _ in copies])
        self.moved = [[next(named) for _ in range(length)] for length in log.runs[runs:]]
        books.now["places"] = log.taken
        books.now["buffered"], books.now["physical"] = len(log.buffer), len(log.address)
        books.now["segments"] = len(log.used)
        op.backing = op.backing or ("BUFFER" if op.out else "DISK")
        return [op]

    def settle(self, books: Books) -> None:
        """After the layout: the map of its own, or the moves that the layout pays for."""
        if self.own_map:
            books.now["meta"] += 8 * len(self.log.address)
            for run in self.moved:
                for _, gc in run:
                    books.count["lookups.gc" if gc else "lookups.writeback"] += 1
                    books.count["lines"] += 2 if gc else 1
                books.count["lines"] += -(-len(run) // 8)
        else:
            for run in self.moved:
                padding: list[tuple[Hashable | None, bool]] = [(None, False)] * (self.segment_pages - len(run))
                self.layout.move(run + padding, books, self.dedup)

    def figures(self, books: Books) -> dict[str, float]:
        packed: dict[str, float] = {}
        if self.packed:
            packed = {"write.packed_pages": books.count["fresh"], "write.packed_bytes": books.count["fresh_bytes"]}
        return {
            "write.absorbed_pages": books.count["write.absorbed_pages"],
            "write.host_gc_bytes": books.count["gc_bytes"],
            "write.host_padding_bytes": books.count["padding_bytes"],
            "buffer.hits": books.count["buffer.hits"],
            "buffer.pages_end": len(self.log.buffer),
            "buffer.bytes_peak": books.peak["places"],
        } | packed

    def _run(self, what: str, block: Hashable, op: SlowOp, books: Books) -> None:
        pressed = len(self.stored_at) == self.stores and op.ts - self.stored_at[0] <= self.span
        if isinstance(self.log, SlowPackedLog):
            self.log.step(what, self._unit(block), op.csize or PAGE, op.ts, what == "store" and pressed)
        else:
            self.log.step(what, self._unit(block), op.ts, what == "store" and pressed)
        books.count["write.absorbed_pages"] += self.log.absorbed[-1]

    def _unit(self, block: Hashable) -> int:
        unit = self.units.setdefault(block, len(self.units))
        self.names[unit] = block
        return unit
