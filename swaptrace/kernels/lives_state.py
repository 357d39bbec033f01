"""What the two forms of :mod:`swaptrace.kernels.lives` share: their result, and their state by handle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown

__all__ = ["Lived", "LivesState"]


@dataclass(frozen=True, slots=True)
class Lived:
    """What n rows turned out to be: m ops, in order; the arrays have one entry per op."""

    op: Bytes
    handle: Ints32
    new: Bools
    """It is an OUT that begins a life."""
    prev: Ints32
    """The op of this batch that is the life's latest OUT before it, CARRIED: in an earlier batch; NOTHING where new."""
    birth: Ints32
    """The OUT that began the life, likewise; may be the array ``prev`` itself."""
    source: Ints | None
    """The row that each op comes from, a proved end from the OUT that proved it; None: row i is op i."""
    stale: int
    """Number of proved ends."""


class LivesState(ABC):
    """State of all handles, carried from batch to batch."""

    def __init__(self) -> None:
        self.live: Bools = np.zeros(0, np.bool_)
        """By handle: it is live now."""
        self._page: Ints = np.zeros(0, np.int64)  # by handle: page of the latest OUT
        self._last_row: Ints = np.zeros(0, np.int64)  # by handle: row of the last access

    def grow(self, handles: int) -> None:
        """Make room for handles below ``handles``."""
        self.live = grown(self.live, handles, 0)
        self._page = grown(self._page, handles, 0)

    @abstractmethod
    def feed(self, op: Bytes, handle: Ints32, page: Ints) -> Lived:
        """Run rows in order: uint8[n] of :class:`~swaptrace.model.ops.Op`, int32[n], int64[n] (read at OUTs only)."""

    def last_accesses(self, op: Bytes, handle: Ints32, page: Ints, row: Ints) -> Ints:
        """Run rows in order; return for every proved end the ``row`` (int64[n]) of the last access before it."""
        self._last_row = grown(self._last_row, len(self.live), 0)
        return self._proofs(op, handle, page, row)

    @abstractmethod
    def _proofs(self, op: Bytes, handle: Ints32, page: Ints, row: Ints) -> Ints: ...
