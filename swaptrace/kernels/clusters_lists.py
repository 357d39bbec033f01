"""The clusters of a device with Python's own lists; the rule is at the head of
:mod:`swaptrace.kernels.clusters`.

Without a compiler this is several times as fast as the interpreted loop: one call into C replaces each search,
and a long run of allocations is served with slices.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from swaptrace.kernels.areas import Ranks, ranked
from swaptrace.kernels.runs import alternating_runs, is_sound
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, grown, scalars

__all__ = ["ListPhysical"]


class ListPhysical:
    """State: per cluster the list of its free slots, negated so that the lowest is at the end.

    The lists of current clusters are sorted; the others are when they become current.
    """

    def __init__(self, slots: int, cpus: int, cluster: int, spread: bool, ranks: Ranks | None = None) -> None:
        ranks = ranks or ranked(slots, cluster, ())
        clusters = len(ranks.device)
        self._cluster = cluster
        self._spread = spread
        self.slot_of: Ints = np.full(0, -1, np.int64)
        self._capacity = ranks.capacity.tolist()
        self._usable = ranks.usable
        # Made when the cluster is first taken.
        self._free_of: list[list[int]] = [[]] * clusters
        self._device = ranks.device.tolist()
        self._group = ranks.group.tolist()
        # By group of one priority: its devices, that whose turn it is first.
        edges = ranks.first.tolist()
        self._asked = [deque(ranks.asked[a:b].tolist()) for a, b in pairwise(edges)]
        # By device.
        self._free = [deque(np.flatnonzero(ranks.device == d).tolist()) for d in range(len(ranks.asked))]
        self._nonfull: list[OrderedDict[int, None]] = [OrderedDict() for _ in self._free]
        self._held = [False] * clusters
        self._current = [-1] * cpus
        self._cursor = [0] * cpus

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
        device = self._device[c]
        self._nonfull[device].pop(c, None)
        if len(self._free_of[c]) == self._capacity[c]:
            self._free[device].append(c)
        else:
            self._nonfull[device][c] = None

    def _visited(self) -> Iterator[int]:
        """Yield the devices in the order in which they are asked; each passes its turn on."""
        for group in self._asked:
            for _ in range(len(group)):
                group.rotate(-1)
                yield group[-1]

    def _next(self, cpu: int) -> int:
        """The CPU's next current cluster, or without making it current the one to steal from; -1 if full."""
        for device in self._visited():
            free, nonfull = self._free[device], self._nonfull[device]
            if nonfull and not (self._spread and free):
                c, _ = nonfull.popitem(last=False)
                break
            if free:
                c = free.popleft()
                if not self._free_of[c]:
                    slots = np.flatnonzero(self._usable[c * self._cluster : (c + 1) * self._cluster])
                    self._free_of[c] = (-slots[::-1] - c * self._cluster).tolist()
                break
        else:
            some = [c for c in self._current if c >= 0 and self._free_of[c]]
            return min(some, key=lambda c: (self._group[self._device[c]], c), default=-1)
        self._free_of[c].sort()
        self._current[cpu] = c
        self._held[c] = True
        return c
