"""The translation layer as one loop; the rule is at the head of :mod:`swaptrace.kernels.ftl`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Ints, Ints32, shift_of

__all__ = ["LoopFtl"]

NOT_CLOSED = 1 << 62


class LoopFtl:
    """State of the loop: both page maps, and the closed blocks in a tree with the next victim at its root.

    A closed block ``b`` is the leaf ``valid << 32 | b``, any other NOT_CLOSED; an inner node is the smaller
    of its two children, ``2 * node`` and ``2 * node + 1``. A page that dies is most often settled within two
    levels.
    """

    def __init__(self, pages: int, blocks: int, block_pages: int) -> None:
        self._block_pages = block_pages
        self._where: Ints32 = np.full(pages, -1, np.int32)
        self._held: Ints32 = np.full(blocks * block_pages, -1, np.int32)
        # Of the open block: minus the pages that died since it was opened.
        self._valid: Ints32 = np.zeros(blocks, np.int32)
        self._tree: Ints = np.full(2 << (blocks - 1).bit_length(), NOT_CLOSED, np.int64)
        self._free: Ints32 = np.arange(1, blocks + 1, dtype=np.int32)
        # open block, its next page, free list head, free blocks, host writes, copies, erases, mapped pages
        self._state: Ints = np.array([0, 0, 0, blocks - 1, 0, 0, 0, 0], np.int64)

    def feed(self, stream: Ints) -> None:
        """Write and trim logical pages in order; as :meth:`PageMappedFtl.feed`."""
        _walk(
            stream,
            self._block_pages,
            shift_of(self._block_pages),
            self._where,
            self._held,
            self._valid,
            self._tree,
            self._free,
            self._state,
        )

    @property
    def host_pages(self) -> int:
        """Pages written by the host."""
        return int(self._state[4])

    @property
    def copied_pages(self) -> int:
        """Pages copied by the collector."""
        return int(self._state[5])

    @property
    def erases(self) -> int:
        """Blocks erased."""
        return int(self._state[6])

    @property
    def valid(self) -> int:
        """Logical pages mapped now."""
        return int(self._state[7])


@loop
def _walk(
    stream: Ints,
    block_pages: int,
    shift: int,
    where: Ints32,
    held: Ints32,
    valid: Ints32,
    tree: Ints,
    free: Ints32,
    state: Ints,
) -> Any:
    """Run the stream."""
    block = state[0]
    fill = state[1]
    free_head = state[2]
    free_count = state[3]
    host = state[4]
    copied = state[5]
    erased = state[6]
    mapped = state[7]
    leaves = len(tree) // 2
    none = 1 << 62
    for i in range(len(stream)):
        lpn = stream[i]
        trim = lpn < 0
        if trim:
            lpn = ~lpn
        old = where[lpn]
        if old >= 0:
            held[old] = -1
            b = old >> shift if shift >= 0 else old // block_pages
            valid[b] -= 1
            x = leaves + b
            key = tree[x]
            if key != none:
                key -= 1 << 32
                # Smaller than before: a parent changes only if it is larger.
                while x > 0 and tree[x] > key:
                    tree[x] = key
                    x >>= 1
            if trim:
                where[lpn] = -1
                mapped -= 1
        elif not trim:
            mapped += 1
        if trim:
            continue
        host += 1
        victim = -1
        scan = 0
        while lpn >= 0:
            page = block * block_pages + fill
            held[page] = lpn
            where[lpn] = page
            fill += 1
            if fill == block_pages:
                valid[block] += fill
                key = (valid[block] << 32) | block
                x = leaves + block
                while x > 0 and tree[x] > key:
                    tree[x] = key
                    x >>= 1
                block = free[free_head]
                free_head = (free_head + 1) % len(free)
                free_count -= 1
                fill = 0
            # The next page to program is one of the victim's, if there is one or one is needed.
            lpn = -1
            while lpn < 0 and (victim >= 0 or free_count < 2):
                if victim < 0:
                    victim = tree[1] & 0xFFFFFFFF
                    scan = victim * block_pages
                    x = leaves + victim
                    tree[x] = none
                    x >>= 1
                    while x > 0:
                        tree[x] = min(tree[2 * x], tree[2 * x + 1])
                        x >>= 1
                elif scan == (victim + 1) * block_pages:
                    valid[victim] = 0
                    free[(free_head + free_count) % len(free)] = victim
                    free_count += 1
                    erased += 1
                    victim = -1
                else:
                    lpn = held[scan]
                    held[scan] = -1
                    scan += 1
                    if lpn >= 0:
                        copied += 1
    state[0] = block
    state[1] = fill
    state[2] = free_head
    state[3] = free_count
    state[4] = host
    state[5] = copied
    state[6] = erased
    state[7] = mapped
    return 0
