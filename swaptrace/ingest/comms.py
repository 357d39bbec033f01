"""Names of tasks that change over time: COMM and FORK records, applied to events in time order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.raw import RawChunk

__all__ = ["CommTable", "intern"]

_DENSE_TIDS = 1 << 22  # PID_MAX_LIMIT: a larger tid is none


def intern(words: list[str], index: dict[str, int], word: str) -> int:
    """Return the code of ``word``, which joins ``words`` if it is new."""
    code = index.get(word)
    if code is None:
        code = index[word] = len(words)
        words.append(word)
    return code


class CommTable:
    """The name of each task at any time. ``words[code]`` is a name; a task without a name has code -1."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._index: dict[str, int] = {}
        self._now = np.full(1024, -1, np.int32)
        self._changes: list[tuple[int, int, int, int]] = []  # (time, arrival, tid, code or -2 - parent)

    def rename(self, time: int, tid: int, name: str) -> None:
        """From ``time`` on, ``tid`` is called ``name``."""
        self._changes.append((time, len(self._changes), tid, intern(self.words, self._index, name)))

    def fork(self, time: int, tid: int, parent: int) -> None:
        """From ``time`` on, ``tid`` has the name of ``parent``."""
        self._changes.append((time, len(self._changes), tid, -2 - parent))

    def name(self, chunk: RawChunk) -> RawChunk:
        """Fill ``comm`` of events that come in time order, in place; changes up to their last time take effect."""
        if not len(chunk):
            return chunk
        last = int(chunk.ts[-1])
        due = sorted(change for change in self._changes if change[0] <= last)
        self._changes = [change for change in self._changes if change[0] > last]
        if not due and not self.words:
            return chunk
        self._reserve([min(int(chunk.tid.max()), _DENSE_TIDS - 1)], due)
        at = 0
        for time, _, tid, code in due:
            until = int(np.searchsorted(chunk.ts, time, "left"))
            self._fill(chunk, at, until)
            at = max(at, until)
            if tid < _DENSE_TIDS:
                self._now[tid] = code if code >= 0 else self._now[min(-2 - code, _DENSE_TIDS - 1)]
        self._fill(chunk, at, len(chunk))
        return chunk

    def _reserve(self, tids: Iterable[int], due: list[tuple[int, int, int, int]]) -> None:
        named = [tid for _, _, tid, _ in due] + [-2 - code for *_, code in due if code < 0]
        top = max((t for t in [*tids, *named] if t < _DENSE_TIDS), default=0)
        if any(t >= _DENSE_TIDS for t in named):
            top = _DENSE_TIDS - 1
        if top >= len(self._now):
            grown = np.full(min(max(top + 1, 2 * len(self._now)), _DENSE_TIDS), -1, np.int32)
            grown[: len(self._now)] = self._now
            self._now = grown

    def _fill(self, chunk: RawChunk, start: int, stop: int) -> None:
        if stop > start:
            tid: NDArray[np.uint32] = chunk.tid[start:stop]
            inside = tid < len(self._now)
            if inside.all():
                chunk.comm[start:stop] = self._now[tid]
            else:
                chunk.comm[start:stop] = np.where(inside, self._now[np.where(inside, tid, 0)], -1)
