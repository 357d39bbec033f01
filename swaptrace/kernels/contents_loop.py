"""The content index as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.contents`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.content_tables import ContentTables
from swaptrace.kernels.contents_state import Contents, Taken
from swaptrace.kernels.loop import loop
from swaptrace.kernels.order import indices
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, grown, readable
from swaptrace.model.ops import CARRIED, Ops

__all__ = ["LoopContents", "forget"]


class LoopContents(ContentTables, Contents):
    """By block, besides: the op of this batch that stored it, CARRIED between batches."""

    def __init__(self) -> None:
        super().__init__()
        self._stored: Ints32 = np.full(0, CARRIED, np.int32)

    def feed(self, ops: Ops) -> Taken:
        """Run ops in order."""
        n = len(ops)
        self._grow(int(ops.handle.max()) + 1)
        known = ops.columns["has_hash"]
        number = self._numbers(ops.columns["hash"][indices(known & ops.store)])
        spare = len(self._spare)
        stack = np.empty(spare + n, np.int32)
        stack[:spare] = self._spare
        self._stored = grown(self._stored, self._given_out + n, CARRIED)
        hit, inplace = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        block, drop, stored_at = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
        unique = np.zeros(n, np.int8)
        state = np.array([spare, self._given_out, 0, 0], np.int64)
        _walk(
            readable(ops.store, np.bool_), readable(ops.fetch, np.bool_), readable(ops.inplace, np.bool_),
            readable(ops.drop, np.int32), readable(ops.handle, np.int32), readable(ops.prev, np.int32),
            readable(known, np.bool_),
            readable(number, np.int64), hit, block, drop, inplace, stored_at, unique,
            self._refs.count, self._block_of, self._content, self._block, self._stored, stack, state,
        )  # fmt: skip
        left = forget(readable(ops.store, np.bool_), hit, block, drop, self._stored, stack, int(state[0]))
        self._spare, self._given_out = stack[:left], int(state[1])
        return Taken(hit, block, drop, inplace, stored_at, unique, int(state[2]), int(state[3]))


@loop
def _walk(
    stores: Bools, fetches: Bools, over: Bools, ends: Ints32, handles: Ints32, prev: Ints32, known: Bools,
    numbers: Ints, hit: Bools, block: Ints32, drop: Ints32, inplace: Bools, stored_at: Ints32, unique: Ints8,
    count: Ints32, block_of: Ints32, content: Ints32, holds: Ints32, stored: Ints32, spare: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops; ``state`` has the numbers to be used again, those given out, and the two counts of the batch."""
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
            if prev[i] >= 0:  # else the object's content is older than this batch
                at = stored[lower]
        new = -1
        is_hit = False
        if store:
            if known[i]:
                new = numbers[k]
                k += 1
                refs = count[new]
                is_hit = refs > 0
                refs_max = max(refs_max, refs + 1)
                count[new] = refs + 1
            else:
                new = -2
                unhashed += 1
        dies = False
        if gives:
            old = content[h]
            if old == -2:
                dies = True
            else:
                count[old] -= 1
                dies = count[old] == 0
        mine = lower
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
            stored[mine] = i
            unique[i] += 1
        if store or gives:
            content[h] = new
            holds[h] = mine
        if dies:
            unique[i] -= 1
        block[i] = mine
        inplace[i] = is_over
        drop[i] = lower if dies and not is_over else -2
        stored_at[i] = at
    state[0] = left
    state[1] = given_out
    state[2] = unhashed
    state[3] = refs_max
    return k


@loop
def forget(
    stores: Bools, hit: Bools, block: Ints32, drop: Ints32, stored: Ints32, spare: Ints32, left: int
) -> Any:  # fmt: skip
    """Behind a batch, forget which of its ops stored each block, and put the numbers of those that died on the stack
    ``spare``, which has ``left``; return how many it has then.
    """
    for i in range(len(stores)):
        if stores[i] and not hit[i]:
            stored[block[i]] = -1
        if drop[i] >= 0:
            spare[left] = drop[i]
            left += 1
    return left
