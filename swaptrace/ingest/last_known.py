"""What a key last stood for: the slot of a handle, the page in a slot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        known = np.concatenate([self._key, key.astype(np.uint64), asked.astype(np.uint64)])
        unique, code = np.unique(known, return_inverse=True)
        # Per key: what it stood for before the chunk (position -1), then changes and questions by their positions; a
        # question comes before the change of its own position.
        place = np.concatenate([np.full(held, -1, np.int64), 2 * at + 1, 2 * asked_at]).astype(np.int64)
        order = np.lexsort((place, code))
        is_change = order < held + count
        latest = np.maximum.accumulate(np.where(is_change, np.arange(len(order)), -1))
        same = (latest >= 0) & (code[order[np.maximum(latest, 0)]] == code[order])
        question = np.flatnonzero(~is_change & same)
        mine = order[question] - held - count
        source = order[latest[question]]
        firsts = np.concatenate([self._first, first]).astype(np.int64)
        seconds = np.concatenate([self._second, second]).astype(np.int64)
        out_first, out_second = np.full(len(asked), -1, np.int64), np.full(len(asked), -1, np.int64)
        out_first[mine], out_second[mine] = firsts[source], seconds[source]
        last = np.full(len(unique), -1, np.int64)
        changes = order[is_change]
        last[code[changes]] = changes  # in order: the last one stays
        live = np.flatnonzero((last >= 0) & (firsts[np.maximum(last, 0)] >= 0)) if len(firsts) else last[:0]
        self._key, self._first, self._second = unique[live], firsts[last[live]], seconds[last[live]]
        known_first = out_first >= 0
        return np.where(known_first, out_first, -1), np.where(known_first, out_second, -1)
