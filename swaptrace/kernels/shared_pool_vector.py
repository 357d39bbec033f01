"""A pool with shared blocks that is never written back, vectorised; the rule is at the head of
:mod:`swaptrace.kernels.shared_pool`.

Without writeback the order of the queue does not matter, nor that of a block's owners. What an op finds follows from
the ops on its unit, and whether an OUT is a hit from the references to its content. These two meet in one place: an
OUT that does not fit (size -1) enters the pool only if it is a hit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.content_tables import BORN, NONE, UNHASHED, ContentTables, resolved
from swaptrace.kernels.pool_paths import FREE, NOWHERE, ON_DEVICE, OUT, POOLED, Paths
from swaptrace.kernels.shared_pool_state import SharedFed
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown
from swaptrace.model.ops import NOTHING

__all__ = ["VectorShared"]


class VectorShared(ContentTables):
    """State: by unit where it is; by block its size. A unit has a content while it is in the pool."""

    def __init__(self, exclusive: bool) -> None:
        super().__init__()
        self._exclusive = exclusive
        self._state = np.zeros(0, np.uint8)
        self._size: Ints = np.zeros(0, np.int64)

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints, key: NDArray[np.uint64], known: Bools) -> SharedFed:
        """As :meth:`swaptrace.kernels.shared_pool_loop.LoopShared.feed`; nothing is written back."""
        n = len(op)
        self._grow(int(unit.max(initial=-1)) + 1)
        self._state = grown(self._state, len(self._content), NOWHERE)
        content = np.full(n, UNHASHED, np.int32)
        hashed = np.flatnonzero(known & (op == OUT))
        content[hashed] = self._numbers(key[hashed])

        # In the order of units.
        paths = Paths(op, unit, self._exclusive)
        row, group = paths.group.row, paths.group
        new = content[row]
        pooled = paths.out & (size[row] >= 0)
        pooled |= self._squeezed(paths, new, pooled)
        states, left = paths.states(pooled, self._state)
        leaving = paths.leaves(states)
        had = group.latest(paths.setter, new, self._content)
        over = paths.out & ~pooled & (states == ON_DEVICE)
        named = group.before(paths.out & ~over)  # the OUT that gave the unit the block that it has

        # In the order of ops.
        found, old, enters, leaves = (group.by_row(each) for each in (states, had, pooled, leaving))
        store, below = op == OUT, found == ON_DEVICE
        takes, gives = enters & (content >= 0), leaves & (old >= 0)
        refs = self._referred(takes, gives, content[takes], old[gives])
        taking, missing = refs.at[refs.taking], refs.at[refs.missing]
        inplace = store & ~enters & below
        alone = np.flatnonzero(store & ~inplace & ~takes)
        born = len(missing) + len(alone)
        held = np.full(n, NONE, np.int32)  # meaningful at OUTs that are not in place
        held[taking] = self._blocks_of(refs, refs.missing)[refs.taking]
        held[alone] = np.arange(BORN + len(missing), BORN + born)
        kept = group.latest(named, held[row], self._block)
        lower = group.by_row(kept)
        lower[(found != POOLED) & ~below] = NONE
        number = self._fresh(born)
        before = resolved(lower, number)
        block = np.where(store & ~inplace, resolved(held, number), before)

        hit, absorbed = takes.copy(), leaves & (old == UNHASHED)
        hit[missing], absorbed[refs.at[refs.last]] = False, True
        entered = enters & ~hit
        dropped = below & ((op == FREE) | enters)
        self._size = grown(self._size, self._given_out, 0)
        self._size[block[entered]] = size[entered]
        change = size * entered
        change[absorbed] -= self._size[before[absorbed]]
        again = leaves & hit & (old == content)  # it keeps its reference
        most = int((refs.before[refs.taking] + 1)[~again[taking]].max(initial=int((enters & ~takes).any())))

        last = group.last
        here = left[last] == POOLED
        self._state[group.key[last]] = left[last]
        self._content[group.key[last]] = np.where(here, np.where(paths.out, new, had)[last], np.int32(NONE))
        self._block[group.key[last]] = np.where(paths.out[last], block[row[last]], resolved(kept[last], number))
        # in time order: the last one of a content stays
        self._block_of[refs.content[refs.missing]] = number[: len(missing)]
        self._spare = np.concatenate([self._spare, before[absorbed | dropped]])
        none, nothing = np.empty(0, np.int32), np.empty(0, np.int64)
        return SharedFed(
            found, hit, change, entered.view(np.int8) - absorbed.view(np.int8), np.zeros(n, np.int64), block,
            np.where(dropped, before, np.int32(NOTHING)), inplace, nothing, none, none, nothing,
            int(np.count_nonzero(absorbed)), most, int(self._size[block[hit]].sum()),
        )  # fmt: skip

    def _squeezed(self, paths: Paths, new: Ints32, fits: Bools) -> Bools:
        """Return which of the OUTs that do not fit are hits: the ops on contents of which this is in doubt, one by one.

        Args:
            paths: the ops; this and all arrays are in the order of units.
            new: int32[n], the contents of OUTs.
            fits: bool[n], OUTs that do fit.
        """
        count, hashed = self._refs.count, new >= 0
        there = np.zeros(len(count), np.bool_)
        there[new[fits & hashed]] = True
        doubt = paths.out & ~fits & hashed
        doubt &= there[new] | (count[new] > 0)
        hits = np.zeros(len(new), np.bool_)
        if not doubt.any():
            return hits
        doubtful = np.zeros(len(count), np.bool_)
        doubtful[new[doubt]] = True
        states, _ = paths.states(fits | doubt, self._state)  # at most so many are in the pool
        had = paths.group.latest(paths.setter, new, self._content)
        takes = paths.out & hashed & doubtful[new]
        gives = paths.leaves(states) & (had >= 0) & doubtful[had]
        rows = np.flatnonzero(takes | gives)
        rows = rows[np.argsort(paths.group.row[rows])]
        refs = dict(zip(numbers := np.flatnonzero(doubtful).tolist(), count[numbers].tolist(), strict=True))
        in_pool = {-1: True}  # by place of an OUT: whether it took a reference; those of earlier batches did
        columns = (takes, gives, fits, new, had, paths.setter)
        for place, take, give, fit, now, then, setter in zip(
            rows.tolist(), *(column[rows].tolist() for column in columns), strict=True
        ):
            if take:
                in_pool[place] = fit or refs[now] > 0
                refs[now] += in_pool[place]
            if give:
                refs[then] -= in_pool[setter]
        taken = [place for place, took in in_pool.items() if took and place >= 0]
        hits[taken] = True
        return hits & ~fits
