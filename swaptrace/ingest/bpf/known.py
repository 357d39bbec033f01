"""The latest value of each key over a stream of writes and questions, batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LastKnown"]

Array = NDArray[Any]


class LastKnown:
    """A map of 64-bit keys to 64-bit values; value 0 means: none. Bounded by the keys that have a value."""

    def __init__(self) -> None:
        self._key = np.zeros(0, np.uint64)
        self._value = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self._key)

    def step(self, key: Array, value: Array, writes: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Apply operations in their order; return for each the value of its key just before it.

        Where ``writes`` holds, the key gets ``value`` (0 forgets it).
        """
        n = len(key)
        order = np.argsort(key, kind="stable")
        key, value, writes = key[order], value[order], writes[order]
        begins = np.ones(n, np.bool_)
        begins[1:] = key[1:] != key[:-1]
        start = np.maximum.accumulate(np.where(begins, np.arange(n), 0))
        upto = np.maximum.accumulate(np.where(writes, np.arange(n), -1))
        latest = np.concatenate([np.full(min(n, 1), -1), upto[:-1]])
        here = latest >= start
        before = np.where(here, value[np.maximum(latest, 0)], 0).astype(np.uint64)
        before[~here] = self._lookup(key[~here])
        answers = np.empty(n, np.uint64)
        answers[order] = before
        ends = np.append(begins[1:], True)[:n]
        changed = np.flatnonzero(ends & (upto >= start))
        self._apply(key[changed], value[upto[changed]])
        return answers

    def _lookup(self, key: Array) -> NDArray[np.uint64]:
        if not len(self._key):
            return np.zeros(len(key), np.uint64)
        where = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        return np.where(self._key[where] == key, self._value[where], 0).astype(np.uint64)

    def _apply(self, key: Array, value: Array) -> None:
        if not len(key):
            return
        keys = np.concatenate([key.astype(np.uint64), self._key])  # new before old: unique keeps the first
        unique, first = np.unique(keys, return_index=True)
        values = np.concatenate([value.astype(np.uint64), self._value])[first]
        self._key, self._value = unique[values != 0], values[values != 0]
