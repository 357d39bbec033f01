"""A RAM buffer in front of a log of erase-block-sized segments, and its cleaner.

Rule. The device has ``segments`` segments of ``segment_pages`` pages; page ``i`` of segment ``s`` has the
address ``s * segment_pages + i``. A segment is *free* or *in use*; all are free at first, listed in order
of number. Each unit has at most one copy: in the buffer, or at an address on the device. The buffer has
``buffer_pages`` places; its copies lie there in the order of their STOREs.

* **STORE** a unit. Its old copy, if any, dies. The new one takes the next place of the buffer. If all places
  are taken then, the buffer is flushed; *under pressure* also if it holds at least ``segment_pages`` copies.
* **DROP** a unit: its copy dies. **FETCH** a unit: a *hit* if its copy is in the buffer. Both need a copy.
* **Death** of a copy in the buffer: it is *absorbed*, it never reached the device. Its place is free at once,
  or (``tombstone``) when a flush passes it. Death of a copy on the device: the segment has one live page
  less; with none left it becomes free at once, at the tail of the free list.
* **Timer**: before each op, as long as the oldest copy in the buffer was stored ``timer`` ns before the op or
  earlier, write a segment.
* **Flush**: write a segment; then further ones, as long as the buffer holds at least ``segment_pages`` copies
  and, unless under pressure, more than ``low_pages`` places are taken.
* **Write a segment**:

  1. If at most ``reserve`` segments are free, *clean* one segment in use: its live pages are carried, in order
     of address, and it becomes free, at the tail of the free list. A completely live segment is never cleaned,
     it would give no room; if all are, the log is full: SpaceError. Of the others, the cleaner takes

     * ``GREEDY``: the one with the fewest live pages,
     * ``FIFO``: the one that was written first,
     * ``COST_BENEFIT``: the one with the largest ``floor(65536 * (size - live) * age / (size + live))``, where
       ``size`` is ``segment_pages``, ``live`` its live pages, and ``age`` the number of segments written from
       it on, itself included. This is (1 - u) * age / (1 + u) of the log-structured file system (Rosenblum
       and Ousterhout, 1992) with time counted in segments written: the age of its youngest page,

     each time the lowest number on ties.
  2. The head of the free list comes into use. Its pages are written in order: first the carried ones, then
     the copies of the buffer from the oldest on, which leave it, until ``segment_pages`` are written. The
     flush passes the places up to the last one taken. If the buffer runs out it has passed all places, and the
     rest of the segment is *padding*: written, but dead.

One cleaning is always enough: a cleaned segment was not completely live, so the carried pages leave room for
at least one copy of the buffer. The carried pages pass through RAM, hence a reserve of 0 works too. Without a
timer and without ``tombstone`` there is never padding: a full buffer can fill what the carried pages leave.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.flashlog_loop import LoopLog
from swaptrace.kernels.flashlog_vector import VectorLog
from swaptrace.kernels.flashops import DROP, FETCH, PADDING, STORE, FlashResult, Gc, Geometry
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import readable

__all__ = ["DROP", "FETCH", "PADDING", "STORE", "FlashLog", "FlashResult", "Gc"]


class FlashLog:
    """One device written as a log; the rule is at the head of this module.

    The engine in force when it is made chooses between a compiled loop and a vectorised form; both are exact.

    Args:
        segments: erase blocks of the device; more than ``reserve``.
        segment_pages: pages per segment.
        buffer_pages: places of the buffer, at least ``segment_pages``.
        reserve: number of free segments at which the cleaner starts.
        gc: which segment it takes.
        tombstone: whether dead copies keep their place in the buffer.
        timer: ns after which a waiting copy is written; 0: never.
        low_pages: places that may stay taken when a full buffer is flushed; None: one segment is enough.
    """

    def __init__(
        self,
        segments: int,
        segment_pages: int,
        buffer_pages: int,
        reserve: int = 2,
        gc: Gc = Gc.GREEDY,
        tombstone: bool = False,
        timer: int = 0,
        low_pages: int | None = None,
    ) -> None:
        low = buffer_pages if low_pages is None else low_pages
        geometry = Geometry(segments, segment_pages, buffer_pages, reserve, gc, tombstone, timer, low)
        self._timer = timer
        self._log = LoopLog(geometry) if engine_name() == "numba" else VectorLog(geometry)
        self.buffered = 0
        """Live pages in the buffer now."""
        self.live = 0
        """Live pages on the device now."""
        self.used_segments = 0
        """Segments in use now."""

    def feed(
        self,
        op: npt.ArrayLike,
        unit: npt.ArrayLike,
        now: npt.ArrayLike | None = None,
        pressed: npt.ArrayLike | None = None,
    ) -> FlashResult:
        """Run ops in order.

        Args:
            op: uint8[n] of STORE, DROP, FETCH.
            unit: int32[n] dense ids.
            now: int64[n] the time of each op in ns, never going back; a log with a timer needs it.
            pressed: bool[n] STOREs under pressure; None: none is.

        Raises:
            SpaceError: the cleaner found only completely live segments; the log is of no further use.
            ValueError: a DROP or FETCH of a unit that holds nothing, or an unknown op; likewise.
        """
        if now is None and self._timer:
            raise ValueError("a log with a timer needs the time of each op")
        result = self._log.feed(
            readable(op, np.uint8),
            readable(unit, np.int32),
            readable(() if now is None else now, np.int64),
            None if pressed is None else readable(pressed, np.bool_),
        )
        self.buffered += int(result.buffered.sum())
        self.live += int(result.live.sum())
        self.used_segments += int(result.segments.sum())
        return result
