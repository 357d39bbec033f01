"""Which tier each block is in: filled from the top, and moved down when it has been idle for long.

Rule. Tiers are numbered from the top. A block *takes* a slot of the first tier that its memory cgroup may use and that
has a free one (a tier has one slot less than its size: the swap header), and gives it back to the tier it is in then.
A block is *touched* when it takes a slot, is stored over in place, or is fetched.

With demotion, an op that did any of these things then looks at the tiers from the top, the lowest one left out: while
the block of the tier that has been untouched for the longest time (the first touched of equals) is idle for ``age``
ns or more, it moves to the next lower tier that its cgroup may use and that has a free slot; there it counts as
touched now. A block whose cgroup may use no lower tier is not looked at again until it is touched; where lower tiers
are full, looking stops for this tier.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.reshape import latest
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown, readable, scalars
from swaptrace.model.errors import SpaceError

__all__ = ["Act", "Acts", "Tiering"]

_NEVER = -1


class Act(IntEnum):
    """What happens to a block in a tier."""

    GIVE = 0
    TAKE = 1
    STORE = 2
    FETCH = 3
    LEAVE = 4  # it moves away from here
    ARRIVE = 5  # it moves here


@dataclass(frozen=True, slots=True)
class Acts:
    """What happened, in order; arrays of one length."""

    at: Ints32
    """The op that did it."""
    act: Bytes
    block: Ints32
    tier: Bytes
    overflows: int
    """Takes in a tier below the first that the cgroup may use."""


class Tiering:
    """Tiers of ``capacity`` slots each; ``age`` in ns, 0: blocks stay where they are."""

    def __init__(self, capacity: list[int], age: int) -> None:
        self._capacity = np.array(capacity, np.int64)
        self._used: Ints = np.zeros(len(capacity), np.int64)
        self._age = age
        self._tier: Ints8 = np.full(0, _NEVER, np.int8)  # by block
        self._allowed: Bytes = np.zeros(0, np.uint8)  # by block: bit t for tier t
        self._touched: Ints = np.zeros(0, np.int64)  # by block
        self._queue = [np.zeros(0, np.int32) for _ in capacity]  # by tier: blocks by time of touch, some of them stale
        self._stamp = [np.zeros(0, np.int64) for _ in capacity]

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes,
    ) -> Acts:  # fmt: skip
        """Run the ops in order: ``drop`` gives its slot back, then ``block`` takes one, is stored, or is fetched.

        Raises:
            SpaceError: no tier that the cgroup may use has a free slot.
        """
        most = int(max(block.max(initial=-1), drop.max(initial=-1))) + 1
        self._tier = grown(self._tier, most, _NEVER)
        if not self._age and engine_name() != "numba":
            return self._fill(gives, takes, stores, fetches, drop, block, allowed)
        n, tiers = len(ts), len(self._capacity)
        self._allowed, self._touched = grown(self._allowed, most, 0), grown(self._touched, most, 0)
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
        state = np.zeros(3, np.int64)  # acts, overflows, failed
        _walk(
            readable(ts, np.int64), readable(gives, np.bool_), readable(takes, np.bool_), readable(stores, np.bool_),
            readable(fetches, np.bool_), readable(drop, np.int32), readable(block, np.int32),
            readable(allowed, np.uint8), self._capacity, self._used, self._age, self._tier, self._allowed,
            self._touched, queue, stamp, ends, wide, at, act, which, tier_of, state,
        )  # fmt: skip
        m, overflows, failed = state.tolist()
        if failed:
            raise self._full()
        if self._age:
            for tier in range(tiers):
                part = slice(tier * wide + int(ends[tier]), tier * wide + int(ends[tiers + tier]))
                live = (self._tier[queue[part]] == tier) & (self._touched[queue[part]] == stamp[part])
                self._queue[tier], self._stamp[tier] = queue[part][live], stamp[part][live]
        return Acts(at[:m], act[:m], which[:m], tier_of[:m], overflows)

    def _full(self) -> SpaceError:
        return SpaceError(
            "no tier that the memory cgroup may use has a free slot.",
            f"Slots of the tiers: {', '.join(map(str, self._capacity.tolist()))}; all in use where it may store.",
            "Give the tiers more room: sizes=",
        )

    def _fill(
        self, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32, allowed: Bytes
    ) -> Acts:
        """Run the ops without demotion: only gives and takes are looked at one by one."""
        does = np.empty((len(gives), 3), np.bool_)
        does[:, 0], does[:, 1] = gives, takes
        np.logical_or(stores, fetches, out=does[:, 2])
        found = np.flatnonzero(does)
        at = found // 3
        step = found - 3 * at
        giving, _taking, using = (np.flatnonzero(step == kind) for kind in range(3))
        which = block[at]
        which[giving] = drop[at[giving]]
        before = self._tier[which[using]]
        exchanging = np.flatnonzero(step != Act.STORE)
        went, overflows = self._exchange(
            (step[exchanging] == Act.GIVE).tolist(), which[exchanging].tolist(), allowed[at[exchanging]].tolist()
        )
        tier = np.empty(len(at), np.uint8)
        tier[exchanging] = went
        took = latest(step == Act.TAKE, which)[using]
        tier[using] = np.where(took >= 0, tier[np.maximum(took, 0)], before)
        act = step.astype(np.uint8)
        act[using] += fetches[at[using]]
        return Acts(at.astype(np.int32), act, which, tier, overflows)

    def _exchange(self, giving: list[bool], blocks: list[int], masks: list[int]) -> tuple[list[int], int]:
        """Return the tier of each give and take, and how many takes overflowed."""
        tier_of, used, capacity = scalars(self._tier), self._used.tolist(), self._capacity.tolist()
        tiers_of = [[t for t in range(len(used)) if mask >> t & 1] for mask in range(1 << len(used))]
        went, overflows = [0] * len(blocks), 0
        for i, block in enumerate(blocks):
            if giving[i]:
                t = went[i] = tier_of[block]
                used[t] -= 1
                continue
            may = tiers_of[masks[i]]
            for t in may:
                if used[t] < capacity[t]:
                    break
            else:
                raise self._full()
            overflows += t != may[0]
            used[t] += 1
            tier_of[block] = went[i] = t
        self._used[:] = used
        return went, overflows


@loop
def _walk(
    ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drops: Ints32, blocks: Ints32, masks: Bytes,
    capacity: Ints, used: Ints, age: int, tier_of: Ints8, allowed_of: Bytes, touched: Ints, queue: Ints32, stamp: Ints,
    ends: Ints, wide: int, at: Ints32, act: Bytes, which: Ints32, where: Bytes, state: Ints,
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
            k += 1
        if stores[i] or fetches[i]:
            at[k] = i
            act[k] = 2 if stores[i] else 3
            which[k] = b
            where[k] = tier_of[b]
            k += 1
        if age and (takes[i] or stores[i] or fetches[i]):
            t = tier_of[b]
            touched[b] = now
            queue[t * wide + ends[tiers + t]] = b
            stamp[t * wide + ends[tiers + t]] = now
            ends[tiers + t] += 1
        if age:
            for t in range(tiers - 1):
                while ends[t] < ends[tiers + t]:
                    b = queue[t * wide + ends[t]]
                    since = stamp[t * wide + ends[t]]
                    if tier_of[b] != t or touched[b] != since:
                        ends[t] += 1
                        continue
                    if now - since < age:
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
                    touched[b] = now
                    queue[lower * wide + ends[tiers + lower]] = b
                    stamp[lower * wide + ends[tiers + lower]] = now
                    ends[tiers + lower] += 1
    state[0] = k
    state[1] = overflows
