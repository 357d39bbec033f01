"""The index that forgets late as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.stale`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.content_tables import ContentTables
from swaptrace.kernels.contents_loop import forget
from swaptrace.kernels.loop import loop
from swaptrace.kernels.order import indices
from swaptrace.kernels.stale_state import StaleContents, StaleTaken
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, grown, readable
from swaptrace.model.ops import CARRIED, Ops

__all__ = ["LoopStale"]


class LoopStale(ContentTables, StaleContents):
    """In the count of a content the index itself holds one reference: a stale content counts 1."""

    def __init__(self, ttl: int, capacity: int) -> None:
        """``ttl`` in ns."""
        StaleContents.__init__(self, ttl, capacity)
        ContentTables.__init__(self)
        self._stored: Ints32 = np.full(0, CARRIED, np.int32)  # by block, as all below: op that stored it
        self._content_of: Ints32 = np.full(0, -1, np.int32)
        self._since: Ints = np.zeros(0, np.int64)  # stale since
        self._next: Ints32 = np.full(0, -1, np.int32)  # stale blocks are a list, the oldest first
        self._last: Ints32 = np.full(0, -1, np.int32)
        self._list: Ints = np.array([-1, -1, 0, 0], np.int64)  # its first, its last, how many; and blocks not stale

    def feed(self, ops: Ops) -> StaleTaken:
        """Run ops in order."""
        n = len(ops)
        self._grow(int(ops.handle.max()) + 1)
        known = ops.columns["has_hash"]
        number = self._numbers(ops.columns["hash"][indices(known & ops.store)])
        spare, blocks = len(self._spare), self._given_out + n
        stack = np.empty(spare + n, np.int32)
        stack[:spare] = self._spare
        self._stored, self._content_of = grown(self._stored, blocks, CARRIED), grown(self._content_of, blocks, -1)
        self._since = grown(self._since, blocks, 0)
        self._next, self._last = grown(self._next, blocks, -1), grown(self._last, blocks, -1)
        hit, stale_hit, inplace = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        block, drop, stored_at = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
        unique, stale = np.zeros(n, np.int8), np.zeros(n, np.int8)
        state = np.array([spare, self._given_out, 0, 0], np.int64)
        _walk(
            readable(ops.store, np.bool_), readable(ops.fetch, np.bool_), readable(ops.inplace, np.bool_),
            readable(ops.drop, np.int32), readable(ops.handle, np.int32), readable(ops.prev, np.int32),
            readable(ops.ts, np.int64), readable(known, np.bool_), readable(number, np.int64),
            self._ttl, self._capacity, self.room, hit, stale_hit, block, drop, inplace, stored_at, unique, stale,
            self._refs.count, self._block_of, self._content, self._block, self._stored, self._content_of,
            self._since, self._next, self._last, self._list, stack, state,
        )  # fmt: skip
        left = forget(readable(ops.store, np.bool_), hit, block, drop, self._stored, stack, int(state[0]))
        self._spare, self._given_out = stack[:left], int(state[1])
        return StaleTaken(hit, block, drop, inplace, stored_at, unique, int(state[2]), int(state[3]), stale_hit, stale)

    def _numbers(self, key: NDArray[np.uint64]) -> Ints:
        before = self._refs.count
        number = super()._numbers(key)
        if self._refs.count is not before:  # the numbers moved
            held = np.flatnonzero(self._refs.count > 0)
            self._content_of[self._block_of[held]] = held
        return number


@loop
def _walk(
    stores: Bools, fetches: Bools, over: Bools, ends: Ints32, handles: Ints32, prev: Ints32, ts: Ints, known: Bools,
    numbers: Ints, ttl: int, capacity: int, room: int, hit: Bools, stale_hit: Bools, block: Ints32, drop: Ints32,
    inplace: Bools, stored_at: Ints32, unique: Ints8, stale: Ints8, count: Ints32, block_of: Ints32, content: Ints32,
    holds: Ints32, stored: Ints32, content_of: Ints32, since: Ints, following: Ints32, leading: Ints32, ends_of: Ints,
    spare: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops; ``state`` as in the strict loop; ``ends_of``: the list's first, last and length, and live blocks."""
    left = state[0]
    given_out = state[1]
    unhashed = 0
    refs_max = 0
    k = 0
    for i in range(len(stores)):
        h = handles[i]
        store = stores[i]
        gives = over[i] or ends[i] != -2
        lower = -1
        at = -1
        if gives or fetches[i]:
            lower = holds[h]
            if prev[i] >= 0:
                at = stored[lower]
        new = -1
        mine = lower
        is_hit = False
        out = -1  # block that leaves the list of stale ones
        if store:
            if known[i]:
                new = numbers[k]
                k += 1
                refs = count[new]
                is_hit = refs > 0
                if refs == 1:
                    out = block_of[new]
                    stale_hit[i] = True
                    unique[i] += 1
                count[new] = max(refs, 1) + 1
                refs_max = max(refs_max, refs, 1)
            else:
                new = -2
                unhashed += 1
        dies = False
        becomes = -1
        if gives:
            old = content[h]
            if old == -2:
                dies = True
                unique[i] -= 1
            else:
                count[old] -= 1
                if count[old] == 1:
                    becomes = lower
                    unique[i] -= 1
        is_over = False
        if is_hit:
            mine = block_of[new]
            hit[i] = True
        elif store:
            is_over = dies and over[i]
            if not is_over:
                if left > 0:
                    left -= 1
                    mine = spare[left]
                else:
                    mine = given_out
                    given_out += 1
            if new >= 0:
                block_of[new] = mine
                content_of[mine] = new
            stored[mine] = i
            unique[i] += 1
        if store or gives:
            content[h] = new
            holds[h] = mine
        gone = lower if dies and not is_over else -2
        if becomes >= 0:  # to the end of the list
            since[becomes] = ts[i]
            following[becomes] = -1
            leading[becomes] = ends_of[1]
            if ends_of[1] >= 0:
                following[ends_of[1]] = becomes
            else:
                ends_of[0] = becomes
            ends_of[1] = becomes
            ends_of[2] += 1
            stale[i] += 1
        ends_of[3] += unique[i]
        for turn in range(2):  # what leaves the list: the one hit, then the one cleaned
            if turn == 1:
                out = -1
                oldest = ends_of[0]
                may = (store or gives) and gone < 0 and not is_over and oldest >= 0
                full = ends_of[2] > capacity or ends_of[2] + ends_of[3] > room
                if may and (full or ts[i] - since[oldest] >= ttl):
                    out = oldest
                    gone = out
                    count[content_of[out]] = 0
            if out >= 0:
                after = following[out]
                before = leading[out]
                if before >= 0:
                    following[before] = after
                else:
                    ends_of[0] = after
                if after >= 0:
                    leading[after] = before
                else:
                    ends_of[1] = before
                ends_of[2] -= 1
                stale[i] -= 1
        block[i] = mine
        inplace[i] = is_over
        drop[i] = gone
        stored_at[i] = at
    state[0] = left
    state[1] = given_out
    state[2] = unhashed
    state[3] = refs_max
    return k
