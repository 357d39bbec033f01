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
from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Ops

__all__ = ["VectorContents"]

_BORN = 1 << 30  # in references to blocks: _BORN + k is the k-th one stored in this batch, less is a number


@dataclass
class _Batch:
    """Ops that take and give, and what they do, entry by entry of ``takes`` and ``gives``."""

    takes: Ints
    gives: Ints
    content: Ints32  # of each take
    old: Ints32  # of each give
    hit: Bools  # each take
    dies: Bools  # each give
    held: Ints32  # by op, meaningful at takes: reference to the object's block after it
    born: Ints  # op that stored each new block
    keyed: Ints  # content of the new blocks that have a hash, which come first, in time order of a content
    refs_max: int = 0


class VectorContents(ContentTables):
    """No state of its own."""

    def feed(self, ops: Ops) -> Taken:
        """Run ops in order."""
        n = len(ops)
        self._grow(ops)
        batch = self._referenced(ops)
        takes, gives = batch.takes, batch.gives
        lower = self._lower(ops, batch)
        hit, dies = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        hit[takes[batch.hit]] = True
        dies[gives[batch.dies]] = True
        inplace = ops.inplace & dies & ~hit
        inplace &= ops.store
        number = self._block_numbers(np.where(inplace[batch.born], lower[batch.born], -1))

        block = _resolved(lower, number)
        block[takes] = _resolved(batch.held[takes], number)
        stored_at = np.full(n, CARRIED, np.int32)
        inside = np.flatnonzero(lower >= _BORN)
        stored_at[inside] = batch.born[lower[inside] - _BORN]
        ended = np.flatnonzero(dies & ~inplace)
        drop = np.full(n, NOTHING, np.int32)
        drop[ended] = _resolved(lower[ended], number)

        self._block_of[batch.keyed] = number[: len(batch.keyed)]
        after = np.full(n, NONE, np.int32)
        after[takes] = batch.content
        changed = np.flatnonzero(ops.store | (ops.drop != NOTHING) | ops.inplace)
        self._content[ops.handle[changed]] = after[changed]  # in time order: the last one of an object stays
        self._block[ops.handle[takes]] = block[takes]
        self._spare = np.concatenate([self._spare, drop[ended]])
        unique = np.zeros(n, np.int8)
        unique[batch.born] = 1
        unique -= dies
        unhashed = len(batch.born) - len(batch.keyed)
        return Taken(hit, block, drop, inplace, stored_at, unique, unhashed, batch.refs_max)

    def _referenced(self, ops: Ops) -> _Batch:
        """Follow every content's references through the batch."""
        n = len(ops)
        takes, gives = np.flatnonzero(ops.store), np.flatnonzero((ops.drop != NOTHING) | ops.inplace)
        hashed = ops.columns["has_hash"][takes]
        content = np.full(len(takes), UNHASHED, np.int32)
        content[hashed] = self._numbers(ops.columns["hash"][takes[hashed]])
        by_op = np.empty(n, np.int32)
        by_op[takes] = content
        old = ops.before(by_op, self._content, gives).astype(np.int32)

        # Every change of a reference count, in time order: in an op, take first, then give back.
        keyed_takes, keyed_gives = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        keyed_takes[takes[hashed]] = True
        keyed_gives[gives[old != UNHASHED]] = True
        change, giving = in_order(keyed_takes, keyed_gives)
        number = np.empty(len(change), np.int64)
        number[giving] = old[old != UNHASHED]
        number[~giving] = content[hashed]
        refs = self._refs.change(number, np.where(giving, np.int64(-1), np.int64(1)))

        # Which block each take leaves its object with: a new one, or the one that its content already has.
        taking = ~giving[refs.order]
        missing = taking & (refs.before == 0)
        row = np.arange(len(change), dtype=np.int32)
        row *= missing | refs.first
        source = np.maximum.accumulate(row, out=row)  # the change that last decided the content's block
        reference = np.cumsum(missing, dtype=np.int32)
        reference += _BORN - 1
        reference = np.where(missing[source], reference[source], self._block_of[refs.key])
        at = change[refs.order]
        unhashed = takes[~hashed]
        born = np.concatenate([at[missing], unhashed])
        held = np.empty(n, np.int32)
        held[at[taking]] = reference[taking]
        held[unhashed] = np.arange(_BORN + len(born) - len(unhashed), _BORN + len(born))

        before = np.empty(len(change), np.int64)
        before[refs.order] = refs.before
        hit, dies = np.zeros(len(takes), np.bool_), old == UNHASHED
        hit[hashed] = before[~giving] > 0
        dies[~dies] = before[giving] == 1
        most = int(before[~giving].max()) + 1 if hashed.any() else 0
        return _Batch(takes, gives, content, old, hit, dies, held, born, refs.key[missing], most)

    def _lower(self, ops: Ops, batch: _Batch) -> Ints32:
        """Return for each give and fetch the reference to the block that its object had before; -1 for other ops."""
        lower = np.full(len(ops), -1, np.int32)
        for where in (batch.gives, np.flatnonzero(ops.fetch)):
            lower[where] = ops.before(batch.held, self._block, where)
        return lower

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
