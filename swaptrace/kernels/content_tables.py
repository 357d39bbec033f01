"""Contents by number: who refers to them, the blocks that hold them, and how both change in a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.order import in_order
from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Ints, Ints32, grown

__all__ = ["BORN", "NONE", "UNHASHED", "ContentTables", "References", "resolved"]

NONE = -1  # content of an object that holds nothing here
UNHASHED = -2  # content of an object that holds a block that is not in the index
BORN = 1 << 30  # in references to blocks: BORN + k is the k-th one stored in this batch, less is a number


@dataclass(frozen=True, slots=True)
class References:
    """What a batch did with references to contents that have a hash; arrays have one entry per op."""

    hit: Bools
    """It takes a content that is referred to already."""
    dies: Bools
    """It gives back the last reference of a content."""
    block: Ints32
    """At takes: the block of the content from then on, BORN + k if that is the k-th of ``born``; else -1."""
    born: Ints
    """int64[b]: the ops that take a content that is not there, those of one content in order."""
    content: Ints
    """int64[b]: that content."""
    taken: Ints32
    """At takes: the references before it; else 0."""


class ContentTables:
    """Contents by number: how many refer to each and its block; by handle the content and the block that it holds."""

    def __init__(self) -> None:
        self._refs = RefCounts()  # by content number: its references
        self._block_of: Ints32 = np.full(len(self._refs.count), -1, np.int32)  # by content number
        self._content: Ints32 = np.full(0, NONE, np.int32)  # by handle
        self._block: Ints32 = np.full(0, -1, np.int32)  # by handle
        self._spare: Ints32 = np.empty(0, np.int32)  # numbers of dead blocks, to be used again
        self._given_out = 0

    def holders(self) -> tuple[Ints, Ints32]:
        """Return the handles of the objects that hold a block, and the blocks."""
        handles = np.flatnonzero(self._content != NONE)
        return handles, self._block[handles]

    def _grow(self, size: int) -> None:
        self._content, self._block = grown(self._content, size, NONE), grown(self._block, size, -1)

    def _numbers(self, key: NDArray[np.uint64]) -> Ints:
        """Return the content numbers of hashes."""
        number, moved = self._refs.number(key)
        if moved is not None:
            indexed = np.flatnonzero(self._content >= 0)
            self._content[indexed] = moved[self._content[indexed]]
            alive = np.flatnonzero(moved >= 0)
            blocks = np.full(len(self._refs.count), -1, np.int32)
            blocks[moved[alive]] = self._block_of[alive]
            self._block_of = blocks
        return number

    def _referred(self, takes: Bools, gives: Bools, content: Ints32, old: Ints32) -> References:
        """Follow the references to contents through a batch: whether a content has some depends on its own takes and
        gives alone, so one grouped running sum tells it for all ops.

        Args:
            takes, gives: bool[n], ops that take a reference, that then give back an older one.
            content, old: int32[n], numbers of what they take, and of what they give back.
        """
        n = len(takes)
        change, giving = in_order(takes, gives)
        refs = self._refs.change(np.where(giving, old[change], content[change]), np.int8(1) - 2 * giving.view(np.int8))
        at, taking = change[refs.order], ~giving[refs.order]
        missing = taking & (refs.before == 0)
        row = np.arange(len(change), dtype=np.int32)
        row *= missing | refs.first
        source = np.maximum.accumulate(row, out=row)  # the change that last decided the content's block
        reference = np.cumsum(missing, dtype=np.int32)
        reference += BORN - 1
        reference = np.where(missing[source], reference[source], self._block_of[refs.key])
        hit, dies = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        hit[at[taking & ~missing]] = True
        dies[at[~taking & (refs.before == 1)]] = True
        block, taken, taker = np.full(n, -1, np.int32), np.zeros(n, np.int32), at[taking]
        block[taker], taken[taker] = reference[taking], refs.before[taking]
        return References(hit, dies, block, at[missing], refs.key[missing], taken)

    def _fresh(self, blocks: int) -> Ints32:
        """Return numbers for new blocks (int32[blocks])."""
        spare = min(blocks, len(self._spare))
        new = np.arange(self._given_out, self._given_out + blocks - spare, dtype=np.int32)
        number = np.append(self._spare[len(self._spare) - spare :], new)
        self._spare = self._spare[: len(self._spare) - spare]
        self._given_out += blocks - spare
        return number


def resolved(reference: Ints32, number: Ints32) -> Ints32:
    """Return the blocks that are referred to; ``number`` has the numbers of those stored in this batch. -1 stays."""
    if len(number) == 0:
        return reference.copy()
    return np.where(reference >= BORN, number[np.maximum(reference - BORN, 0)], reference)
