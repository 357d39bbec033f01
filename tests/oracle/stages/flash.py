"""Twin of `swaptrace.stages.flash`."""

from __future__ import annotations

from collections.abc import Hashable

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.flashlog import SlowFlashLog
from tests.oracle.stages.base import SlowStage, World, pages


class SlowFlash(SlowStage):
    placing = True

    def __init__(self, world: World, buffer: str, erase: str, reserve: str, discard: str, size: str) -> None:
        self.segment_pages, self.discard = pages(erase), discard == "on"
        segments = (int(size) or world.slots) // self.segment_pages
        world.device_pages = segments * self.segment_pages
        self.log = SlowFlashLog(segments, self.segment_pages, pages(buffer), int(reserve))
        self.own_map, self.layout = world.layout.direct, world.layout
        self.dedup = world.shared
        if self.own_map:
            world.layout.static += 8 * world.slots
        world.layout.pages_per_segment(self.segment_pages)
        self.units: dict[Hashable, int] = {}
        self.names: dict[int, Hashable] = {}
        self.moved: list[list[tuple[Hashable, bool]]] = []  # segments written by the op just made

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        log = self.log
        op.device_walk = self.own_map and (op.store or op.fetch or op.drop is not None)
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
        return [op]

    def settle(self, books: Books) -> None:
        """After the layout: the map of its own, or the moves that the layout pays for."""
        if self.own_map:
            books.now["meta"] += 8 * len(self.log.address)
        else:
            for run in self.moved:
                self.layout.move(run, books, self.dedup)

    def figures(self, books: Books) -> dict[str, float]:
        return {
            "write.absorbed_pages": books.count["write.absorbed_pages"],
            "write.host_gc_bytes": PAGE * books.count["gc_pages"],
            "buffer.hits": books.count["buffer.hits"],
            "buffer.pages_end": len(self.log.buffer),
            "buffer.bytes_peak": PAGE * books.peak["buffered"],
        }

    def _run(self, what: str, block: Hashable, books: Books) -> None:
        self.log.step(what, self._unit(block))
        books.count["write.absorbed_pages"] += self.log.absorbed[-1]

    def _unit(self, block: Hashable) -> int:
        unit = self.units.setdefault(block, len(self.units))
        self.names[unit] = block
        return unit
