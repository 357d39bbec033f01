"""The tiers as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.tiering`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.acts import Acts, all_full
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown, readable

__all__ = ["LoopTiering"]


class LoopTiering:
    """By block: its tier, the tiers that it may be in, and its latest touch.

    Touches are numbered: several ops may have one time.
    """

    def __init__(self, capacity: list[int], age: int) -> None:
        self._capacity = np.array(capacity, np.int64)
        self._used: Ints = np.zeros(len(capacity), np.int64)
        self._age = age
        self._tier: Ints = np.full(0, -1, np.int64)  # by block
        self._allowed: Bytes = np.zeros(0, np.uint8)  # by block: bit t for tier t
        self._touched: Ints = np.zeros(0, np.int64)  # by block: the time of its latest touch,
        self._number: Ints = np.zeros(0, np.int64)  # and its number
        self._touches = 0  # so far
        self._queue = [np.zeros(0, np.int32) for _ in capacity]  # by tier: blocks by time of touch, some of them stale
        self._stamp = [np.zeros(0, np.int64) for _ in capacity]  # the numbers of these touches

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes,
    ) -> Acts:  # fmt: skip
        """As :meth:`Tiering.feed`."""
        most = int(max(block.max(initial=-1), drop.max(initial=-1))) + 1
        self._grow(most)
        n, tiers = len(ts), len(self._capacity)
        waiting = sum(len(queue) for queue in self._queue)
        wide = max(len(queue) for queue in self._queue) + n + waiting
        queue, stamp = np.zeros(tiers * wide, np.int32), np.zeros(tiers * wide, np.int64)
        ends = np.zeros(2 * tiers, np.int64)  # heads, then tails
        for tier in range(tiers):
            here = len(self._queue[tier])
            queue[tier * wide : tier * wide + here] = self._queue[tier]
            stamp[tier * wide : tier * wide + here] = self._stamp[tier]
            ends[tiers + tier] = here
        room = 4 * n + 2 * (waiting + n) * tiers * (self._age > 0)
        at, act = np.empty(room, np.int32), np.empty(room, np.uint8)
        which, tier_of = np.empty(room, np.int32), np.empty(room, np.uint8)
        state = np.array([0, 0, 0, self._touches], np.int64)  # acts, overflows, failed, touches
        _walk(
            readable(ts, np.int64), readable(gives, np.bool_), readable(takes, np.bool_), readable(stores, np.bool_),
            readable(fetches, np.bool_), readable(drop, np.int32), readable(block, np.int32),
            readable(allowed, np.uint8), self._capacity, self._used, self._age, self._tier, self._allowed,
            self._touched, self._number, queue, stamp, ends, wide, at, act, which, tier_of, state,
        )  # fmt: skip
        m, overflows, failed, self._touches = state.tolist()
        if failed:
            raise all_full(self._capacity.tolist())
        if self._age:
            for tier in range(tiers):
                part = slice(tier * wide + int(ends[tier]), tier * wide + int(ends[tiers + tier]))
                live = (self._tier[queue[part]] == tier) & (self._number[queue[part]] == stamp[part])
                self._queue[tier], self._stamp[tier] = queue[part][live], stamp[part][live]
        return Acts(at[:m], act[:m], which[:m], tier_of[:m], overflows)

    def _grow(self, blocks: int) -> None:
        self._tier, self._allowed = grown(self._tier, blocks, -1), grown(self._allowed, blocks, 0)
        self._touched, self._number = grown(self._touched, blocks, 0), grown(self._number, blocks, 0)


@loop
def _walk(
    ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drops: Ints32, blocks: Ints32, masks: Bytes,
    capacity: Ints, used: Ints, age: int, tier_of: Ints, allowed_of: Bytes, touched: Ints, number_of: Ints,
    queue: Ints32, stamp: Ints, ends: Ints, wide: int, at: Ints32, act: Bytes, which: Ints32, where: Bytes, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops, fill the acts and ``state``."""
    tiers = len(capacity)
    k = 0
    overflows = 0
    touches = state[3]
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
            k += 1
        if stores[i] or fetches[i]:
            at[k] = i
            act[k] = 2 if stores[i] else 3
            which[k] = b
            where[k] = tier_of[b]
            k += 1
        if age and (takes[i] or stores[i] or fetches[i]):
            t = tier_of[b]
            touches += 1
            touched[b] = now
            number_of[b] = touches
            queue[t * wide + ends[tiers + t]] = b
            stamp[t * wide + ends[tiers + t]] = touches
            ends[tiers + t] += 1
        if age:
            for t in range(tiers - 1):
                while ends[t] < ends[tiers + t]:
                    b = queue[t * wide + ends[t]]
                    if tier_of[b] != t or number_of[b] != stamp[t * wide + ends[t]]:
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
                    k += 2
                    used[t] -= 1
                    used[lower] += 1
                    tier_of[b] = lower
                    touches += 1
                    touched[b] = now
                    number_of[b] = touches
                    queue[lower * wide + ends[tiers + lower]] = b
                    stamp[lower * wide + ends[tiers + lower]] = touches
                    ends[tiers + lower] += 1
    state[0] = k
    state[1] = overflows
    state[3] = touches
