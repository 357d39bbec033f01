"""A pool that is never written back, vectorised; the rule is at the head of :mod:`swaptrace.kernels.pool`.

Without writeback the order of the queue does not matter: what an op finds depends on the ops on its object alone.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Bytes, Ints, Ints32, grown

__all__ = ["VectorPool"]

_OUT, _IN = 0, 1
_NOWHERE, _POOLED, _ON_DEVICE, _IN_RAM = 0, 1, 2, 3


class VectorPool:
    """By object: its state, and the bytes that it occupied when it entered the pool."""

    def __init__(self, exclusive: bool) -> None:
        self._exclusive = exclusive
        self._state = np.zeros(0, np.uint8)
        self._size: Ints = np.zeros(0, np.int64)

    def feed(self, op: Bytes, unit: Ints32, size: Ints) -> tuple[Bytes, Ints, Ints, Ints32, Ints]:
        """As :meth:`swaptrace.kernels.pool.ListPool.feed`; nothing is written back."""
        n, top = len(op), int(unit.max(initial=-1)) + 1
        self._state, self._size = grown(self._state, top, _NOWHERE), grown(self._size, top, 0)
        shift = np.uint64(max(1, (n - 1).bit_length())) if n else np.uint64(1)
        packed = (unit.astype(np.uint64) << shift) | np.arange(n, dtype=np.uint64)
        packed.sort()
        row = (packed & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)
        owner = (packed >> shift).astype(np.int64)
        first = np.ones(n, np.bool_)
        np.not_equal(owner[1:], owner[:-1], out=first[1:])
        code, entering = op[row], size[row]

        # From here on in order of objects. OUTs and FREEs set the state; the first IN behind an OUT may change it.
        left = np.full(n, _NOWHERE, np.uint8)
        left[code == _OUT] = _ON_DEVICE
        left[(code == _OUT) & (entering >= 0)] = _POOLED
        sets = code != _IN
        place = np.arange(1, n + 1, dtype=np.int32)
        start = np.maximum.accumulate(place * first)
        setter = _before(place * sets)
        inside = setter >= start
        latest = np.maximum(setter, 1) - 1
        found = np.where(inside, left[latest], self._state[owner])
        held = np.where(inside, entering[latest], self._size[owner])
        if self._exclusive:  # an IN between the setter and the op took it out
            loaded = _before(place * (code == _IN))
            found[(found == _POOLED) & (loaded >= np.maximum(setter, start))] = _IN_RAM
        leaves = (found == _POOLED) & (sets | self._exclusive)
        enters = left == _POOLED
        change = entering * enters - held * leaves
        after = np.where(sets, left, np.where(leaves, np.uint8(_IN_RAM), found))
        last = np.append(first[1:], True)[:n]
        self._state[owner[last]] = after[last]
        self._size[owner[last]] = np.where(enters, entering, held)[last]

        found_by, change_by = np.empty(n, np.uint8), np.empty(n, np.int64)
        found_by[row], change_by[row] = found, change
        none = np.empty(0, np.int64)
        return found_by, change_by, none, np.empty(0, np.int32), none


def _before(marks: Ints32) -> Ints32:
    """Return for each entry the highest mark among those before it."""
    highest = np.maximum.accumulate(marks)
    highest[1:] = highest[:-1]
    highest[:1] = 0
    return highest
