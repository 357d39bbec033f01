"""The content index vectorised; the rule is at the head of :mod:`swaptrace.kernels.contents`.

Whether a content has references depends on its own takes and gives alone, so one grouped running sum tells it for
all ops (:class:`~swaptrace.kernels.refcounts.RefCounts`). Blocks stored in this batch are named by their rank there
until they get numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.contents_state import NONE, UNHASHED, ContentTables, Taken
from swaptrace.kernels.order import in_order
from swaptrace.kernels.refcounts import Changes
from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Ops

__all__ = ["Referenced", "VectorContents"]

_BORN = 1 << 30  # in references to blocks: _BORN + k is the k-th one stored in this batch, less is a number


@dataclass(frozen=True, slots=True)
class Referenced:
    """What the ops of a batch do to references: ops that take and give, and every change of a content's references.

    ``refs`` has the changes grouped by content, in time order inside one; in that order, ``at`` is the op of each, and
    ``missing`` marks those that take the first reference; ``taking`` and ``last`` are the changes that take a
    reference, and those that give back the last one.
    """

    takes: Ints
    gives: Ints
    content: Ints32  # of each take
    unhashed: Ints  # takes of blocks without a hash
    dies: Bools  # by op: it gives back a block without a hash
    refs: Changes
    at: Ints
    taking: Ints
    missing: Bools
    last: Ints


class VectorContents(ContentTables):
    """No state of its own."""

    def feed(self, ops: Ops) -> Taken:
        """Run ops in order."""
        self._grow(ops)
        batch = self._referenced(ops)
        batch.dies[batch.at[batch.last]] = True
        return self._settled(ops, batch, batch.missing)[0]

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

        # Every change of a reference count, in time order: in an op, take first, then give back.
        keyed_takes, keyed_gives = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        keyed_takes[takes[hashed]] = True
        keyed_gives[gives[old != UNHASHED]] = True
        change, giving = in_order(keyed_takes, keyed_gives)
        number = np.empty(len(change), np.int64)
        number[giving] = old[old != UNHASHED]
        number[~giving] = content[hashed]
        refs = self._refs.change(number, np.where(giving, np.int64(-1), np.int64(1)))
        taking = ~giving[refs.order]
        last = np.flatnonzero(~taking & (refs.before == 1))
        return Referenced(
            takes, gives, content, takes[~hashed], dies,
            refs, change[refs.order], np.flatnonzero(taking), taking & (refs.before == 0), last,
        )  # fmt: skip

    def _settled(self, ops: Ops, batch: Referenced, missing: Bools) -> tuple[Taken, Ints32]:
        """Give blocks to the takes: a new one to those that are ``missing``, to others the one that their content has.

        Returns:
            What the ops did, and the block that the object of each give and fetch had before; -1 for other ops.
        """
        n, takes, refs, at = len(ops), batch.takes, batch.refs, batch.at
        row = np.arange(len(at), dtype=np.int32)
        row *= missing | refs.first
        source = np.maximum.accumulate(row, out=row)  # the change that last decided the content's block
        reference = np.cumsum(missing, dtype=np.int32)
        reference += _BORN - 1
        reference = np.where(missing[source], reference[source], self._block_of[refs.key])
        new = np.flatnonzero(missing)
        born = np.concatenate([at[new], batch.unhashed])
        held = np.empty(n, np.int32)  # by op, meaningful at takes
        held[at[batch.taking]] = reference[batch.taking]
        held[batch.unhashed] = np.arange(_BORN + len(new), _BORN + len(born))

        lower = np.full(n, -1, np.int32)
        for where in (batch.gives, np.flatnonzero(ops.fetch)):
            lower[where] = ops.before(held, self._block, where)
        hit, inplace = np.zeros(n, np.bool_), ops.inplace & batch.dies
        hit[takes] = True
        hit[born] = False
        inplace &= ops.store & ~hit
        stored_at = np.full(n, CARRIED, np.int32)
        inside = np.flatnonzero(lower >= _BORN)
        stored_at[inside] = born[lower[inside] - _BORN]

        number = self._block_numbers(np.where(inplace[born], lower[born], -1))
        lower = _resolved(lower, number)
        block = lower.copy()
        block[takes] = _resolved(held[takes], number)
        ended = np.flatnonzero(batch.dies & ~inplace)
        drop = np.full(n, NOTHING, np.int32)
        drop[ended] = lower[ended]
        self._keep(ops, batch, block)
        self._block_of[refs.key[new]] = number[: len(new)]
        self._spare = np.concatenate([self._spare, drop[ended]])

        unique = np.zeros(n, np.int8)
        unique[born] = 1
        unique -= batch.dies
        most = int(refs.before[batch.taking].max(initial=-1)) + 1
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

        ``parent`` is a reference to a block, or -1. Chains of in-place stores are followed by pointer doubling.
        """
        n = len(parent)
        jump = np.where(parent >= _BORN, parent - _BORN, np.arange(n))
        while bool((jump[jump] != jump).any()):
            jump = jump[jump]
        fresh = np.flatnonzero(parent == -1)
        spare = min(len(fresh), len(self._spare))
        number = np.where(parent >= _BORN, np.int32(-1), parent)
        number[fresh[:spare]] = self._spare[len(self._spare) - spare :]
        self._spare = self._spare[: len(self._spare) - spare]
        number[fresh[spare:]] = self._given_out + np.arange(len(fresh) - spare)
        self._given_out += len(fresh) - spare
        return number[jump]


def _resolved(reference: Ints32, number: Ints32) -> Ints32:
    """Return block numbers of references; -1 stays."""
    if len(number) == 0:
        return reference.copy()
    return np.where(reference >= _BORN, number[np.maximum(reference - _BORN, 0)], reference)
