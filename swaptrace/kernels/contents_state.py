"""What the forms of :mod:`swaptrace.kernels.contents` share: their result, and what one may ask of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32
from swaptrace.model.ops import Ops

__all__ = ["Contents", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What n ops did; the arrays have one entry per op."""

    hit: Bools
    block: Ints32
    """The block of a store after it, of a fetch or a give before it; -1 for other ops."""
    drop: Ints32
    """The block that dies, NOTHING if none."""
    inplace: Bools
    """It stores over the old content of its block."""
    stored_at: Ints32
    """The op of this batch that stored what a fetch reads or a give gives back, CARRIED if none."""
    unique: Ints8
    """Change of the number of blocks."""
    unhashed: int
    """Stores without a hash."""
    refs_max: int
    """Most references that a content had after a take of this batch, the one just to be given back included."""


class Contents(ABC):
    """An index and the objects' references, carried from batch to batch."""

    @abstractmethod
    def holders(self) -> tuple[Ints, Ints32]:
        """Return the handles of the objects that hold a block, and the blocks."""

    @abstractmethod
    def feed(self, ops: Ops) -> Taken:
        """Run ops in order; needs the columns ``hash`` and ``has_hash``, and changes nothing in ``ops``."""
