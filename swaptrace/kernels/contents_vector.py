"""The content index vectorised; the rule is at the head of :mod:`swaptrace.kernels.contents`.

Blocks stored in this batch are named by their rank there until they get numbers.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.content_tables import BORN, NONE, UNHASHED, ContentTables, resolved
from swaptrace.kernels.contents_state import Contents, Taken
from swaptrace.kernels.tables import Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Ops

__all__ = ["VectorContents"]


class VectorContents(ContentTables, Contents):
    """No state of its own."""

    def feed(self, ops: Ops) -> Taken:
        """Run ops in order."""
        n = len(ops)
        self._grow(int(ops.handle.max()) + 1)
        takes, gives = ops.store, (ops.drop != NOTHING) | ops.inplace
        hashed, giving = takes & ops.columns["has_hash"], np.flatnonzero(gives)
        content = np.full(n, NONE, np.int32)
        content[takes] = UNHASHED
        content[hashed] = self._numbers(ops.columns["hash"][hashed])
        old = np.full(n, NONE, np.int32)
        old[giving] = ops.before(content, self._content, giving)
        refs = self._referred(hashed, old >= 0, content, old)

        alone = np.flatnonzero(content == UNHASHED)
        born, held = np.concatenate([refs.born, alone]), refs.block
        held[alone] = np.arange(BORN + len(refs.born), BORN + len(born))
        lower = np.full(n, -1, np.int32)  # the block that the object of a give or a fetch had before
        for where in (giving, np.flatnonzero(ops.fetch)):
            lower[where] = ops.before(held, self._block, where)
        dies = refs.dies | (old == UNHASHED)
        inplace = ops.inplace & dies & ~refs.hit
        inplace &= takes
        number = self._block_numbers(np.where(inplace[born], lower[born], -1))

        block = np.where(takes, resolved(held, number), resolved(lower, number))
        stored_at = np.full(n, CARRIED, np.int32)
        inside = np.flatnonzero(lower >= BORN)
        stored_at[inside] = born[lower[inside] - BORN]
        ended = np.flatnonzero(dies & ~inplace)
        drop = np.full(n, NOTHING, np.int32)
        drop[ended] = resolved(lower[ended], number)

        self._block_of[refs.content] = number[: len(refs.born)]
        changed, takers = np.flatnonzero(takes | gives), np.flatnonzero(takes)
        self._content[ops.handle[changed]] = content[changed]  # in time order: the last one of an object stays
        self._block[ops.handle[takers]] = block[takers]
        self._spare = np.concatenate([self._spare, drop[ended]])
        unique = np.zeros(n, np.int8)
        unique[born] = 1
        unique -= dies
        most = int(refs.taken.max()) + 1 if hashed.any() else 0
        return Taken(refs.hit, block, drop, inplace, stored_at, unique, len(alone), most)

    def _block_numbers(self, parent: Ints32) -> Ints32:
        """Return the numbers of this batch's blocks: a fresh one, or that of ``parent`` which it stores over.

        ``parent`` is a reference to a block, or -1. Chains of in-place stores are followed by pointer doubling.
        """
        jump: Ints = np.where(parent >= BORN, parent - BORN, np.arange(len(parent)))
        while bool((jump[jump] != jump).any()):
            jump = jump[jump]
        number = np.where(parent >= BORN, np.int32(-1), parent)
        fresh = np.flatnonzero(parent == -1)
        number[fresh] = self._fresh(len(fresh))
        return number[jump]
