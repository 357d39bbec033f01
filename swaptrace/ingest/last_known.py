"""What a key last stood for: the slot of a handle, the page in a slot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.grouping import grouped

__all__ = ["LastKnown"]

Array = NDArray[Any]
Numbers = NDArray[np.int64]


class LastKnown:
    """Key -> two numbers, the first of them not negative; bounded by the keys that stand for something."""

    def __init__(self) -> None:
        self._key = np.zeros(0, np.uint64)
        self._first = np.zeros(0, np.int64)
        self._second = np.zeros(0, np.int64)

    def resolve(
        self, key: Array, at: Array, first: Array, second: Array, asked: Array, asked_at: Array
    ) -> tuple[Numbers, Numbers]:
        """Apply a chunk of changes and answer its questions, in the order of their positions.

        A change at position ``at`` makes ``key`` stand for ``(first, second)``, or for nothing where ``first`` is
        negative. Returns what each ``asked`` key stood for just before its position ``asked_at``, -1 and -1 where
        nothing. Changes of one key have distinct positions.
        """
        held, count = len(self._key), len(key)
        keys = np.concatenate([self._key, key.astype(np.uint64), asked.astype(np.uint64)])
        # Per key: what it stood for before the chunk, then changes and questions by their positions; a question comes
        # before the change of its own position.
        place = np.concatenate([np.zeros(held, np.int64), 2 * at + 2, 2 * asked_at + 1])
        shift = max(1, len(keys).bit_length())
        packed = place.astype(np.int64) << shift
        packed |= np.arange(len(keys))
        packed.sort()
        in_time = packed & ((1 << shift) - 1)
        order, same = grouped(keys[in_time])
        order = in_time[order]
        rank = np.arange(len(order))
        is_change = order < held + count
        latest = np.maximum.accumulate((rank + 1) * is_change) - 1  # the change before, of this key or of another
        known = latest >= np.maximum.accumulate(rank * ~same)
        question = np.flatnonzero(~is_change & known)
        mine = order[question] - held - count
        source = order[latest[question]]
        firsts = np.concatenate([self._first, first]).astype(np.int64)
        seconds = np.concatenate([self._second, second]).astype(np.int64)
        out_first, out_second = np.full(len(asked), -1, np.int64), np.full(len(asked), -1, np.int64)
        out_first[mine], out_second[mine] = firsts[source], seconds[source]
        ends = np.ones(len(order), np.bool_)
        np.logical_not(same[1:], out=ends[:-1])
        last = order[latest[np.flatnonzero(ends & known)]]
        live = last[firsts[last] >= 0]
        self._key, self._first, self._second = keys[live], firsts[live], seconds[live]
        known_first = out_first >= 0
        return np.where(known_first, out_first, -1), np.where(known_first, out_second, -1)
