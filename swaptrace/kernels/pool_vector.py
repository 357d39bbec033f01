"""A pool that is never written back, vectorised; the rule is at the head of :mod:`swaptrace.kernels.pool`.

Without writeback the order of the queue does not matter: what an op finds depends on the ops on its object alone.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.pool_paths import NOWHERE, Paths
from swaptrace.kernels.tables import Bytes, Ints, Ints32, grown

__all__ = ["VectorPool"]


class VectorPool:
    """By object: its state, and the bytes that it occupied when it entered the pool."""

    def __init__(self, exclusive: bool) -> None:
        self._exclusive = exclusive
        self._state = np.zeros(0, np.uint8)
        self._size: Ints = np.zeros(0, np.int64)

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints) -> tuple[Bytes, Ints, Ints, Ints32, Ints]:
        """As :meth:`swaptrace.kernels.pool.ListPool.feed`; nothing is written back."""
        top = int(unit.max(initial=-1)) + 1
        self._state, self._size = grown(self._state, top, NOWHERE), grown(self._size, top, 0)
        paths = Paths(op, unit, self._exclusive)
        group = paths.group
        entering = size[group.row]
        enters = paths.out & (entering >= 0)
        found, left = paths.states(enters, self._state)
        held = group.latest(paths.setter, entering, self._size)
        change = entering * enters - held * paths.leaves(found)
        self._state[group.key[group.last]] = left[group.last]
        self._size[group.key[group.last]] = np.where(enters, entering, held)[group.last]
        none = np.empty(0, np.int64)
        return group.by_row(found), group.by_row(change), none, np.empty(0, np.int32), none
