"""The translation layer as one loop; the rule is at the head of :mod:`swaptrace.kernels.ftl`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Ints, Ints8, Ints32, shift_of

__all__ = ["LoopFtl"]

NOT_CLOSED = 1 << 62


class LoopFtl:
    """State of the loop: both page maps, and the closed blocks: by age in a ring for fifo, else in a tree with the next
    victim at its root.

    A closed block ``b`` is the leaf ``valid << 32 | b``, any other NOT_CLOSED; an inner node is the smaller
    of its two children, ``2 * node`` and ``2 * node + 1``. A page that dies is most often settled within two
    levels. A write of the page ``pages`` is padding.
    """

    def __init__(
        self, pages: int, blocks: int, block_pages: int, program: int = 1, fifo: bool = False, streams: int = 1
    ) -> None:
        self._block_pages = block_pages
        self._program, self._fifo = program, fifo
        self._where: Ints32 = np.full(pages + 1, -1, np.int32)
        self._held: Ints32 = np.full(blocks * block_pages, -1, np.int32)
        # Of the open block: minus the pages that died since it was opened.
        self._valid: Ints32 = np.zeros(blocks, np.int32)
        self._tree: Ints = np.full(2 << (blocks - 1).bit_length(), NOT_CLOSED, np.int64)
        self._closed: Ints32 = np.zeros(blocks if fifo else 1, np.int32)
        self._free: Ints32 = np.arange(streams, blocks + streams, dtype=np.int32)
        self._stream_of = np.zeros(blocks, np.int8)
        # By stream: open block, then its next page.
        self._open: Ints32 = np.append(np.arange(streams), np.zeros(streams)).astype(np.int32)
        self._stream_of[:streams] = np.arange(streams)
        # free list head, free blocks, host writes, copies, erases, mapped pages, padding of copies, head and length of
        # the closed ones by age
        self._state: Ints = np.array([0, blocks - streams, 0, 0, 0, 0, 0, 0, 0], np.int64)

    def feed(self, stream: Ints) -> None:
        """Write and trim logical pages in order; as :meth:`PageMappedFtl.feed`."""
        _walk(
            stream, self._block_pages, shift_of(self._block_pages), self._program, self._fifo, self._where, self._held,
            self._valid, self._tree, self._closed, self._free, self._stream_of, self._open, self._state,
        )  # fmt: skip

    @property
    def host_pages(self) -> int:
        """Pages written by the host."""
        return int(self._state[2])

    @property
    def copied_pages(self) -> int:
        """Pages copied by the collector."""
        return int(self._state[3])

    @property
    def padded_pages(self) -> int:
        """Pages of padding behind copies."""
        return int(self._state[6])

    @property
    def erases(self) -> int:
        """Blocks erased."""
        return int(self._state[4])

    @property
    def valid(self) -> int:
        """Logical pages mapped now."""
        return int(self._state[5])


@loop
def _walk(
    stream: Ints, block_pages: int, shift: int, program: int, fifo: bool, where: Ints32, held: Ints32, valid: Ints32,
    tree: Ints, closed: Ints32, free: Ints32, stream_of: Ints8, opened: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the stream."""
    streams = len(opened) // 2
    into = 0  # the stream that is written now; its open block:
    block = opened[0]
    fill = opened[streams]
    free_head = state[0]
    free_count = state[1]
    host = state[2]
    copied = state[3]
    erased = state[4]
    mapped = state[5]
    padded = state[6]
    closed_head = state[7]
    closed_count = state[8]
    leaves = len(tree) // 2
    none = 1 << 62
    padding = len(where) - 1
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
            if lpn == padding:
                held[page] = -1
                where[lpn] = -1
                valid[block] -= 1
                mapped -= victim < 0
            fill += 1
            if fill == block_pages:
                valid[block] += fill
                if fifo:
                    closed[(closed_head + closed_count) % len(closed)] = block
                    closed_count += 1
                else:
                    key = (valid[block] << 32) | block
                    x = leaves + block
                    while x > 0 and tree[x] > key:
                        tree[x] = key
                        x >>= 1
                block = free[free_head]
                free_head = (free_head + 1) % len(free)
                free_count -= 1
                stream_of[block] = into
                fill = 0
            # The next page to program is one of the victim's, if there is one or one is needed.
            lpn = -1
            while lpn < 0 and (victim >= 0 or free_count < 2):
                if victim < 0:
                    if fifo:
                        victim = closed[closed_head]
                        closed_head = (closed_head + 1) % len(closed)
                        closed_count -= 1
                    else:
                        victim = tree[1] & 0xFFFFFFFF
                        x = leaves + victim
                        tree[x] = none
                        x >>= 1
                        while x > 0:
                            tree[x] = min(tree[2 * x], tree[2 * x + 1])
                            x >>= 1
                    scan = victim * block_pages
                    opened[0] = block
                    opened[streams] = fill
                    into = min(stream_of[victim] + 1, streams - 1)
                    block = opened[into]
                    fill = opened[streams + into]
                elif scan == (victim + 1) * block_pages:
                    if fill % program > 0:
                        padded += 1
                        lpn = padding
                        continue
                    valid[victim] = 0
                    free[(free_head + free_count) % len(free)] = victim
                    free_count += 1
                    erased += 1
                    victim = -1
                    opened[into] = block
                    opened[streams + into] = fill
                    into = 0
                    block = opened[0]
                    fill = opened[streams]
                else:
                    lpn = held[scan]
                    held[scan] = -1
                    scan += 1
                    if lpn >= 0:
                        copied += 1
    opened[0] = block
    opened[streams] = fill
    state[0] = free_head
    state[1] = free_count
    state[2] = host
    state[3] = copied
    state[4] = erased
    state[5] = mapped
    state[6] = padded
    state[7] = closed_head
    state[8] = closed_count
    return 0
