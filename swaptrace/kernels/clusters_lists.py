"""The clusters of a device with Python's own lists; the rule is at the head of
:mod:`swaptrace.kernels.clusters`.

Without a compiler this is several times as fast as the interpreted loop: one call into C replaces each search,
and a long run of allocations is served with slices.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict, deque

import numpy as np

from swaptrace.kernels.runs import alternating_runs, is_sound
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown, scalars

__all__ = ["ListPhysical"]

_Slice = tuple[int, int, int, int]  # first op, how many, slot at which the search began, tail passed over before


class ListPhysical:
    """State: per cluster the list of its free slots, negated so that the lowest is at the end.

    The lists of current clusters are sorted; the others are when they become current.
    """

    def __init__(self, slots: int, cpus: int, cluster: int, spread: bool) -> None:
        clusters = -(-slots // cluster)
        self._cluster = cluster
        self._spread = spread
        self.slot_of: Ints = np.full(0, -1, np.int64)
        self._capacity = [cluster] * clusters
        self._capacity[-1] = slots - (clusters - 1) * cluster
        self._capacity[0] -= 1  # the swap header
        # Made when the cluster is first taken.
        self._free_of: list[list[int]] = [[]] * clusters
        self._free = deque(range(clusters))
        self._nonfull: OrderedDict[int, None] = OrderedDict()
        self._held = [False] * clusters
        self._current = [-1] * cpus
        self._cursor = [0] * cpus

    def run(
        self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, passed: tuple[Ints16, Ints] | None
    ) -> int:
        """Run the ops and fill the last arrays; return how many were done before an impossible one."""
        self.slot_of = grown(self.slot_of, int(units.max()) + 1, -1)
        slices: list[_Slice] = []
        done = self._parts(frees, units, on, slot, change, passed, slices)
        if passed is not None and slices:
            _measure(slices, slot, *passed)
        return done

    def _parts(
        self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, passed: tuple[Ints16, Ints] | None,
        slices: list[_Slice],
    ) -> int:  # fmt: skip
        """Run the ops; ``slices`` gets those that were served as slices, what the others pass over is filled in."""
        for part, is_long in alternating_runs(frees, on):
            if is_long and is_sound(units[part], self.slot_of[units[part]] >= 0):
                done = self._take(units[part], int(on[part.start]), slot[part], change[part], part.start, slices)
            elif frees[part].all() and is_sound(units[part], self.slot_of[units[part]] < 0):
                done = self._give(units[part], slot[part], change[part])
            else:
                done = self._run(
                    frees[part].tolist(), units[part].tolist(), on[part].tolist(), scalars(slot[part]),
                    scalars(change[part]), None if passed is None else [scalars(each[part]) for each in passed],
                )  # fmt: skip
            if done < part.stop - part.start:
                return int(part.start) + done
        return len(units)

    def _take(self, units: Ints32, cpu: int, slot: Ints, change: Ints8, first: int, slices: list[_Slice]) -> int:
        """Allocate for units on one CPU, the first of them op ``first``; return for how many there was a slot."""
        done = 0
        while done < len(units):
            c = self._current[cpu]
            end = bisect_right(self._free_of[c], -self._cursor[cpu]) if c >= 0 else 0
            start = max(0, end - len(units) + done)
            begin, tail = self._cursor[cpu], -1
            if end == 0:
                tail = self._leave(cpu)
                c = self._next(cpu)
                if c < 0:
                    break
                begin = c * self._cluster or 1
                end = len(self._free_of[c])
                # What is stolen is one slot: the next allocation looks again.
                start = max(0, end - len(units) + done) if self._current[cpu] == c else end - 1
            free = self._free_of[c]
            change[done] = len(free) == self._capacity[c]
            taken = free[start:end][::-1]
            del free[start:end]
            if self._current[cpu] == c:
                self._cursor[cpu] = 1 - taken[-1]
            slot[done : done + len(taken)] = taken
            slices.append((first + done, len(taken), begin, tail))
            done += len(taken)
        np.negative(slot[:done], out=slot[:done])
        self.slot_of[units[:done]] = slot[:done]
        return done

    def _give(self, units: Ints32, slot: Ints, change: Ints8) -> int:
        """Free the slots of units that have one; return for how many: all."""
        at = self.slot_of[units]
        slot[:] = at
        self.slot_of[units] = -1
        capacity, free_of, held = self._capacity, self._free_of, self._held
        for i, (c, place) in enumerate(zip((at // self._cluster).tolist(), (-at).tolist(), strict=True)):
            slots = free_of[c]
            if held[c]:
                insort(slots, place)
            else:
                slots.append(place)
            if len(slots) == capacity[c]:
                change[i] = -1
                if not held[c]:
                    self._list(c)
            elif len(slots) == 1 and not held[c]:
                self._list(c)
        return len(units)

    def _leave(self, cpu: int) -> int:
        """Take the current cluster, if any, away from the CPU; return from where on its slots were passed over."""
        c = self._current[cpu]
        if c >= 0:
            self._current[cpu] = -1
            self._held[c] = False
            if self._free_of[c]:
                self._list(c)
                if self._cursor[cpu] < (c + 1) * self._cluster:
                    return self._cursor[cpu]
        return -1

    def _run(
        self, frees: list[bool], units: list[int], on: list[int], slot: memoryview, change: memoryview,
        passed: list[memoryview] | None,
    ) -> int:  # fmt: skip
        cluster = self._cluster
        slot_of = scalars(self.slot_of)
        capacity, free_of, held = self._capacity, self._free_of, self._held
        current, cursor = self._current, self._cursor
        for i, free, unit, cpu in zip(range(len(units)), frees, units, on, strict=True):
            at = slot_of[unit]
            if free:
                if at < 0:
                    return i
                slot_of[unit] = -1
                slot[i] = at
                c = at // cluster
                slots = free_of[c]
                insort(slots, -at)
                empty = len(slots) == capacity[c]
                if empty:
                    change[i] = -1
                if not held[c] and (empty or len(slots) == 1):
                    self._list(c)
                continue
            if at >= 0:
                return i
            c = current[cpu]
            at = -1
            begin = cursor[cpu]
            if c >= 0:
                slots = free_of[c]
                j = bisect_right(slots, -begin)
                if j:
                    at = -slots.pop(j - 1)
                    cursor[cpu] = at + 1
            if at < 0:
                tail = self._leave(cpu)
                c = self._next(cpu)
                if c < 0:
                    return i
                if passed is not None:
                    passed[1][i] = tail
                begin = c * cluster or 1
                slots = free_of[c]
                at = -slots.pop()
                if current[cpu] == c:
                    cursor[cpu] = at + 1
            if len(slots) + 1 == capacity[c]:
                change[i] = 1
            slot_of[unit] = at
            slot[i] = at
            if passed is not None:
                passed[0][i] = at - begin
        return len(units)

    def _list(self, c: int) -> None:
        """Put a cluster that no CPU has to the tail of the list that it belongs to."""
        self._nonfull.pop(c, None)
        if len(self._free_of[c]) == self._capacity[c]:
            self._free.append(c)
        else:
            self._nonfull[c] = None

    def _next(self, cpu: int) -> int:
        """The CPU's next current cluster, or without making it current the one to steal from; -1 if full."""
        if self._nonfull and not (self._spread and self._free):
            c, _ = self._nonfull.popitem(last=False)
        elif self._free:
            c = self._free.popleft()
            if not self._free_of[c]:
                first = max(1, c * self._cluster)
                last = first + self._capacity[c] - 1
                self._free_of[c] = list(range(-last, -first + 1))
        else:
            return min((c for c in self._current if c >= 0 and self._free_of[c]), default=-1)
        self._free_of[c].sort()
        self._current[cpu] = c
        self._held[c] = True
        return c


def _measure(slices: list[_Slice], slot: Ints, before: Ints16, tail: Ints) -> None:
    """Fill in what the ops of ``slices`` passed over: each begins to look behind the slot of the one before."""
    first, length, begin, from_slot = np.array(slices).T
    tail[first] = from_slot
    at = np.repeat(first - np.cumsum(length) + length, length) + np.arange(length.sum())
    before[at] = slot[at] - slot[at - 1] - 1
    before[first] = slot[first] - begin
