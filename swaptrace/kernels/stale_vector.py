"""The index that forgets late, vectorised but for the cleaner's acts; the rule is at :mod:`swaptrace.kernels.stale`.

References are those of the strict index. A take of the first one stores a block unless its content is still there,
stale, which depends on the cleaner: :mod:`swaptrace.kernels.cleaner`.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.cleaner import clean
from swaptrace.kernels.contents_vector import Referenced, VectorContents
from swaptrace.kernels.stale_state import StaleContents, StaleTaken
from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.ops import Ops

__all__ = ["VectorStale"]

_NONE = -1


class VectorStale(VectorContents, StaleContents):
    """State: the stale contents, the one that has been so longest first; ``_unheld`` has their numbers."""

    def __init__(self, ttl: int, capacity: int) -> None:
        """``ttl`` in ns."""
        StaleContents.__init__(self, ttl, capacity)
        VectorContents.__init__(self)
        self._since: Ints = np.empty(0, np.int64)
        self._stale_block: Ints32 = np.empty(0, np.int32)
        self._blocks = 0  # that there are
        self._entry: Ints32 = np.empty(0, np.int32)  # by content number, _NONE for all between batches

    def feed(self, ops: Ops) -> StaleTaken:
        """Run ops in order."""
        n = len(ops)
        self._grow(int(ops.handle.max()) + 1)
        batch = self._referenced(ops)
        aged, content = np.zeros(n, np.bool_), np.empty(n, np.int64)
        at = batch.refs.at[batch.refs.last]
        aged[at] = True
        content[at] = batch.refs.content[batch.refs.last]
        ages = np.flatnonzero(aged)
        asks, asking = self._asks(batch, aged)
        since = np.concatenate([self._since, ops.ts[ages]])
        may = ops.store.copy()
        may[batch.gives] = True
        may &= ~batch.dies
        level = self._level(batch, aged, asks != _NONE)
        cleaned, cleaner = clean(ops.ts, may, aged, asks, level, since, self._ttl)

        stays = np.ones(len(since) + 1, np.bool_)  # behind the entries is one that nobody finds
        stays[cleaned] = stays[_NONE] = False
        revived = stays[asks]
        missing = batch.refs.missing.copy()
        missing[asking] = ~revived[batch.refs.at[asking]]
        taken, lower = self._settled(ops, batch, missing)
        block = np.concatenate([self._stale_block, lower[ages]])
        taken.drop[cleaner] = block[cleaned]
        self._spare = np.concatenate([self._spare, block[cleaned]])
        self._blocks += int(taken.unique.sum(dtype=np.int64)) - len(cleaned)
        stays[asks[revived]] = False
        left = np.flatnonzero(stays)
        self._unheld = np.concatenate([self._unheld, content[ages]])[left]
        self._since, self._stale_block = since[left], block[left]

        up, old = revived.view(np.int8), aged.view(np.int8)
        stale = old - up
        stale[cleaner] -= 1
        return StaleTaken(
            taken.hit, taken.block, taken.drop, taken.inplace, taken.stored_at, taken.unique + up - old,
            taken.unhashed, taken.refs_max, revived, stale,
        )  # fmt: skip

    def _asks(self, batch: Referenced, aged: Bools) -> tuple[Ints32, Ints]:
        """Return which entry each op asks for, -1 if none, and the changes that do so.

        Entries are the contents stale before the batch and those that become so in it.
        """
        refs, at, carried = batch.refs, batch.refs.at, len(self._unheld)
        if len(self._entry) < len(self._refs.count):
            self._entry = np.full(len(self._refs.count), _NONE, np.int32)
        self._entry[self._unheld] = np.arange(carried)
        entry_of = np.cumsum(aged, dtype=np.int32)  # by op that makes it
        entry_of += carried - 1
        missing = np.flatnonzero(batch.refs.missing)
        # the change before it, if it is of the same content, gave back the last reference
        entry = np.where(refs.first[missing], self._entry[refs.content[missing]], entry_of[at[missing - 1]])
        self._entry[self._unheld] = _NONE
        asking = missing[entry != _NONE]
        asks = np.full(len(aged), _NONE, np.int32)
        asks[at[asking]] = entry[entry != _NONE]
        return asks, asking

    def _level(self, batch: Referenced, aged: Bools, asked: Bools) -> Ints | None:
        """Return the level of each op that may raise it, zero or less for others; None if no limit is reached."""
        stores = np.count_nonzero(batch.refs.missing) - np.count_nonzero(asked) + len(batch.unhashed)
        crowded = self._blocks + stores > self.room
        if not crowded and len(self._unheld) + len(batch.refs.last) <= self._capacity:
            return None
        stale = np.cumsum(aged.view(np.int8) - asked.view(np.int8), dtype=np.int64)
        stale += len(self._unheld)
        level, raises = stale - self._capacity, aged
        if crowded:
            born = np.zeros(len(aged), np.bool_)
            born[batch.refs.at[batch.refs.missing]] = born[batch.unhashed] = True
            raises = aged | born
            born &= ~asked
            blocks = np.cumsum(born.view(np.int8) - batch.dies.view(np.int8), dtype=np.int64)
            np.maximum(level, blocks + (self._blocks - self.room), out=level)
        np.minimum(level, stale, out=level)
        level *= raises
        return level
