"""A flash device's own translation layer: page-mapped, with a garbage collector that copies what is still valid.

Rule. The device exports the logical pages 0 to ``pages - 1``. It has ``blocks`` erase blocks of ``block_pages`` pages,
and programs ``program`` pages at a time, a program page (all of 4 KiB; ``program`` divides ``block_pages``)::

    blocks = ceil(max(pages * (1 + spare) / block_pages, pages / (block_pages - program + 1))) + RESERVE
    and one more for each stream but the first

A block is *free*, *open* or *closed*. Each stream has one open block: at first block s for stream s, and the others are
free, listed in order of number. A block that a stream opens is of that stream until it is erased. A page of a block is
*valid* while it is the newest copy of a logical page that is mapped.

* **Program** a logical page in a stream: its old copy, if any, is no longer valid; the new one goes to the next page of
  the stream's open block. If that was its last page, the block is closed and the stream opens the head of the free
  list. The host's pages go to stream 0, copies out of a block of stream s to stream s + 1, or to the last one.
* **Pad** an open block: while the next page is not the first of a program page, program one that is never valid.
* **Host write** of a logical page: if it is not the page behind that of the host write before, a new *request* begins:
  pad the open block of stream 0 first. Then program the page.
* **Collect**: behind each page that the host programs, padding included, while fewer than 2 blocks are free. Take a
  closed block: ``greedy`` the one with the fewest valid pages, the lowest number on ties; ``fifo`` the one that was
  closed first. Program its valid pages in their order; pad the open block that they went to; erase the block taken: it
  goes to the tail of the free list.
* **Trim** of a logical page: its copy, if any, is no longer valid and it is not mapped. Nothing else happens; the
  request goes on.

The last request is padded when it is known to be over: at the next one, or at the end.

The closed forms of write amplification know neither the open block nor the free ones. RESERVE holds these, so the
forms apply to ``alpha = (blocks - RESERVE) * block_pages / pages``. The second bound of ``blocks`` is that of a device
almost without spare blocks: some block always has a whole program page that is not valid.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.ftl_loop import LoopFtl
from swaptrace.kernels.ftl_vector import VectorFtl
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import Ints, readable

__all__ = ["RESERVE", "PageMappedFtl"]

RESERVE = 3
"""Blocks beyond the spare ones: the open block and the two that the collector keeps free.

With these a block that is not completely valid can always be found, even without spare blocks. On average
three quarters of a block of them serve as spare space, so small devices copy a little less than the closed
form says: 1 % less with 1000 blocks and 7 % spare, 2 % with 500.
"""


class PageMappedFtl:
    """The translation layer of one device; the rule is at the head of this module.

    The engine in force when it is made chooses between a compiled loop and a vectorised form; both are exact.

    Args:
        pages: logical pages that the device exports.
        block_pages: pages per erase block (or superblock).
        spare: over-provisioning, as a fraction of ``pages``, taken as the decimal number that is written.
        program: pages per program page.
        fifo: collect the block that was closed first, not the one with the fewest valid pages.
        streams: open blocks: pages lie together by how often they were copied since the host wrote them; at most 127.
    """

    def __init__(
        self, pages: int, block_pages: int, spare: float, program: int = 1, fifo: bool = False, streams: int = 1
    ) -> None:
        if pages < 1 or block_pages < 1 or spare < 0 or program < 1 or block_pages % program or not 1 <= streams <= 127:
            raise ValueError(f"{pages=} {block_pages=} {spare=} {program=} {streams=}")
        self.pages = pages
        self.block_pages = block_pages
        least = Fraction(pages, block_pages - program + 1)
        self.blocks = ceil(max(pages * (1 + Fraction(str(spare))) / block_pages, least)) + RESERVE + streams - 1
        if self.blocks * block_pages >= 1 << 31:  # physical pages are kept as int32
            raise ValueError(f"{self.blocks} blocks of {block_pages} pages: at most 8 TiB of 4 KiB pages")
        form = LoopFtl if engine_name() == "numba" else VectorFtl
        self._ftl: LoopFtl | VectorFtl = form(pages, self.blocks, block_pages, program, fifo, streams)
        self._program = program
        self._last = -2  # page that the host wrote last
        self._run = 0  # pages that it wrote in this request, modulo `program`
        self._padding = 0

    def feed(self, stream: npt.ArrayLike) -> None:
        """Write and trim logical pages in order.

        Args:
            stream: int64[n]; ``page`` writes it, ``~page`` (negative) trims it.

        Raises:
            ValueError: a page that the device does not export.
        """
        pages = readable(stream, np.int64)
        if len(pages) and not -self.pages <= int(pages.min()) <= int(pages.max()) < self.pages:
            raise ValueError(f"the device has {self.pages} pages")
        self._ftl.feed(pages if self._program == 1 else self._padded(pages))

    def finish(self) -> None:
        """End the last request."""
        self._last = -2
        if self._run:
            self._ftl.feed(self._pads(self._program - self._run))
            self._run = 0

    def _padded(self, stream: Ints) -> Ints:
        """Return the stream with the padding of each request in front of the next one.

        A request begins at the first page of a program page whatever was collected in between, because blocks and
        copies end with whole ones: its length alone says how much padding it takes.
        """
        writes = np.flatnonzero(stream >= 0)
        if len(writes) == 0:
            return stream
        page = stream[writes]
        begins = page != np.append(self._last, page[:-1]) + 1
        place = np.arange(len(page))
        start = np.maximum.accumulate(np.where(begins, place, -self._run))  # the request carried on began before
        before = np.append(self._run, place[1:] - start[:-1])[begins]  # pages of the request that ends here
        short = -before % self._program
        self._last, self._run = int(page[-1]), int(len(page) - start[-1]) % self._program
        return np.insert(stream, np.repeat(writes[begins], short), self._pads(int(short.sum())))

    def _pads(self, count: int) -> Ints:
        """Return ``count`` writes of padding: of the page beyond the last one."""
        self._padding += count
        return np.full(count, self.pages, np.int64)

    @property
    def host_pages(self) -> int:
        """Pages written by the host."""
        return self._ftl.host_pages - self._padding

    @property
    def flash_pages(self) -> int:
        """Pages programmed: those of the host, those copied by the collector, and padding."""
        return self._ftl.host_pages + self._ftl.copied_pages + self._ftl.padded_pages

    @property
    def padded_pages(self) -> int:
        """Pages of padding, of requests and of copies."""
        return self._padding + self._ftl.padded_pages

    @property
    def erases(self) -> int:
        """Blocks erased by the collector."""
        return self._ftl.erases

    @property
    def valid(self) -> int:
        """Logical pages that are mapped now."""
        return self._ftl.valid
