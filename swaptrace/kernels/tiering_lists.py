"""The tiers in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.tiering`.

Blocks that are found idle exchange their slots behind the steps of an op (:mod:`swaptrace.kernels.tiering_looks`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.acts import Act, Acts, all_full, brought
from swaptrace.kernels.origins import origins
from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown
from swaptrace.kernels.tiering_idle import NOBODY, Idle, Steps, idle
from swaptrace.kernels.tiering_looks import Looks, Stuck, exchanges
from swaptrace.kernels.tiering_loop import LoopTiering
from swaptrace.model.ops import CARRIED

__all__ = ["ListTiering"]

_GIVE, _TAKE, _USE = 0, 1, 2  # the steps of an op, in this order


class ListTiering(LoopTiering):
    """The state of the loop, which takes over where idle blocks find the lower tiers full: they wait for room."""

    def __init__(self, capacity: list[int], age: int) -> None:
        super().__init__(capacity, age)
        self._room = capacity
        self._tiers_of = [[t for t in range(len(capacity)) if mask >> t & 1] for mask in range(1 << len(capacity))]
        self._look = len(self._tiers_of)  # what the takes of idle blocks have in the place of the allowed tiers

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes, stored: Ints32,
    ) -> Acts:  # fmt: skip
        """As :meth:`swaptrace.kernels.tiering.Tiering.feed`."""
        n, most = len(gives), int(max(block.max(initial=-1), drop.max(initial=-1))) + 1
        self._tier = grown(self._tier, most, -1)
        self._allowed, self._touched = grown(self._allowed, most, 0), grown(self._touched, most, 0)
        does = np.empty((n, 3), np.bool_)
        does[:, _GIVE], does[:, _TAKE] = gives, takes
        does[:, _USE] = uses = stores | fetches
        at = np.repeat(np.arange(n), gives.astype(np.int8) + takes + uses)
        act = (np.flatnonzero(does) - 3 * at).astype(np.uint8)
        which = block[at]
        giving = np.flatnonzero(act == _GIVE)
        which[giving] = drop[at[giving]]
        using = np.flatnonzero(act == _USE)
        act[using] += fetches[at[using]]
        steps = Steps(at, ts[at], which, act == _TAKE, act == _GIVE, allowed, _takers(takes, stored))
        try:
            return self._run(steps, act)
        except Stuck as stuck:
            first = int(at[stuck.behind - 1])

        def fed(form: Callable[..., Acts], ops: slice) -> Acts:
            return form(*(each[ops] for each in (ts, gives, takes, stores, fetches, drop, block, allowed, stored)))

        return fed(self.feed, slice(first)).before(fed(super().feed, slice(first, None)), first)

    def _run(self, steps: Steps, act: Bytes) -> Acts:
        """Return the acts ``act`` of the steps, and the moves; no state has changed if it raises ``Stuck``."""
        using = np.flatnonzero(act >= Act.STORE)
        before = self._tier[steps.block[using]]
        looks = idle(steps, self._queue, self._touched, self._allowed, self._age) if self._age else NOBODY
        tier = np.empty(len(act), np.uint8)
        tier[act < Act.STORE], overflows, moves = self._exchanged(steps, looks)
        at, time, block = steps.at, steps.time, steps.block
        if len(moves):
            look, came = moves[:, 0], moves[:, 1:].ravel()
            behind = np.repeat(looks.behind[look], 2)
            new = np.zeros(len(at) + len(behind), np.bool_)
            new[behind + np.arange(len(behind))] = True

            def merged(values: NDArray[Any], of_moves: NDArray[Any]) -> NDArray[Any]:
                every = np.empty(len(new), values.dtype)
                every[new], every[~new] = of_moves, values
                return every

            at, time = merged(at, at[behind - 1]), merged(time, time[behind - 1])
            block, tier = merged(block, np.repeat(looks.block[look], 2)), merged(tier, came)
            act = merged(act, np.tile([int(Act.LEAVE), int(Act.ARRIVE)], len(look)))
            using = np.flatnonzero((act == Act.STORE) | (act == Act.FETCH))
        since = _since(at, act, block, using, steps.taker)
        from_act = since[using]
        tier[using] = np.where(from_act >= 0, tier[from_act], before)
        acts = Acts(at.astype(np.int32), act, block, tier, since, overflows)
        if self._age:
            self._allowed[steps.block[steps.takes]] = steps.allowed[steps.at[steps.takes]]
            self._queue_up(acts, time)
        return acts

    def _exchanged(self, steps: Steps, looks: Idle) -> tuple[Ints, int, Ints]:
        """Return the tier of each give and take, how many takes overflowed, and the moves, int64[k, 3]."""
        exchanging = np.flatnonzero(steps.gives | steps.takes)
        frees, unit = steps.gives[exchanging], steps.block[exchanging]
        on, own = steps.allowed[steps.at[exchanging]].astype(np.uint16), np.ones(len(exchanging), np.bool_)
        if len(looks.block):
            behind, giving, block = exchanges(looks)
            behind = np.searchsorted(exchanging, behind)
            frees, unit = np.insert(frees, behind, giving), np.insert(unit, behind, block)
            on, own = np.insert(on, behind, self._look), np.insert(own, behind, False)
        went, done, overflows = np.empty(len(frees), np.int64), 0, 0
        looking = Looks(looks, self._room, self._tiers_of)
        for chunk in chunks(frees, unit, on, self._tier, len(frees)):  # in one, as it may end in Stuck
            tiers = chunk.before.tolist()
            overflows = self._walk(chunk, tiers, looking)
            done = chunk.finish(tiers, [], [], went, np.empty(len(frees), np.int8), self._tier)
        if done < len(frees):
            raise all_full(self._room)
        return went[own], overflows, np.array(looking.moves, np.int64).reshape(-1, 3)

    def _walk(self, chunk: Chunk, tiers: list[int], looks: Looks) -> int:
        """Append to ``tiers`` those of what is taken; return how many takes overflowed."""
        used, source, overflows = self._used.tolist(), iter(chunk.source.tolist()), 0
        gone: list[int] = []
        for length, mask in chunk.runs():
            if mask == FREES:
                gone = list(map(tiers.__getitem__, islice(source, length)))
                for t in set(gone):
                    used[t] -= gone.count(t)
                continue
            if mask == self._look:
                tiers += looks.at(gone[-length:], used)
                continue
            n, may = length, self._tiers_of[mask]
            for t in may:
                fit = min(n, self._room[t] - used[t])
                used[t] += fit
                tiers += [t] * fit
                n -= fit
                if t != may[0]:
                    overflows += fit
                if n == 0:
                    break
            else:
                break
        self._used[:] = used
        return overflows

    def _queue_up(self, acts: Acts, time: Ints) -> None:
        """See which blocks are touched, and in which order they may come to be idle."""
        last, nth = np.empty(len(self._tier), np.int32), np.arange(len(acts.block), dtype=np.int32)
        for queue in self._queue:
            last[queue] = -1
        last[acts.block] = nth  # in order: the last one stays
        acted = np.flatnonzero(last[acts.block] == nth)
        held = acted[acts.act[acted] != Act.GIVE]
        block, tier = acts.block[held], acts.tier[held]
        self._touched[block] = time[held]
        lower = self._allowed[block] >> tier > 1
        for t, queue in enumerate(self._queue):
            self._queue[t] = np.append(queue[last[queue] < 0], block[lower & (tier == t)])


def _takers(takes: Bools, stored: Ints32) -> Ints32:
    """Return for each op that takes, stores or fetches which op took the slot of its block."""
    origin = origins(stored, np.flatnonzero(~takes)).astype(np.int32)
    return np.where(takes[origin], origin, np.int32(CARRIED))


def _since(at: Ints, act: Bytes, block: Ints32, using: Ints, taker: Ints32) -> Ints32:
    """Return ``Acts.since``; ``using`` are the acts that store or fetch."""
    since = np.full(len(act), CARRIED, np.int32)
    nth, takes = np.full(len(taker) + 1, CARRIED, np.int32), np.flatnonzero(act == Act.TAKE)
    nth[at[takes]] = takes
    since[using] = nth[taker[at[using]]]  # CARRIED is the last one's index, too
    arrived = np.flatnonzero(act == Act.ARRIVE)
    if len(arrived):
        moved = np.zeros(int(block.max()) + 1, np.bool_)
        moved[block[arrived]] = True
        of_moved = np.flatnonzero(moved[block])
        among = brought(act[of_moved], block[of_moved])
        since[of_moved] = np.where(among >= 0, of_moved[np.maximum(among, 0)], CARRIED)
    return since
