"""The tiers in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.tiering`.

With demotion, nothing moves until the block that is idle for longest has been so for ``age``: up to that op the ops are
run as if there were no demotion, then the tiers are looked at.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.acts import Act, Acts, all_full
from swaptrace.kernels.reshape import latest
from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.kernels.tiering_loop import LoopTiering

__all__ = ["ListTiering"]

_GIVE, _TAKE, _USE = 0, 1, 2  # the steps of an op, in this order
_PIECE = 4096  # touches that are looked at together
_MOST_LOOKS = 500  # at the tiers in a batch: each costs as much as some hundred ops of the loop
_Move = tuple[int, int, int, int]  # behind which step, which block, from which tier, to which


class _Touches:
    """Touches of blocks in one tier, in order; all but a block's latest are out of date."""

    def __init__(self, block: Ints32, number: Ints) -> None:
        self.block, self.number, self.head = block, number, 0

    def extend(self, block: Ints32, number: Ints) -> None:
        """Add touches."""
        self.block = np.concatenate([self.block[self.head :], block])
        self.number = np.concatenate([self.number[self.head :], number])
        self.head = 0

    def first(self, tier: int, tier_of: Ints, number_of: Ints) -> int:
        """Drop what is out of date; return the index of the first touch that is not, -1 if there is none."""
        while self.head < len(self.block):
            part = slice(self.head, self.head + _PIECE)
            block = self.block[part]
            valid = (tier_of[block] == tier) & (number_of[block] == self.number[part])
            skip = int(valid.argmax())
            if valid[skip]:
                self.head += skip
                return self.head
            self.head += len(block)
        return -1


class ListTiering(LoopTiering):
    """The state of the loop, which takes over where the tiers have to be looked at behind nearly every op."""

    def __init__(self, capacity: list[int], age: int) -> None:
        super().__init__(capacity, age)
        self._room = capacity
        self._tiers_of = [[t for t in range(len(capacity)) if mask >> t & 1] for mask in range(1 << len(capacity))]
        self._due = 0  # before this time nothing moves

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes,
    ) -> Acts:  # fmt: skip
        """As :meth:`swaptrace.kernels.tiering.Tiering.feed`."""
        most = int(max(block.max(initial=-1), drop.max(initial=-1))) + 1
        self._grow(most)
        does = np.empty((len(gives), 3), np.bool_)
        does[:, _GIVE], does[:, _TAKE] = gives, takes
        np.logical_or(stores, fetches, out=does[:, _USE])
        found = np.flatnonzero(does)
        at = found // 3
        step = (found - 3 * at).astype(np.uint8)
        which = block[at]
        giving = np.flatnonzero(step == _GIVE)
        which[giving] = drop[at[giving]]
        act = step.copy()
        using = np.flatnonzero(step == _USE)
        act[using] += fetches[at[using]]
        if not self._age:
            tier, overflows = self._fill(step, which, allowed[at])
            return Acts(at.astype(np.int32), act, which, tier.astype(np.uint8), overflows)
        tier, overflows, moves = self._demoting(ts, at, step, which, allowed[at])
        done = len(tier)
        behind, moved, left, came = np.array(moves, np.int64).reshape(-1, 4).T

        def merged(values: NDArray[Any], of_moves: Ints) -> NDArray[Any]:
            return np.insert(values[:done], np.repeat(behind + 1, 2), of_moves)

        acts = Acts(
            merged(at, np.repeat(at[behind], 2)).astype(np.int32),
            merged(act, np.tile([int(Act.LEAVE), int(Act.ARRIVE)], len(behind))),
            merged(which, np.repeat(moved, 2)),
            merged(tier, np.column_stack([left, came]).ravel()).astype(np.uint8),
            overflows,
        )
        if done == len(at):
            return acts
        rest = slice(int(at[done]), None)
        later = super().feed(
            ts[rest], gives[rest], takes[rest], stores[rest], fetches[rest], drop[rest], block[rest], allowed[rest]
        )
        return acts.before(later, int(at[done]))

    def _fill(self, step: Bytes, which: Ints32, allowed: Bytes) -> tuple[Ints, int]:
        """Return the tier of each step while nothing moves, and how many takes overflowed."""
        using = np.flatnonzero(step == _USE)
        before = self._tier[which[using]]
        exchanging = np.flatnonzero(step != _USE)
        went = np.empty(len(exchanging), np.int64)
        done = overflows = 0
        frees, unit, on = step[exchanging] == _GIVE, which[exchanging], allowed[exchanging].astype(np.uint16)
        for chunk in chunks(frees, unit, on, self._tier):
            tiers = chunk.before.tolist()
            overflows += self._exchange(chunk, tiers)
            done += chunk.finish(tiers, [], [], went[chunk.part], np.empty(len(chunk.frees), np.int8), self._tier)
            if done < chunk.part.stop:
                break
        if done < len(exchanging):
            raise all_full(self._room)
        tier = np.empty(len(step), np.int64)
        tier[exchanging] = went
        took = latest(step == _TAKE, which)[using]
        tier[using] = np.where(took >= 0, tier[np.maximum(took, 0)], before)
        return tier, overflows

    def _exchange(self, chunk: Chunk, tiers: list[int]) -> int:
        """Append to ``tiers`` those of what is taken; return how many takes overflowed."""
        used, source, overflows = self._used.tolist(), iter(chunk.source.tolist()), 0
        for length, mask in chunk.runs():
            if mask == FREES:
                for j in islice(source, length):
                    used[tiers[j]] -= 1
                continue
            n, may = length, self._tiers_of[mask]
            for t in may:
                fit = min(n, self._room[t] - used[t])
                used[t] += fit
                tiers += [t] * fit
                overflows += fit * (t != may[0])
                n -= fit
            if n:
                break
        self._used[:] = used
        return overflows

    def _demoting(
        self, ts: Ints, at: Ints, step: Bytes, which: Ints32, allowed: Bytes
    ) -> tuple[Ints, int, list[_Move]]:
        """Return the tier of each step, how many takes overflowed, and what moves."""
        tiers: list[Ints] = [np.empty(0, np.int64)]
        overflows = start = 0
        moves: list[_Move] = []
        touches = [_Touches(*each) for each in zip(self._queue[:-1], self._stamp[:-1], strict=True)]
        time = ts[at]
        while start < len(at) and len(tiers) <= _MOST_LOOKS:
            due = start + int(np.searchsorted(time[start:], self._due))
            looks = due < len(at)
            stop = int(np.searchsorted(at, at[due], "right")) if looks else len(at)  # the whole op
            part = slice(start, stop)
            tier, over = self._fill(step[part], which[part], allowed[part])
            tiers.append(tier)
            overflows += over
            self._touch(touches, step[part], which[part], tier, allowed[part], time[part])
            if looks:
                self._due = self._demote(touches, int(time[stop - 1]), stop - 1, moves)
            start = stop
        for number, each in enumerate(touches):
            block, stamp = each.block[each.head :], each.number[each.head :]
            live = (self._tier[block] == number) & (self._number[block] == stamp)
            self._queue[number], self._stamp[number] = block[live], stamp[live]
        return np.concatenate(tiers), overflows, moves

    def _touch(
        self, touches: list[_Touches], step: Bytes, which: Ints32, tier: Ints, allowed: Bytes, time: Ints
    ) -> None:
        """See which blocks are touched."""
        taking, touching = np.flatnonzero(step == _TAKE), np.flatnonzero(step != _GIVE)
        self._allowed[which[taking]] = allowed[taking]
        block, tier = which[touching], tier[touching]
        number = np.arange(self._touches + 1, self._touches + 1 + len(touching))
        self._touches += len(touching)
        self._touched[block], self._number[block] = time[touching], number  # in time order: the last one stays
        for t, each in enumerate(touches):
            here = np.flatnonzero(tier == t)
            each.extend(block[here], number[here])

    def _demote(self, touches: list[_Touches], now: int, behind: int, moves: list[_Move]) -> int:
        """Look at the tiers behind a step; return before when they need not be looked at again."""
        used, due = self._used, now + self._age
        for t, each in enumerate(touches):
            while (first := each.first(t, self._tier, self._number)) >= 0:
                b = int(each.block[first])
                time = int(self._touched[b])
                if now - time < self._age:
                    due = min(due, time + self._age)
                    break
                below = [s for s in self._tiers_of[int(self._allowed[b])] if s > t]
                lower = next((s for s in below if used[s] < self._room[s]), -1)
                if lower < 0 and below:
                    due = now  # until one of them has room
                    break
                each.head += 1
                if lower < 0:
                    continue
                moves.append((behind, b, t, lower))
                used[t] -= 1
                used[lower] += 1
                self._tier[b] = lower
                self._touches += 1
                self._touched[b], self._number[b] = now, self._touches
                if lower < len(touches):
                    touches[lower].extend(np.array([b], np.int32), np.array([self._touches]))
        return due
