"""The translation layer vectorised from block to block; the rule is at the head of
:mod:`swaptrace.kernels.ftl`.

Nothing is collected while the open block fills, so inside such a run only the last op on each logical page
matters: the earlier writes are dead on arrival, they take a page each and leave nothing valid.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints32

__all__ = ["VectorFtl"]

NOT_CLOSED = 1 << 30
ONE = np.int32(1)  # of the ranks' own type: ufunc.at is 40 times slower if it has to convert


class VectorFtl:
    """State between runs: both page maps, and each block's valid pages, NOT_CLOSED more until it closes."""

    def __init__(self, pages: int, blocks: int, block_pages: int) -> None:
        self.host_pages = 0
        self.copied_pages = 0
        self.erases = 0
        self.valid = 0
        self._block_pages = block_pages
        self._where: Ints32 = np.full(pages, -1, np.int32)
        self._held: Ints32 = np.full(blocks * block_pages, -1, np.int32)
        self._rank: Ints32 = np.full(blocks, NOT_CLOSED, np.int32)
        self._free = deque(range(1, blocks))
        self._block = 0
        self._fill = 0

    def feed(self, stream: Ints) -> None:
        """Write and trim logical pages in order; as :meth:`PageMappedFtl.feed`."""
        write = stream >= 0
        writes = np.flatnonzero(write)
        done = taken = 0
        while done < len(stream):
            taken += self._block_pages - self._fill
            end = int(writes[taken - 1]) + 1 if taken <= len(writes) else len(stream)
            self._run(stream[done:end], write[done:end])
            done = end
            if self._fill == self._block_pages:
                self._close()
                while len(self._free) < 2:
                    self._collect()

    def _run(self, ops: Ints, write: Bools) -> None:
        """Do ops whose writes fit into the open block."""
        start = self._block * self._block_pages + self._fill
        if write.all():
            count, lpn, name = len(ops), ops, np.arange(start, start + len(ops), dtype=np.int32)
        else:
            count, lpn = int(np.count_nonzero(write)), np.where(write, ops, ~ops)
            # A name for each op: the page that it writes, or one of the trim's own below -1.
            name = np.where(write, start - 1 + np.cumsum(write), -2 - np.arange(len(ops))).astype(np.int32)
        old = self._where[lpn]
        self._where[lpn] = name  # of equal indices the last one is assigned
        last = self._where[lpn] == name
        dead = old[last]
        dead = dead[dead >= 0]
        self._held[dead] = -1
        np.subtract.at(self._rank, dead // self._block_pages, ONE)
        stays = last if count == len(ops) else last[write]
        arrived = int(np.count_nonzero(stays))
        self._held[start : start + count] = np.where(stays, lpn if count == len(ops) else ops[write], -1)
        self._rank[self._block] += arrived
        if count < len(ops):
            self._where[lpn[last & ~write]] = -1
        self.valid += arrived - len(dead)
        self.host_pages += count
        self._fill += count

    def _close(self) -> None:
        self._rank[self._block] -= NOT_CLOSED
        self._block = self._free.popleft()
        self._fill = 0

    def _collect(self) -> None:
        size = self._block_pages
        victim = int(self._rank.argmin())
        held = self._held[victim * size : (victim + 1) * size]
        live = held[held >= 0]
        held[:] = -1
        self._rank[victim] = NOT_CLOSED
        self.copied_pages += len(live)
        while len(live):
            part, live = live[: size - self._fill], live[size - self._fill :]
            page = self._block * size + self._fill
            self._held[page : page + len(part)] = part
            self._where[part] = np.arange(page, page + len(part))
            self._rank[self._block] += len(part)
            self._fill += len(part)
            if self._fill == size:
                self._close()
        self._free.append(victim)
        self.erases += 1
