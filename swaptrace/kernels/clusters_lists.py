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
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, grown, scalars

__all__ = ["ListPhysical"]


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
        self._seen: set[int] = set()  # CPUs that have or had a cluster: few of those that there may be

    def run(self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8) -> int:
        """Run the ops and fill the last two arrays; return how many were done before an impossible one."""
        self.slot_of = grown(self.slot_of, int(units.max()) + 1, -1)
        for part, is_long in alternating_runs(frees, on):
            if is_long and is_sound(units[part], self.slot_of[units[part]] >= 0):
                done = self._take(units[part], int(on[part.start]), slot[part], change[part])
            elif frees[part].all() and is_sound(units[part], self.slot_of[units[part]] < 0):
                done = self._give(units[part], slot[part], change[part])
            else:
                done = self._run(
                    frees[part].tolist(), units[part].tolist(), on[part].tolist(), scalars(slot[part]),
                    scalars(change[part]),
                )  # fmt: skip
            if done < part.stop - part.start:
                return int(part.start) + done
        return len(units)

    def _take(self, units: Ints32, cpu: int, slot: Ints, change: Ints8) -> int:
        """Allocate for units on one CPU; return for how many there was a slot."""
        done = 0
        while done < len(units):
            c = self._current[cpu]
            end = bisect_right(self._free_of[c], -self._cursor[cpu]) if c >= 0 else 0
            start = max(0, end - len(units) + done)
            if end == 0:
                self._leave(cpu)
                c = self._next(cpu)
                if c < 0:
                    break
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

    def _leave(self, cpu: int) -> None:
        """Take the current cluster, if any, away from the CPU."""
        c = self._current[cpu]
        if c >= 0:
            self._current[cpu] = -1
            self._held[c] = False
            if self._free_of[c]:
                self._list(c)

    def _run(self, frees: list[bool], units: list[int], on: list[int], slot: memoryview, change: memoryview) -> int:
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
            if c >= 0:
                slots = free_of[c]
                j = bisect_right(slots, -cursor[cpu])
                if j:
                    at = -slots.pop(j - 1)
                    cursor[cpu] = at + 1
            if at < 0:
                self._leave(cpu)
                c = self._next(cpu)
                if c < 0:
                    return i
                slots = free_of[c]
                at = -slots.pop()
                if current[cpu] == c:
                    cursor[cpu] = at + 1
            if len(slots) + 1 == capacity[c]:
                change[i] = 1
            slot_of[unit] = at
            slot[i] = at
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
            held = (self._current[each] for each in self._seen)
            return min((c for c in held if c >= 0 and self._free_of[c]), default=-1)
        self._free_of[c].sort()
        self._seen.add(cpu)
        self._current[cpu] = c
        self._held[c] = True
        return c
