"""Dense numbers for 64-bit keys: a hash table whose lookups and inserts are whole-array operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Ints, readable

__all__ = ["KeyTable"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads keys whose low bits are alike


class KeyTable:
    """Open addressing with linear probing. A key's number is its place in the table and stays until :meth:`rebuild`."""

    def __init__(self, bits: int = 12) -> None:
        self._bits = bits
        self._keys = np.zeros(1 << bits, np.uint64)
        self._taken = np.zeros(1 << bits, np.bool_)
        self._used_at_most = 0  # keys that met at a vacant place count twice until somebody asks

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self, number: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
        """Return the keys (uint64[n]) that have these numbers."""
        keys: NDArray[np.uint64] = self._keys[number]
        return keys

    def wants_rebuild(self, more: int) -> bool:
        """Whether ``more`` keys would fill the table beyond half, where probing gets slow."""
        if 2 * (self._used_at_most + more) > len(self._keys):
            self._used_at_most = int(np.count_nonzero(self._taken))
        return 2 * (self._used_at_most + more) > len(self._keys)

    def number(self, key: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return int64 numbers of ``key`` (uint64[n], repeats allowed), entering new ones.

        With a compiler, they probe one by one. Without, all probe in step: those at a vacant place all write it, the
        one that stays there owns it, and the others see at the next look that they have to go on.
        """
        place = ((key * _GOLDEN) >> np.uint64(64 - self._bits)).astype(np.int64)
        if engine_name() == "numba":
            # the loop compares only: signed numbers mean the same to it
            found = readable(key.view(np.int64), np.int64)
            self._used_at_most += int(_probe(found, self._keys.view(np.int64), self._taken, place))
            return place
        mask = len(self._keys) - 1
        pending = np.arange(len(key))
        while len(pending):
            at = place[pending]
            wanted = key[pending]
            vacant = ~self._taken[at]
            if vacant.any():
                fresh = at[vacant]
                self._keys[fresh] = wanted[vacant]
                self._taken[fresh] = True
                self._used_at_most += len(fresh)
            other = self._keys[at] != wanted
            pending = pending[other]
            place[pending] = (place[pending] + 1) & mask
        return place

    def rebuild(self, keep: NDArray[np.bool_], more: int) -> NDArray[np.int64]:
        """Forget the keys that are not in ``keep`` (by number), make room for ``more``, return old -> new numbers."""
        old = np.flatnonzero(self._taken & keep)
        keys = self._keys[old]
        length = len(self._keys)
        while 4 * (len(old) + more) > 1 << self._bits:
            self._bits += 1
        self._keys = np.zeros(1 << self._bits, np.uint64)
        self._taken = np.zeros(1 << self._bits, np.bool_)
        self._used_at_most = 0
        moved = np.full(length, -1, np.int64)
        moved[old] = self.number(keys)
        return moved


@loop
def _probe(keys: Ints, table: Ints, taken: Bools, place: Ints) -> Any:
    """Move each key's ``place`` on to where it is or can be entered; return how many were entered."""
    entered = 0
    mask = len(table) - 1
    for i in range(len(keys)):
        key = keys[i]
        at = place[i]
        while taken[at] and table[at] != key:
            at = (at + 1) & mask
        if not taken[at]:
            taken[at] = True
            table[at] = key
            entered += 1
        place[i] = at
    return entered
