"""A flash device's own translation layer: page-mapped, one open block, greedy garbage collection.

Rule. The device exports the logical pages 0 to ``pages - 1`` and has ``blocks`` erase blocks of
``block_pages`` pages::

    blocks = ceil(pages * (1 + spare) / block_pages) + RESERVE

A block is *free*, *open* or *closed*. Block 0 is open at first, the others are free, listed in order of
number. A page of a block is *valid* while it is the newest copy of a logical page that is mapped.

* **Program** a logical page: its old copy, if any, is no longer valid; the new one goes to the next page of
  the open block. If that was its last page, the block is closed and the head of the free list is opened.
* **Host write** of a logical page: program it. Then, while fewer than 2 blocks are free, *collect*: take the
  closed block with the fewest valid pages, the lowest number on ties; program its valid pages in their order;
  erase it: it goes to the tail of the free list.
* **Trim** of a logical page: its copy, if any, is no longer valid and it is not mapped. Nothing else happens.

The closed forms of greedy write amplification know neither the open block nor the free ones. RESERVE holds
these, so the forms apply to ``alpha = (blocks - RESERVE) * block_pages / pages``.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.ftl_loop import LoopFtl
from swaptrace.kernels.ftl_vector import VectorFtl
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import readable

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
    """

    def __init__(self, pages: int, block_pages: int, spare: float) -> None:
        if pages < 1 or block_pages < 1 or spare < 0:
            raise ValueError(f"pages={pages} block_pages={block_pages} spare={spare}")
        self.pages = pages
        self.block_pages = block_pages
        self.blocks = ceil(pages * (1 + Fraction(str(spare))) / block_pages) + RESERVE
        if self.blocks * block_pages >= 1 << 31:  # physical pages are kept as int32
            raise ValueError(f"{self.blocks} blocks of {block_pages} pages: at most 8 TiB of 4 KiB pages")
        form = LoopFtl if engine_name() == "numba" else VectorFtl
        self._ftl: LoopFtl | VectorFtl = form(pages, self.blocks, block_pages)

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
        self._ftl.feed(pages)

    @property
    def host_pages(self) -> int:
        """Pages written by the host."""
        return self._ftl.host_pages

    @property
    def flash_pages(self) -> int:
        """Pages programmed: those of the host and those copied by the collector."""
        return self._ftl.host_pages + self._ftl.copied_pages

    @property
    def erases(self) -> int:
        """Blocks erased by the collector."""
        return self._ftl.erases

    @property
    def valid(self) -> int:
        """Logical pages that are mapped now."""
        return self._ftl.valid
