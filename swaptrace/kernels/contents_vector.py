"""The content index vectorised; the rule is at the head of :mod:`swaptrace.kernels.contents`.

Blocks stored in this batch are named by their rank there until they get numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.content_tables import BORN, NONE, UNHASHED, ContentTables, References, resolved
from swaptrace.kernels.contents_state import Contents, Taken
from swaptrace.kernels.origins import origins
from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Ops

__all__ = ["Referenced", "VectorContents"]


@dataclass(frozen=True, slots=True)
class Referenced:
    """What the ops of a batch do to references: ops that take and give, and ``refs``, to contents that have a hash."""

    takes: Ints
    gives: Ints
    content: Ints32  # of each take
    unhashed: Ints  # takes of blocks without a hash
    dies: Bools  # by op: it gives back a block without a hash
    refs: References


class VectorContents(ContentTables, Contents):
    """No state of its own."""

    def feed(self, ops: Ops) -> Taken:
        """Run ops in order."""
        self._grow(int(ops.handle.max()) + 1)
        batch = self._referenced(ops)
        batch.dies[batch.refs.at[batch.refs.last]] = True
        return self._settled(ops, batch, batch.refs.missing)[0]

    def _referenced(self, ops: Ops) -> Referenced:
        """Follow every content's references through the batch."""
        n = len(ops)
        takes, gives = np.flatnonzero(ops.store), np.flatnonzero((ops.drop != NOTHING) | ops.inplace)
        hashed = ops.columns["has_hash"][takes]
        content = np.full(len(takes), UNHASHED, np.int32)
        content[hashed] = self._numbers(ops.columns["hash"][takes[hashed]])
        by_op = np.empty(n, np.int32)
        by_op[takes] = content
        old = ops.before(by_op, self._content, gives).astype(np.int32)
        dies = np.zeros(n, np.bool_)
        dies[gives[old == UNHASHED]] = True

        keyed_takes, keyed_gives = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        keyed_takes[takes[hashed]] = True
        keyed_gives[gives[old != UNHASHED]] = True
        refs = self._referred(keyed_takes, keyed_gives, content[hashed], old[old != UNHASHED])
        return Referenced(takes, gives, content, takes[~hashed], dies, refs)

    def _settled(self, ops: Ops, batch: Referenced, missing: Bools) -> tuple[Taken, Ints32]:
        """Give blocks to the takes: a new one to those that are ``missing``, to others the one that their content has.

        Returns:
            What the ops did, and the block that the object of each give and fetch had before; -1 for other ops.
        """
        n, takes, refs = len(ops), batch.takes, batch.refs
        reference = self._blocks_of(refs, missing)
        new = np.flatnonzero(missing)
        born = np.concatenate([refs.at[new], batch.unhashed])
        held = np.empty(n, np.int32)  # by op, meaningful at takes
        held[refs.at[refs.taking]] = reference[refs.taking]
        held[batch.unhashed] = np.arange(BORN + len(new), BORN + len(born))

        lower = np.full(n, -1, np.int32)
        for where in (batch.gives, np.flatnonzero(ops.fetch)):
            lower[where] = ops.before(held, self._block, where)
        hit, inplace = np.zeros(n, np.bool_), ops.inplace & batch.dies
        hit[takes] = True
        hit[born] = False
        inplace &= ops.store & ~hit
        stored_at = np.full(n, CARRIED, np.int32)
        inside = np.flatnonzero(lower >= BORN)
        stored_at[inside] = born[lower[inside] - BORN]

        number = self._block_numbers(np.where(inplace[born], lower[born], -1))
        lower = resolved(lower, number)
        block = lower.copy()
        block[takes] = resolved(held[takes], number)
        ended = np.flatnonzero(batch.dies & ~inplace)
        drop = np.full(n, NOTHING, np.int32)
        drop[ended] = lower[ended]
        self._keep(ops, batch, block)
        self._block_of[refs.content[new]] = number[: len(new)]
        self._spare = np.concatenate([self._spare, drop[ended]])

        unique = np.zeros(n, np.int8)
        unique[born] = 1
        unique -= batch.dies
        most = int(refs.before[refs.taking].max(initial=-1)) + 1
        return Taken(hit, block, drop, inplace, stored_at, unique, len(batch.unhashed), most), lower

    def _keep(self, ops: Ops, batch: Referenced, block: Ints32) -> None:
        """Keep what the objects hold after the batch."""
        after = np.full(len(ops), NONE, np.int32)
        after[batch.takes] = batch.content
        changed = np.flatnonzero(ops.store | (ops.drop != NOTHING) | ops.inplace)
        self._content[ops.handle[changed]] = after[changed]  # in time order: the last one of an object stays
        self._block[ops.handle[batch.takes]] = block[batch.takes]

    def _block_numbers(self, parent: Ints32) -> Ints32:
        """Return the numbers of this batch's blocks: a fresh one, or that of ``parent`` which it stores over.

        ``parent`` is a reference to a block, or -1.
        """
        origin = origins(parent - BORN, np.arange(len(parent)))  # stores in place may replace one another
        number = np.where(parent >= BORN, np.int32(-1), parent)
        fresh = np.flatnonzero(parent == -1)
        number[fresh] = self._fresh(len(fresh))
        return number[origin]
