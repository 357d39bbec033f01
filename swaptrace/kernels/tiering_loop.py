"""The tiers as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.tiering`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.acts import Acts, all_full
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown, readable
from swaptrace.model.ops import CARRIED

__all__ = ["LoopTiering"]


class LoopTiering:
    """By block: its tier, the tiers that it may be in, and when it was touched last."""

    def __init__(self, capacity: list[int], age: int) -> None:
        self._capacity = np.array(capacity, np.int64)
        self._used: Ints = np.zeros(len(capacity), np.int64)
        self._age = age
        self._tier: Ints = np.full(0, -1, np.int64)  # by block
        self._allowed: Bytes = np.zeros(0, np.uint8)  # by block: bit t for tier t
        self._touched: Ints = np.zeros(0, np.int64)  # by block
        # By tier but the lowest: the blocks that may move down, by their latest touch.
        self._queue: list[Ints32] = [np.zeros(0, np.int32) for _ in capacity[1:]]

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes, stored: Ints32,
    ) -> Acts:  # fmt: skip
        """As :meth:`Tiering.feed`."""
        most = int(max(block.max(initial=-1), drop.max(initial=-1))) + 1
        self._tier = grown(self._tier, most, -1)
        n, tiers = len(ts), len(self._capacity)
        self._allowed, self._touched = grown(self._allowed, most, 0), grown(self._touched, most, 0)
        waiting = sum(len(queue) for queue in self._queue)
        wide = max(len(queue) for queue in self._queue) + n + waiting
        queue, place = np.zeros((tiers - 1) * wide, np.int32), np.empty(len(self._tier), np.int64)
        ends = np.zeros(2 * tiers, np.int64)  # heads, then tails
        for tier, blocks in enumerate(self._queue):
            here = slice(tier * wide, tier * wide + len(blocks))
            queue[here] = blocks
            place[blocks] = np.arange(here.start, here.stop)
            ends[tiers + tier] = len(blocks)
        room = 4 * n + 2 * (waiting + n) * tiers * (self._age > 0)
        at, act = np.empty(room, np.int32), np.empty(room, np.uint8)
        which, tier_of, since = np.empty(room, np.int32), np.empty(room, np.uint8), np.empty(room, np.int32)
        brought = np.full(len(self._tier), CARRIED, np.int32)  # by block: the act of this batch that did it
        state = np.zeros(3, np.int64)  # acts, overflows, failed
        _walk(
            readable(ts, np.int64), readable(gives, np.bool_), readable(takes, np.bool_), readable(stores, np.bool_),
            readable(fetches, np.bool_), readable(drop, np.int32), readable(block, np.int32),
            readable(allowed, np.uint8), self._capacity, self._used, self._age, self._tier, self._allowed,
            self._touched, queue, place, ends, wide, at, act, which, tier_of, since, brought, state,
        )  # fmt: skip
        m, overflows, failed = state.tolist()
        if failed:
            raise all_full(self._capacity.tolist())
        for tier in range(tiers - 1):
            self._queue[tier] = queue[tier * wide : tier * wide + int(ends[tiers + tier])].copy()
        return Acts(at[:m], act[:m], which[:m], tier_of[:m], since[:m], overflows)


@loop
def _walk(
    ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drops: Ints32, blocks: Ints32, masks: Bytes,
    capacity: Ints, used: Ints, age: int, tier_of: Ints, allowed_of: Bytes, touched: Ints, queue: Ints32, place: Ints,
    ends: Ints, wide: int, at: Ints32, act: Bytes, which: Ints32, where: Bytes,
    since: Ints32, brought: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops, fill the acts and ``state``."""
    tiers = len(capacity)
    k = 0
    overflows = 0
    for i in range(len(ts)):
        if not (gives[i] or takes[i] or stores[i] or fetches[i]):
            continue
        now = ts[i]
        if gives[i]:
            b = drops[i]
            t = tier_of[b]
            used[t] -= 1
            tier_of[b] = -1
            at[k] = i
            act[k] = 0
            which[k] = b
            where[k] = t
            k += 1
        b = blocks[i]
        if takes[i]:
            first = True
            t = -1
            for s in range(tiers):
                if masks[i] >> s & 1:
                    if used[s] < capacity[s]:
                        t = s
                        break
                    first = False
            if t < 0:
                state[2] = 1
                break
            overflows += not first
            used[t] += 1
            tier_of[b] = t
            allowed_of[b] = masks[i]
            at[k] = i
            act[k] = 1
            which[k] = b
            where[k] = t
            brought[b] = k
            k += 1
        if stores[i] or fetches[i]:
            at[k] = i
            act[k] = 2 if stores[i] else 3
            which[k] = b
            where[k] = tier_of[b]
            since[k] = brought[b]
            k += 1
        if age and (takes[i] or stores[i] or fetches[i]):
            t = tier_of[b]
            touched[b] = now
            if t < tiers - 1:
                p = t * wide + ends[tiers + t]
                queue[p] = b
                place[b] = p
                ends[tiers + t] += 1
        if age:
            for t in range(tiers - 1):
                while ends[t] < ends[tiers + t]:
                    p = t * wide + ends[t]
                    b = queue[p]
                    if tier_of[b] != t or place[b] != p:  # touched again since, or gone
                        ends[t] += 1
                        continue
                    if now - touched[b] < age:
                        break
                    lower = -1
                    may = False
                    for s in range(t + 1, tiers):
                        if allowed_of[b] >> s & 1:
                            may = True
                            if lower < 0 and used[s] < capacity[s]:
                                lower = s
                    if lower < 0:
                        if may:
                            break
                        ends[t] += 1
                        continue
                    ends[t] += 1
                    at[k] = i
                    act[k] = 4
                    which[k] = b
                    where[k] = t
                    at[k + 1] = i
                    act[k + 1] = 5
                    which[k + 1] = b
                    where[k + 1] = lower
                    brought[b] = k + 1
                    k += 2
                    used[t] -= 1
                    used[lower] += 1
                    tier_of[b] = lower
                    touched[b] = now
                    if lower < tiers - 1:
                        p = lower * wide + ends[tiers + lower]
                        queue[p] = b
                        place[b] = p
                        ends[tiers + lower] += 1
    for t in range(tiers - 1):  # keep those that are up to date
        kept = t * wide
        for p in range(t * wide + ends[t], t * wide + ends[tiers + t]):
            b = queue[p]
            if tier_of[b] == t and place[b] == p:
                queue[kept] = b
                kept += 1
        ends[tiers + t] = kept - t * wide
    state[0] = k
    state[1] = overflows
