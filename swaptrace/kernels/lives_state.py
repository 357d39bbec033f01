"""What the two forms of :mod:`swaptrace.kernels.lives` share: their result, and their state by handle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown

__all__ = ["Fates", "LivesState"]


@dataclass(frozen=True, slots=True)
class Fates:
    """What n ops turned out to be; the arrays have one entry per op."""

    live: Bools
    """Its handle was live before it."""
    stale: Bools | None
    """It is an OUT that proves an unseen end; None: there is none in this batch."""
    prev: Ints32
    """Index of the OUT before it on its handle, CARRIED: in an earlier batch. No meaning where not live."""
    birth: Ints32
    """Index of the OUT that began its life, likewise; may be the array ``prev`` itself."""


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

    def feed(self, op: Bytes, handle: Ints32, page: Ints) -> Fates:
        """Run ops in order: uint8[n] of :class:`~swaptrace.model.ops.Op`, int32[n], int64[n] (read at OUTs only)."""
        return self._run(op, handle, page, None)[0]

    def last_accesses(self, op: Bytes, handle: Ints32, page: Ints, row: Ints) -> Ints:
        """Run ops in order; return for every unseen end the ``row`` (int64[n]) of the last access before it."""
        self._last_row = grown(self._last_row, len(self.live), 0)
        return self._run(op, handle, page, row)[1]

    @abstractmethod
    def _run(self, op: Bytes, handle: Ints32, page: Ints, row: Ints | None) -> tuple[Fates, Ints]:
        """Run ops in order; return what they are and, if ``row`` is given, the last accesses before unseen ends."""
