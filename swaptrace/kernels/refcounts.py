"""Reference counts of keyed things over a stream of changes, vectorised: who took the first, who gave the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.grouped import by_key
from swaptrace.kernels.keys import KeyTable

__all__ = ["Changes", "RefCounts"]


@dataclass
class Changes:
    """Changes grouped by key, in time order inside a key.

    ``order`` sorts the input; ``first`` marks each key's first change; ``key`` and ``before`` (the count before the
    change) follow the sorted order.
    """

    order: NDArray[np.int64]
    key: NDArray[np.int64]
    first: NDArray[np.bool_]
    before: NDArray[np.int64]


class RefCounts:
    """Counts by number of a :class:`KeyTable`; memory follows the keys with a count above zero."""

    def __init__(self) -> None:
        self.table = KeyTable()
        self.count = np.zeros(len(self.table), np.int32)

    def number(
        self, key: NDArray[np.uint64], kept: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Return the numbers of ``key``, and old -> new numbers of all keys if they moved, else None.

        Keys whose count is zero are forgotten when they move, but for those whose number is ``kept``.
        """
        moved = None
        if self.table.wants_rebuild(len(key)):
            live = self.count > 0
            if kept is not None:
                live[kept] = True
            counts = self.count[live]
            moved = self.table.rebuild(live, len(key))
            self.count = np.zeros(len(self.table), np.int32)
            self.count[moved[live]] = counts
        return self.table.number(key), moved

    def change(self, number: NDArray[np.integer[Any]], by: NDArray[np.integer[Any]]) -> Changes:
        """Apply the changes ``by`` (+1, -1) of keys ``number`` in order, and return them grouped by key."""
        n = len(number)
        order, key, first = by_key(number)
        starts = np.flatnonzero(first)
        step = by[order].astype(np.int64)
        run = np.cumsum(step) - step  # sum of the changes before, over all keys
        lengths = np.diff(np.append(starts, n))
        before = run + np.repeat(self.count[key[starts]] - run[starts], lengths)
        last = np.append(starts[1:], n)[: len(starts)] - 1
        self.count[key[last]] = before[last] + step[last]
        return Changes(order, key, first, before)
