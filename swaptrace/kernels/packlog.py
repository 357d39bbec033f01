"""A RAM buffer in front of a log of segments whose pages are compressed, and packed into blocks of 4 KiB.

Rule. That of :mod:`swaptrace.kernels.flashlog`, with bytes in the place of pages. A copy has a size of 1 to 4096 B,
given with its STORE. A segment has ``segment_pages`` blocks of 4096 B, the buffer ``buffer_pages * 4096`` B. What
differs:

* A copy takes its size of the buffer. The buffer is full when less than 4096 B are left. Where the rule asks for at
  least ``segment_pages`` copies in the buffer, it is for ``segment_pages * 4096`` B of copies; for places taken, it is
  for bytes taken, ``low_pages * 4096``.
* **Laying out** copies in a segment: each begins where the one before ends; with ``aligned`` a copy that would then lie
  in two blocks begins with the next block instead.
* **Cleaning.** The segments that may be cleaned are those whose live copies, laid out anew, leave the last block free.
  The cleaner takes ``GREEDY`` the fewest live bytes, ``FIFO`` the first written, ``COST_BENEFIT`` the largest
  ``floor(1024 * (size - live) * age / (size + live))``, in bytes, and the lowest number on ties.
* **Write a segment.** The carried copies are laid out in their order, behind them the copies of the buffer from the
  oldest on, up to the first that does not fit. Always at least one does: a block is free. All ``segment_pages`` blocks
  are written; what no copy covers is *padding*. The flush passes the places up to the last one taken, or all of them if
  the buffer ran out before the segment was full.
* A FETCH from the device reads the block in which the copy begins, and the next one if it ends there.

With copies of 4096 B only this is the flash log itself (but for the rounding of COST_BENEFIT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.flashops import FlashResult, Geometry, refuse
from swaptrace.kernels.packlog_loop import BLOCK, walk
from swaptrace.kernels.tables import Bools, Ints, Ints32, grown, readable

__all__ = ["BLOCK", "PackedLog", "PackedResult"]


@dataclass(frozen=True, slots=True)
class PackedResult(FlashResult):
    """What n ops did, as in :class:`FlashResult`, but ``places`` is in bytes, and ``at``, ``unit``, ``gc``, ``early``
    have one element per copy that was written, ``page`` one per block. ``address`` is the first block that was read."""

    two: Bools
    """FETCH: the copy ends in the block behind its address, which was read, too."""
    size: Ints32
    """Bytes of each copy that was written."""
    copies: Ints
    """int64: copies in each segment that was written."""

    @property
    def blocks_read(self) -> Ints:
        """The blocks that the FETCHes read, in order."""
        reads = np.flatnonzero(self.address >= 0)
        second = self.two[reads]
        blocks = np.repeat(self.address[reads], 1 + second)
        blocks[np.cumsum(1 + second)[second] - 1] += 1
        return blocks

    @property
    def gc_bytes(self) -> int:
        """Bytes that the cleaner copied."""
        return int(self.size[self.gc].sum(dtype=np.int64))

    @property
    def padding_bytes(self) -> int:
        """Bytes written that belong to nobody."""
        return BLOCK * len(self.page) - int(self.size.sum(dtype=np.int64))

    def copies_by_segment(self, segment_pages: int) -> Ints:
        """Copies in each segment that was written."""
        return self.copies


class PackedLog:
    """One device written as a log of packed pages; the rule is at the head of this module.

    Args:
        geometry: sizes and habits, as :class:`FlashLog` says of each; the buffer in pages of 4096 B.
        aligned: whether no copy lies in two blocks.
    """

    def __init__(self, geometry: Geometry, aligned: bool) -> None:
        self.geometry = geometry
        self.buffered = 0
        """Copies in the buffer now."""
        self._aligned = int(aligned)
        n = geometry.segments
        self._where: Ints = np.full(0, -1, np.int64)  # -1: no copy; >= 0: first byte; else -2 - index in the queue
        self._size: Ints32 = np.zeros(0, np.int32)
        # The live copies of a segment are a list in their order: the units before and behind each, -1 at the ends.
        self._before: Ints32 = np.full(0, -1, np.int32)
        self._behind: Ints32 = np.full(0, -1, np.int32)
        self._first: Ints32 = np.full(n, -1, np.int32)
        self._last: Ints32 = np.full(n, -1, np.int32)
        self._live: Ints = np.full(n, -1, np.int64)  # bytes; -1: a free segment
        self._written: Ints = np.zeros(n, np.int64)
        self._free: Ints32 = np.arange(n, dtype=np.int32)
        self._queue: Ints32 = np.empty(0, np.int32)
        self._queue_size: Ints32 = np.empty(0, np.int32)
        self._queue_time: Ints = np.empty(0, np.int64)
        # queue head and tail, copies and their bytes in it, bytes taken, free list head, free segments, segments
        # written so far, whether the op has still to flush; of the last call: copies and segments written, segments
        # that became free, why it stopped
        self._state: Ints = np.array([0, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0], np.int64)

    def feed(
        self,
        op: npt.ArrayLike,
        unit: npt.ArrayLike,
        size: npt.ArrayLike,
        now: npt.ArrayLike | None = None,
        pressed: npt.ArrayLike | None = None,
    ) -> PackedResult:
        """Run ops in order, as :meth:`FlashLog.feed`; ``size`` (int32[n], bytes) counts at STOREs."""
        ops, units, sizes = readable(op, np.uint8), readable(unit, np.int32), readable(size, np.int32)
        n, g = len(ops), self.geometry
        self._make_room(n, int(units.max()) + 1 if n else 0)
        hit, absorbed, two = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        address, places = np.full(n, -1, np.int64), np.zeros(n, np.int64)
        buffered, live, segments = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
        # Enough for what waits and comes, and for all that one cleaning carries; a call that needs more stops.
        room, flushes = 2 * (int(self._state[2]) + n) + len(self._size), g.segments + n // g.segment_pages + 2
        copied: list[tuple[Any, ...]] = []
        wrote: list[tuple[Any, ...]] = []
        died: list[tuple[Any, ...]] = []
        done, before = 0, 0
        times = readable(() if now is None else now, np.int64)
        press = readable(() if pressed is None else pressed, np.bool_)
        while True:
            at, out, length = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int32)
            gc, early = np.zeros(room, np.bool_), np.zeros(room, np.bool_)
            segment, copies = np.empty(flushes, np.int32), np.empty(flushes, np.int64)
            dead_at, dead_before = np.empty(flushes + g.segments, np.int64), np.empty(flushes + g.segments, np.int64)
            dead_segment = np.empty(flushes + g.segments, np.int32)
            done = walk(
                done, ops, units, sizes, times, press, hit, two, address, absorbed, buffered, live, places, segments,
                at, out, length, gc, early, segment, copies, dead_at, dead_before, dead_segment, g.segment_pages,
                g.buffer_pages, g.reserve, int(g.gc), int(g.tombstone), g.timer, g.low_pages, self._aligned,
                self._where, self._size, self._before, self._behind, self._first, self._last, self._live,
                self._written, self._free, self._queue, self._queue_size, self._queue_time, self._state,
            )  # fmt: skip
            k, f, m, stopped = (int(count) for count in self._state[9:])
            copied.append((at[:k], out[:k], length[:k], gc[:k], early[:k]))
            wrote.append((segment[:f], copies[:f]))
            died.append((dead_at[:m], dead_before[:m] + before, dead_segment[:m]))
            before += f * g.segment_pages
            if done == n:
                break
            refuse(stopped, g, ops[done:], units[done:], self._where)
        at, out, length, gc, early = (np.concatenate(column) for column in zip(*copied, strict=True))
        segment, copies = (np.concatenate(column) for column in zip(*wrote, strict=True))
        page = (segment.astype(np.int64)[:, None] * g.segment_pages + np.arange(g.segment_pages)).ravel()
        dead_at, dead_before, dead_segment = (np.concatenate(column) for column in zip(*died, strict=True))
        self.buffered += int(buffered.sum())
        return PackedResult(
            hit, address, absorbed, buffered, live, places, segments, at, page, out, gc, early if g.timer else None,
            dead_at, dead_before, dead_segment, two, length, copies,
        )  # fmt: skip

    def _make_room(self, ops: int, units: int) -> None:
        """Move the queue to the head of its tables, with room for ``ops`` more; give ``units`` units their tables."""
        head, tail = int(self._state[0]), int(self._state[1])
        kept = np.arange(head, tail)
        if not self.geometry.tombstone:
            kept = kept[self._queue[head:tail] >= 0]
        self._queue = np.concatenate([self._queue[kept], np.full(ops, -1, np.int32)])
        self._queue_size = np.concatenate([self._queue_size[kept], np.zeros(ops, np.int32)])
        self._queue_time = np.concatenate([self._queue_time[kept], np.zeros(ops, np.int64)])
        self._where = grown(self._where, units, -1)
        self._size = grown(self._size, units, 0)
        self._before = grown(self._before, units, -1)
        self._behind = grown(self._behind, units, -1)
        alive = np.flatnonzero(self._queue[: len(kept)] >= 0)
        self._where[self._queue[alive]] = -2 - alive
        self._state[:2] = 0, len(kept)
