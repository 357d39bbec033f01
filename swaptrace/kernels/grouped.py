"""The rows of a batch in groups of one key: what a row's earlier ones did, without a loop."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import Bools, Ints, Ints32

__all__ = ["Grouped", "by_key"]

S = TypeVar("S", bound=np.generic)


def by_key(key: NDArray[np.integer[Any]]) -> tuple[Ints, Ints, Bools]:
    """Sort rows by key (none negative), in time order inside a key; return the rows, their keys, and which are the
    first of theirs.

    One sort of packed unique numbers (key, row) does it without a gather.
    """
    n = len(key)
    shift = np.uint64(max(1, (n - 1).bit_length())) if n else np.uint64(1)
    packed = key.astype(np.uint64)
    packed <<= shift
    packed |= np.arange(n, dtype=np.uint64)
    packed.sort()
    row = (packed & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)
    keys = (packed >> shift).astype(np.int64)
    first = np.ones(n, np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return row, keys, first


class Grouped:
    """Rows sorted by key, in time order inside a group. All arrays are in this order, where nothing else is said.

    Attributes:
        row: int64[n], the rows.
        key: int64[n], their keys.
        last: bool[n], the last of its group.
    """

    def __init__(self, key: Ints32) -> None:
        """``key`` int32[n], none negative."""
        n = len(key)
        self.row, self.key, first = by_key(key)
        self.last: Bools = np.append(first[1:], True)[:n]
        self._number: Ints32 = np.arange(1, n + 1, dtype=np.int32)
        self._start: Ints32 = np.maximum.accumulate(self._number * first)

    def before(self, mark: Bools) -> Ints32:
        """Return the place of the latest marked row before each one in its group, -1 where there is none."""
        highest = np.maximum.accumulate(self._number * mark)
        found = np.zeros_like(highest)
        found[1:] = highest[:-1]
        found *= found >= self._start
        found -= 1
        return found

    def latest(self, place: Ints32, values: NDArray[Any], carried: NDArray[Any]) -> NDArray[Any]:
        """Return ``values`` of the rows ``place``; where that is -1, ``carried`` of the row's key."""
        return np.where(place >= 0, values[np.maximum(place, 0)], carried[self.key])

    def by_row(self, values: NDArray[S]) -> NDArray[S]:
        """Return ``values`` in the order of the rows."""
        rows = np.empty(len(values), values.dtype)
        rows[self.row] = values
        return rows
