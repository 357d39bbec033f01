"""A compressed pool: codes of its ops, states of its objects, how objects go between them if none is written back."""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.grouped import Grouped
from swaptrace.kernels.tables import Bools, Bytes, Ints32

__all__ = ["FREE", "IN", "IN_RAM", "NOWHERE", "ON_DEVICE", "OUT", "PASSES", "POOLED", "Paths"]

NOWHERE, POOLED, ON_DEVICE, IN_RAM = 0, 1, 2, 3
OUT, IN, FREE, PASSES = 0, 1, 2, 3  # codes of ops; the last does not reach the pool


class Paths:
    """The ops of a batch, object by object (``group``): OUTs and FREEs set a state, the first IN behind one of them
    may change it, other ops do nothing. All arrays are in the order of the group.

    Attributes:
        out, sets: bool[n], OUTs; OUTs and FREEs.
        setter: int32[n], the place of the latest op before that set the state, -1 if it is in an earlier batch.
    """

    def __init__(self, op: Bytes, unit: Ints32, exclusive: bool) -> None:
        self.group = Grouped(unit)
        code = op[self.group.row]
        self.out: Bools = code == OUT
        self.sets: Bools = self.out | (code == FREE)
        self._loads: Bools = code == IN
        self.setter: Ints32 = self.group.before(self.sets)
        self._exclusive = exclusive
        self._loaded = self.group.before(self._loads) > self.setter if exclusive else None

    def states(self, pooled: Bools, carried: Bytes) -> tuple[Bytes, Bytes]:
        """Return the states that ops find and leave when the OUTs ``pooled`` enter the pool; ``carried`` is by unit."""
        left = self.out * np.uint8(ON_DEVICE)
        left[pooled] = POOLED
        found: Bytes = self.group.latest(self.setter, left, carried)
        if self._loaded is not None:
            found[self._loaded & (found == POOLED)] = IN_RAM
        left = np.where(self.sets, left, found)
        if self._exclusive:
            left[self._loads & (found == POOLED)] = IN_RAM
        found *= self.sets | self._loads  # other ops find NOWHERE
        return found, left

    def leaves(self, found: Bytes) -> Bools:
        """Return which ops end what their object has in the pool, those that put another content there included."""
        pooled: Bools = found == POOLED  # by OUTs, INs and FREEs only
        return pooled if self._exclusive else pooled & self.sets
