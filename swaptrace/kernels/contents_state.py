"""What the forms of :mod:`swaptrace.kernels.contents` share: their result and their tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, grown
from swaptrace.model.ops import Ops

__all__ = ["NONE", "UNHASHED", "ContentTables", "Contents", "Taken"]

NONE = -1  # content of an object that holds nothing here
UNHASHED = -2  # content of an object that holds a block that is not in the index


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
    def holders(self) -> tuple[Ints, NDArray[np.uint64]]:
        """Return the handles of the objects that hold a content with a hash, and their hashes."""

    @abstractmethod
    def feed(self, ops: Ops) -> Taken:
        """Run ops in order; needs the columns ``hash`` and ``has_hash``, and changes nothing in ``ops``."""


class ContentTables(Contents):
    """The state of forms that number contents."""

    def __init__(self) -> None:
        self._refs = RefCounts()  # by content number: its references
        self._block_of: Ints32 = np.full(len(self._refs.count), -1, np.int32)  # by content number
        self._unheld: Ints = np.empty(0, np.int64)  # numbers of contents that stay though no object holds them
        self._content: Ints32 = np.full(0, NONE, np.int32)  # by handle
        self._block: Ints32 = np.full(0, -1, np.int32)  # by handle
        self._spare: Ints32 = np.empty(0, np.int32)  # numbers of dead blocks, to be used again
        self._given_out = 0

    def holders(self) -> tuple[Ints, NDArray[np.uint64]]:
        """Return the handles of the objects that hold a content with a hash, and their hashes."""
        handles = np.flatnonzero(self._content >= 0)
        return handles, self._refs.table.keys(self._content[handles])

    def _grow(self, ops: Ops) -> None:
        size = int(ops.handle.max()) + 1
        self._content, self._block = grown(self._content, size, NONE), grown(self._block, size, -1)

    def _numbers(self, key: NDArray[np.uint64]) -> Ints:
        """Return the content numbers of hashes."""
        number, moved = self._refs.number(key, self._unheld)
        if moved is not None:
            self._unheld = moved[self._unheld]
            indexed = np.flatnonzero(self._content >= 0)
            self._content[indexed] = moved[self._content[indexed]]
            alive = np.flatnonzero(moved >= 0)
            blocks = np.full(len(self._refs.count), -1, np.int32)
            blocks[moved[alive]] = self._block_of[alive]
            self._block_of = blocks
        return number
