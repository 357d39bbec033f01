"""What the two forms of :mod:`swaptrace.kernels.stale` share: their result and their limits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from swaptrace.kernels.contents_state import Contents, Taken
from swaptrace.kernels.tables import Bools, Ints8
from swaptrace.model.ops import Ops

__all__ = ["StaleContents", "StaleTaken"]


@dataclass(frozen=True, slots=True)
class StaleTaken(Taken):
    """What n ops did; ``hit`` has the stale hits, too, ``unique`` counts blocks that are not stale."""

    stale_hit: Bools
    stale: Ints8
    """Change of the number of stale contents."""


class StaleContents(Contents):
    """When stale contents are cleaned."""

    def __init__(self, ttl: int, capacity: int) -> None:
        """``ttl`` in ns."""
        self._ttl, self._capacity = ttl, capacity
        self.room = 1 << 62
        """Blocks that the device has room for."""

    @abstractmethod
    def feed(self, ops: Ops) -> StaleTaken:
        """Run ops in order; as :meth:`Contents.feed`."""
