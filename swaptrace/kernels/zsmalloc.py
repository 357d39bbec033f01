"""Size classes of zsmalloc: how many bytes of RAM a compressed page occupies.

Rule (mm/zsmalloc.c: zs_create_pool, calculate_zspage_chain_size). Classes are 16 B apart from 32 B to a page. A class
cuts a chain of 1 to 8 pages into objects, with the chain that leaves the least over at its end (the shortest of equal
ones); smaller classes whose chain has as many pages and objects as the next larger one are merged into it. An object is
a compressed page and, in the memory of every class but the last, an 8-byte handle in front of it. What does not fit the
largest class below a page (3632 B) occupies a whole page.

An object occupies its share of the chain: ``pages * 4096 // objects`` bytes. Holes of chains that are not full are not
counted: a lower bound.

Source: mm/zsmalloc.c, Linux 6.18, CONFIG_ZSMALLOC_CHAIN_SIZE=8, 4 KiB pages; /sys/kernel/debug/zsmalloc/POOL/classes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from swaptrace.kernels.tables import Ints, Words16

__all__ = ["PAGE", "SizeClass", "classes", "occupied"]

PAGE = 4096
_CHAIN, _LEAST, _STEP, _HANDLE = 8, 32, 16, 8


class SizeClass(NamedTuple):
    """One merged class: largest object in bytes, pages of a chain, objects in it."""

    size: int
    pages: int
    objects: int


def _class(size: int) -> SizeClass:
    pages = min(range(1, _CHAIN + 1), key=lambda k: (k * PAGE % size, k))
    return SizeClass(size, pages, pages * PAGE // size)


@cache
def classes() -> tuple[SizeClass, ...]:
    """Return the merged classes, largest first."""
    merged: list[SizeClass] = []
    for size in range(PAGE, _LEAST - 1, -_STEP):
        made = _class(size)
        if not merged or merged[-1][1:] != made[1:]:
            merged.append(made)
    return tuple(merged)


@cache
def _table() -> Words16:
    """Return the occupied bytes by compressed size, uint16[PAGE + 1]."""
    ascending = classes()[::-1]
    sizes = np.array([c.size for c in ascending])
    share = np.array([c.pages * PAGE // c.objects for c in ascending])
    needed = np.minimum(np.arange(PAGE + 1) + _HANDLE, PAGE)
    table: Words16 = share[np.searchsorted(sizes, needed)].astype(np.uint16)
    table.flags.writeable = False
    return table


def occupied(size: Ints) -> Ints:
    """Return the bytes that objects of ``size`` compressed bytes (int64[n], 0 to 4096) occupy."""
    return _table()[size].astype(np.int64)
