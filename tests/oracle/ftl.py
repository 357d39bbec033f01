"""Op-at-a-time reference of the page-mapped FTL, written from the rule in `swaptrace.kernels.ftl`."""

from __future__ import annotations


class SlowFtl:
    """`content[block]` = page -> logical page, valid ones only; `place[lpn]` = (block, page)."""

    def __init__(self, blocks: int, block_pages: int) -> None:
        self.block_pages = block_pages
        self.content: list[dict[int, int]] = [{} for _ in range(blocks)]
        self.place: dict[int, tuple[int, int]] = {}
        self.free = list(range(1, blocks))
        self.closed: list[int] = []
        self.open = 0
        self.next_page = 0
        self.host_pages = 0
        self.flash_pages = 0
        self.erases = 0

    def step(self, op: int) -> None:
        if op < 0:
            self._forget(~op)
            return
        self.host_pages += 1
        self._program(op)
        while len(self.free) < 2:
            victim = min(self.closed, key=lambda block: (len(self.content[block]), block))
            self.closed.remove(victim)
            for _, lpn in sorted(self.content[victim].items()):
                self._program(lpn)
            self.free.append(victim)
            self.erases += 1

    def _forget(self, lpn: int) -> None:
        if lpn in self.place:
            block, page = self.place.pop(lpn)
            del self.content[block][page]

    def _program(self, lpn: int) -> None:
        self._forget(lpn)
        self.content[self.open][self.next_page] = lpn
        self.place[lpn] = (self.open, self.next_page)
        self.next_page += 1
        self.flash_pages += 1
        if self.next_page == self.block_pages:
            self.closed.append(self.open)
            self.open = self.free.pop(0)
            self.next_page = 0
