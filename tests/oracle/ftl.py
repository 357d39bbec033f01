"""Op-at-a-time reference of the page-mapped FTL, written from the rule in `swaptrace.kernels.ftl`."""

from __future__ import annotations

from fractions import Fraction
from math import ceil


def slow_blocks(pages: int, block_pages: int, spare: float, program: int, streams: int) -> int:
    """The erase blocks of a device."""
    needed = [pages * (1 + Fraction(str(spare))) / block_pages, Fraction(pages, block_pages - program + 1)]
    return max(ceil(blocks) for blocks in needed) + 2 + streams


class SlowFtl:
    """`content[block]` = page -> logical page, valid ones only; `place[lpn]` = (block, page)."""

    def __init__(self, blocks: int, block_pages: int, program: int = 1, fifo: bool = False, streams: int = 1) -> None:
        self.block_pages, self.program, self.fifo = block_pages, program, fifo
        self.content: list[dict[int, int]] = [{} for _ in range(blocks)]
        self.place: dict[int, tuple[int, int]] = {}
        self.free = list(range(streams, blocks))
        self.closed: list[int] = []  # in the order in which they were
        self.open = list(range(streams))
        self.next_page = [0] * streams
        self.copies = {stream: stream for stream in self.open}  # block -> how often its pages were copied, at most
        self.last: int | None = None
        self.host_pages = self.flash_pages = self.padded_pages = self.erases = 0

    def step(self, op: int) -> None:
        if op < 0:
            self._forget(~op)
            return
        if self.last is not None and op != self.last + 1:
            self.pad_request()
        self.last = op
        self.host_pages += 1
        self._program(op, 0)
        self._collect()

    def pad_request(self) -> None:
        while self.next_page[0] % self.program:
            self.padded_pages += 1
            self._program(None, 0)
            self._collect()

    def _collect(self) -> None:
        while len(self.free) < 2:
            victim = self.closed[0]
            if not self.fifo:
                victim = min(self.closed, key=lambda block: (len(self.content[block]), block))
            self.closed.remove(victim)
            stream = min(self.copies.pop(victim) + 1, len(self.open) - 1)
            for _, lpn in sorted(self.content[victim].items()):
                self._program(lpn, stream)
            while self.next_page[stream] % self.program:
                self.padded_pages += 1
                self._program(None, stream)
            self.free.append(victim)
            self.erases += 1

    def _forget(self, lpn: int) -> None:
        if lpn in self.place:
            block, page = self.place.pop(lpn)
            del self.content[block][page]

    def _program(self, lpn: int | None, stream: int) -> None:
        block, page = self.open[stream], self.next_page[stream]
        if lpn is not None:
            self._forget(lpn)
            self.content[block][page] = lpn
            self.place[lpn] = (block, page)
        self.next_page[stream] += 1
        self.flash_pages += 1
        if self.next_page[stream] == self.block_pages:
            self.closed.append(block)
            self.open[stream] = self.free.pop(0)
            self.copies[self.open[stream]] = stream
            self.next_page[stream] = 0
