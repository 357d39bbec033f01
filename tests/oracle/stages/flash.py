"""Twin of `swaptrace.stages.flash`."""

from __future__ import annotations

import math
from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.flashlog import SlowFlashLog
from tests.oracle.stages.base import SlowStage, World, duration, pages, share


class SlowFlash(SlowStage):
    placing = True

    def __init__(
        self, world: World, buffer: str, erase: str, reserve: str, gc: str, buffered: str, low: str, timer: str,
        pressure: str, discard: str, size: str,
    ) -> None:  # fmt: skip
        self.segment_pages, self.discard = pages(erase), discard == "on"
        segments = (int(size) or world.slots) // self.segment_pages
        world.device_pages = segments * self.segment_pages
        self.log = SlowFlashLog(
            segments, self.segment_pages, pages(buffer), int(reserve), gc, buffered == "tombstone",
            float("inf") if timer == "off" else duration(timer), math.floor(round(share(low) * pages(buffer), 9)),
        )  # fmt: skip
        stores, _, span = pressure.partition("/")
        self.stores, self.span = (int(stores), duration(span)) if span else (1, -1.0)
        self.stored_at: list[int] = []
        self.own_map, self.layout = world.layout.direct, world.layout
        self.dedup = "dedup" in world.path
        if self.own_map:
            world.layout.static += 8 * world.slots
        world.layout.pages_per_segment(self.segment_pages)
        self.units: dict[Hashable, int] = {}
        self.names: dict[int, Hashable] = {}
        self.moved: list[list[tuple[Hashable | None, bool]]] = []  # segments written by the op just made

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        log = self.log
        op.device_walk = self.own_map and (op.store or op.fetch or op.drop is not None)
        writes, deaths = len(log.writes), len(log.deaths)
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
                books.read.append(log.addresses[-1])
        new = log.writes[writes:]
        stream: list[tuple[float, list[int]]] = [(i + 0.5, [page]) for i, (_, page, *_) in enumerate(new)]
        if self.discard:
            for _, before, segment in log.deaths[deaths:]:
                dead = [~(segment * self.segment_pages + i) for i in range(self.segment_pages)]
                stream.append((before - writes, dead))
        books.stream += [page for _, run in sorted(stream, key=lambda item: item[0]) for page in run]
        books.written += [page for _, page, *_ in new]
        books.count["gc_pages"] += sum(gc for *_, gc, _ in new)
        books.count["padding_pages"] += sum(unit < 0 for _, _, unit, *_ in new)
        named = [(self.names.get(unit), gc) for _, _, unit, gc, _ in new]
        self.moved = [named[i : i + self.segment_pages] for i in range(0, len(named), self.segment_pages)]
        books.now["places"] = len(log.places)
        books.now["buffered"], books.now["physical"] = len(log.buffer), len(log.address)
        books.now["segments"] = len(log.used)
        op.backing = op.backing or ("BUFFER" if op.out else "DISK")
        return [op]

    def settle(self, books: Books) -> None:
        """After the layout: the map of its own, or the moves that the layout pays for."""
        if self.own_map:
            books.now["meta"] += 8 * len(self.log.address)
            for run in self.moved:
                copied = [gc for block, gc in run if block is not None]
                for gc in copied:
                    books.count["lookups.gc" if gc else "lookups.writeback"] += 1
                    books.count["lines"] += 2 if gc else 1
                books.count["lines"] += -(-len(copied) // 8)
        else:
            for run in self.moved:
                self.layout.move(run, books, self.dedup)

    def figures(self, books: Books) -> dict[str, float]:
        return {
            "write.absorbed_pages": books.count["write.absorbed_pages"],
            "write.host_gc_bytes": PAGE * books.count["gc_pages"],
            "write.host_padding_bytes": PAGE * books.count["padding_pages"],
            "buffer.hits": books.count["buffer.hits"],
            "buffer.pages_end": len(self.log.buffer),
            "buffer.bytes_peak": PAGE * books.peak["places"],
        }

    def _run(self, what: str, block: Hashable, op: SlowOp, books: Books) -> None:
        pressed = len(self.stored_at) == self.stores and op.ts - self.stored_at[0] <= self.span
        self.log.step(what, self._unit(block), op.ts, what == "store" and pressed)
        books.count["write.absorbed_pages"] += self.log.absorbed[-1]

    def _unit(self, block: Hashable) -> int:
        unit = self.units.setdefault(block, len(self.units))
        self.names[unit] = block
        return unit
