"""The BPF ring buffer, mapped and drained in bulk: numpy copies what is ready, nothing is called per record.

Layout (kernel/bpf/ringbuf.c): a page with the consumer's position, a page with the producer's, then the data twice in
a row, so that no record is ever torn at the end. Each record has a header whose bit 31 says BUSY until it is committed.
"""

from __future__ import annotations

import mmap
import time
from collections import deque

import numpy as np

from swaptrace.ingest.bpf.records import MAX_CHUNK_RECORDS, RECORD, Chunk

__all__ = ["Ring"]

_BUSY = np.uint64(1 << 31)
_PAGE = mmap.PAGESIZE


class Ring:
    """Consumer of the ring buffer with descriptor ``fd`` and ``size`` bytes of data."""

    def __init__(self, fd: int, size: int) -> None:
        self._size = size
        self._consumer_page = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data = mmap.mmap(fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._consumer = np.frombuffer(self._consumer_page, "<u8", 1)
        self._producer = np.frombuffer(self._data, "<u8", 1)
        self._marks: deque[tuple[int, int]] = deque()
        self._watermark = 0
        self.most_used = 0

    def drain(self, lost: int) -> Chunk | None:
        """Take the records that are ready, at most a chunk of them; None if there are none.

        A record takes its time after it has reserved its place. So every record behind the producer's position of a
        moment is from that moment or later: once all before that position are taken, the moment is the watermark.
        """
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        start, end = int(self._consumer[0]), int(self._producer[0])
        self.most_used = max(self.most_used, end - start)
        if self._marks and self._marks[-1][0] == end:
            self._marks.pop()
        self._marks.append((end, now))
        count = min((end - start) // RECORD.itemsize, MAX_CHUNK_RECORDS)
        ready = np.frombuffer(self._data, RECORD, count, _PAGE + (start & (self._size - 1)))
        busy = ready["ring"] & _BUSY != 0
        if busy.any():
            ready = ready[: int(busy.argmax())]
        if not len(ready):
            return None
        records = ready.copy()
        self._consumer[0] = taken = start + records.nbytes
        while self._marks and self._marks[0][0] <= taken:
            self._watermark = self._marks.popleft()[1]
        return Chunk(records, self._watermark, lost)
