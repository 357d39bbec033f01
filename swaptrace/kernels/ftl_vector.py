"""The translation layer vectorised from block to block; the rule is at the head of
:mod:`swaptrace.kernels.ftl`.

Nothing is collected while the open block fills, so inside such a run only the last op on each logical page
matters: the earlier writes are dead on arrival, they take a page each and leave nothing valid. Padding is a write of
the page ``pages`` that is dead on arrival, too.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints32

__all__ = ["VectorFtl"]

NOT_CLOSED = 1 << 30
ONE = np.int32(1)  # of the ranks' own type: ufunc.at is 40 times slower if it has to convert


class VectorFtl:
    """State between runs: both page maps, and each block's valid pages, NOT_CLOSED more until it closes.

    ``_block`` and ``_fill`` are the open block and its next page, of each stream.
    """

    def __init__(
        self, pages: int, blocks: int, block_pages: int, program: int = 1, fifo: bool = False, streams: int = 1
    ) -> None:
        self.host_pages = 0
        self.copied_pages = 0
        self.padded_pages = 0
        self.erases = 0
        self.valid = 0
        self._block_pages = block_pages
        self._program = program
        self._padding = pages
        self._where: Ints32 = np.full(pages + 1, -1, np.int32)
        self._held: Ints32 = np.full(blocks * block_pages, -1, np.int32)
        self._rank: Ints32 = np.full(blocks, NOT_CLOSED, np.int32)
        self._closed: deque[int] | None = deque() if fifo else None  # in order
        self._free = deque(range(streams, blocks))
        self._stream_of = [*range(streams), *[0] * (blocks - streams)]
        self._block = list(range(streams))
        self._fill = [0] * streams

    def feed(self, stream: Ints) -> None:
        """Write and trim logical pages in order; as :meth:`PageMappedFtl.feed`."""
        write = stream >= 0
        writes = np.flatnonzero(write)
        done = taken = 0
        while done < len(stream):
            taken += self._block_pages - self._fill[0]
            end = int(writes[taken - 1]) + 1 if taken <= len(writes) else len(stream)
            self._run(stream[done:end], write[done:end])
            done = end
            if self._fill[0] == self._block_pages:
                self._close(0)
                while len(self._free) < 2:
                    self._collect()

    def _run(self, ops: Ints, write: Bools) -> None:
        """Do ops whose writes fit into the open block."""
        start = self._block[0] * self._block_pages + self._fill[0]
        if write.all():
            count, lpn, name = len(ops), ops, np.arange(start, start + len(ops), dtype=np.int32)
        else:
            count, lpn = int(np.count_nonzero(write)), np.where(write, ops, ~ops)
            # A name for each op: the page that it writes, or one of the trim's own below -1.
            name = np.where(write, start - 1 + np.cumsum(write), -2 - np.arange(len(ops))).astype(np.int32)
        old = self._where[lpn]
        self._where[lpn] = name  # of equal indices the last one is assigned
        last = self._where[lpn] == name
        if self._program > 1:
            last &= lpn != self._padding
            self._where[self._padding] = -1
        dead = old[last]
        dead = dead[dead >= 0]
        self._held[dead] = -1
        np.subtract.at(self._rank, dead // self._block_pages, ONE)
        stays = last if count == len(ops) else last[write]
        arrived = int(np.count_nonzero(stays))
        self._held[start : start + count] = np.where(stays, lpn if count == len(ops) else ops[write], -1)
        self._rank[self._block[0]] += arrived
        if count < len(ops):
            self._where[lpn[last & ~write]] = -1
        self.valid += arrived - len(dead)
        self.host_pages += count
        self._fill[0] += count

    def _close(self, stream: int) -> None:
        """Close the open block of a stream, which is full, and open the next one."""
        closed = self._block[stream]
        self._rank[closed] -= NOT_CLOSED
        if self._closed is not None:
            self._closed.append(closed)
        self._block[stream] = self._free.popleft()
        self._stream_of[self._block[stream]] = stream
        self._fill[stream] = 0

    def _collect(self) -> None:
        size = self._block_pages
        victim = int(self._rank.argmin()) if self._closed is None else self._closed.popleft()
        stream = min(self._stream_of[victim] + 1, len(self._block) - 1)
        held = self._held[victim * size : (victim + 1) * size]
        live = held[held >= 0]
        held[:] = -1
        self._rank[victim] = NOT_CLOSED
        self.copied_pages += len(live)
        while len(live):
            part, live = live[: size - self._fill[stream]], live[size - self._fill[stream] :]
            page = self._block[stream] * size + self._fill[stream]
            self._held[page : page + len(part)] = part
            self._where[part] = np.arange(page, page + len(part))
            self._rank[self._block[stream]] += len(part)
            self._advance(stream, len(part))
        padding = -self._fill[stream] % self._program
        self.padded_pages += padding
        self._advance(stream, padding)
        self._free.append(victim)
        self.erases += 1

    def _advance(self, stream: int, pages: int) -> None:
        """Count pages as programmed in the open block of a stream."""
        self._fill[stream] += pages
        if self._fill[stream] == self._block_pages:
            self._close(stream)
