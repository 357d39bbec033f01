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
    """Every change of the references to contents in a batch, grouped by content, in time order inside a group; in an
    op that does both, the take comes first.
    """

    at: Ints
    """The op of each; as the arrays below up to ``missing``."""
    content: Ints
    first: Bools
    """It is the first one of its content."""
    before: Ints
    """References to the content before it."""
    missing: Bools
    """It takes the first reference."""
    taking: Ints
    """The places of those that take a reference,"""
    last: Ints
    """and of those that give back the last one."""


class ContentTables:
    """Contents by number: how many refer to each and its block; by handle the content and the block that it holds."""

    def __init__(self) -> None:
        self._refs = RefCounts()  # by content number: its references
        self._block_of: Ints32 = np.full(len(self._refs.count), -1, np.int32)  # by content number
        self._unheld: Ints = np.empty(0, np.int64)  # numbers of contents that stay though no object holds them
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

    def _referred(self, takes: Bools, gives: Bools, content: Ints32, old: Ints32) -> References:
        """Follow the references to contents through a batch: whether a content has some depends on its own takes and
        gives alone, so one grouped running sum tells it for all ops.

        Args:
            takes, gives: bool[n], ops that take a reference, that give an older one back.
            content, old: int32[t], int32[g], the contents of these takes, of these gives.
        """
        change, giving = in_order(takes, gives)
        number = np.empty(len(change), np.int64)
        number[giving], number[~giving] = old, content
        refs = self._refs.change(number, np.where(giving, np.int64(-1), np.int64(1)))
        taking = ~giving[refs.order]
        last = np.flatnonzero(~taking & (refs.before == 1))
        missing = taking & (refs.before == 0)
        return References(change[refs.order], refs.key, refs.first, refs.before, missing, np.flatnonzero(taking), last)

    def _blocks_of(self, refs: References, missing: Bools) -> Ints32:
        """Return what refers to the block of its content from each change on: its number, or BORN + k if it is stored
        by the k-th change that is ``missing``.
        """
        row = np.arange(len(refs.at), dtype=np.int32)
        row *= missing | refs.first
        source = np.maximum.accumulate(row, out=row)  # the change that last decided the content's block
        reference = np.cumsum(missing, dtype=np.int32)
        reference += BORN - 1
        return np.where(missing[source], reference[source], self._block_of[refs.content])

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
