"""A RAM buffer in front of a log of erase-block-sized segments, and its cleaner.

Rule. The device has ``segments`` segments of ``segment_pages`` pages; page ``i`` of segment ``s`` has the
address ``s * segment_pages + i``. A segment is *free* or *in use*; all are free at first, listed in order
of number. Each unit has at most one copy: in the buffer, or at an address on the device. Copies in the
buffer are in the order of their STOREs.

* **STORE** a unit. Its old copy, if any, dies. The new one is appended to the buffer. If the buffer then
  holds ``buffer_pages`` copies, it is flushed.
* **DROP** a unit: its copy dies. **FETCH** a unit: a *hit* if its copy is in the buffer. Both need a copy.
* **Death** of a copy in the buffer: it leaves the buffer; it is *absorbed*, it never reached the device.
  Death of a copy on the device: the segment has one live page less; with none left it becomes free at once,
  at the tail of the free list.
* **Flush**: write one segment.

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
     the oldest copies of the buffer, which leave it, exactly ``segment_pages`` in all.

One flush is always enough: a cleaned segment was not completely live, so the carried pages leave room for
at least one copy of the buffer, and a buffer of at least ``segment_pages`` can fill the rest. For the same
reason ``free <= reserve`` never needs more than one cleaning. The carried pages pass through RAM, hence a
reserve of 0 works too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.flashlog_loop import LoopLog
from swaptrace.kernels.flashlog_vector import VectorLog
from swaptrace.kernels.flashops import DROP, FETCH, STORE, FlashResult, Gc, Geometry
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import readable

__all__ = ["DROP", "FETCH", "STORE", "FlashLog", "FlashResult", "Gc"]


class FlashLog:
    """One device written as a log; the rule is at the head of this module.

    The engine in force when it is made chooses between a compiled loop and a vectorised form; both are exact.

    Args:
        segments: erase blocks of the device; more than ``reserve``.
        segment_pages: pages per segment.
        buffer_pages: capacity of the buffer, at least ``segment_pages``.
        reserve: number of free segments at which the cleaner starts.
        gc: which segment it takes.
    """

    def __init__(
        self, segments: int, segment_pages: int, buffer_pages: int, reserve: int = 2, gc: Gc = Gc.GREEDY
    ) -> None:
        geometry = Geometry(segments, segment_pages, buffer_pages, reserve, gc)
        self._log = LoopLog(geometry) if engine_name() == "numba" else VectorLog(geometry)
        self.buffered = 0
        """Live pages in the buffer now."""
        self.live = 0
        """Live pages on the device now."""
        self.used_segments = 0
        """Segments in use now."""

    def feed(self, op: npt.ArrayLike, unit: npt.ArrayLike) -> FlashResult:
        """Run ops in order.

        Args:
            op: uint8[n] of STORE, DROP, FETCH.
            unit: int32[n] dense ids.

        Raises:
            SpaceError: the cleaner found only completely live segments; the log is of no further use.
            ValueError: a DROP or FETCH of a unit that holds nothing, or an unknown op; likewise.
        """
        result = self._log.feed(readable(op, np.uint8), readable(unit, np.int32))
        self.buffered += int(result.buffered.sum())
        self.live += int(result.live.sum())
        self.used_segments += int(result.segments.sum())
        return result
