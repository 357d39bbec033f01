"""The clusters of a device in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.clusters`."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from itertools import islice

import numpy as np

from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown

__all__ = ["ListPhysical"]


class ListPhysical:
    """State: per cluster the list of its free slots, made when the cluster is first taken.

    The list of a current cluster is sorted when its CPU allocates; frees append to lists as to any other.
    """

    def __init__(self, slots: int, cpus: int, cluster: int, spread: bool) -> None:
        clusters = -(-slots // cluster)
        self._cluster = cluster
        self._spread = spread
        self.slot_of: Ints = np.full(0, -1, np.int64)
        self._capacity = [cluster] * clusters
        self._capacity[-1] = slots - (clusters - 1) * cluster
        self._capacity[0] -= 1  # the swap header
        self._turns = {1, *self._capacity}  # lengths of a list at which its cluster may go to another
        self._free_of: list[list[int]] = [[]] * clusters
        self._free = deque(range(clusters))
        self._nonfull: OrderedDict[int, None] = OrderedDict()
        self._held = [False] * clusters
        self._current = [-1] * cpus
        self._cursor = [0] * cpus
        self._seen: set[int] = set()  # CPUs that have or had a cluster: few of those that there may be
        self._left = [-1] * cpus  # length of the current cluster's list while it is sorted: frees append to it

    def run(
        self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, passed: tuple[Ints16, Ints] | None
    ) -> int:
        """Run the ops and fill the last arrays; return how many were done before an impossible one."""
        self.slot_of = grown(self.slot_of, int(units.max()) + 1, -1)
        done = 0
        for chunk in chunks(frees, units, on, self.slot_of):
            slots = chunk.before.tolist()
            taken, emptied, searches = self._walk(chunk, slots)
            here = slot[chunk.part]
            done += chunk.finish(slots, taken, emptied, here, change[chunk.part], self.slot_of)
            if passed is not None and searches:
                before, tail = passed
                _measure(np.flatnonzero(~chunk.frees), searches, here, before[chunk.part], tail[chunk.part])
            if done < chunk.part.stop:
                break
        return done

    def _walk(self, chunk: Chunk, slots: list[int]) -> tuple[list[int], list[int], list[tuple[int, int, int]]]:
        """Do the runs of a chunk in order and append to ``slots`` what they allocate, as long as there is a slot.

        Returns:
            Indices in ``slots`` of the first slot taken of a cluster, and of those whose free empties theirs; and for
            each search how many slots it found, where it began, and the tail that was passed over before.
        """
        cluster, capacity, free_of, held = self._cluster, self._capacity, self._free_of, self._held
        turns, current, cursor, left = self._turns, self._current, self._cursor, self._left
        list_of = [free_of[c] for c in (chunk.before // cluster).tolist()]
        taken: list[int] = []
        emptied: list[int] = []
        searches: list[tuple[int, int, int]] = []
        source = iter(chunk.source.tolist())
        for length, cpu in chunk.runs():
            if cpu == FREES:
                for j in islice(source, length):
                    free = list_of[j]
                    free.append(slots[j])
                    if len(free) in turns:
                        c = slots[j] // cluster
                        empty = len(free) == capacity[c]
                        if empty:
                            emptied.append(j)
                        if not held[c] and (empty or len(free) == 1):
                            self._list(c)
                continue
            n = length
            while n:
                c, begin, tail, stolen = current[cpu], cursor[cpu], -1, False
                free = free_of[c]
                if len(free) != left[cpu]:
                    free.sort()
                first = bisect_left(free, begin) if c >= 0 else len(free)
                if first == len(free):
                    tail = self._leave(cpu)
                    c, stolen = self._next(cpu)
                    if c < 0:
                        return taken, emptied, searches
                    free, first, begin = free_of[c], 0, c * cluster or 1
                if len(free) in turns and len(free) == capacity[c]:
                    taken.append(len(slots))
                stop = first + 1 if stolen or n == 1 else min(first + n, len(free))
                if stop == first + 1:
                    slots.append(free.pop(first))
                    list_of.append(free)
                else:
                    slots += free[first:stop]
                    list_of += [free] * (stop - first)
                    del free[first:stop]
                if not stolen:  # who has stolen looks again for the next one
                    cursor[cpu], left[cpu] = slots[-1] + 1, len(free)
                searches.append((stop - first, begin, tail))
                n -= stop - first
        return taken, emptied, searches

    def _leave(self, cpu: int) -> int:
        """Take the current cluster, if any, away from the CPU; return from where on its slots were passed over."""
        c, begin = self._current[cpu], self._cursor[cpu]
        if c < 0:
            return -1
        self._current[cpu], self._held[c], self._left[cpu] = -1, False, -1
        if not self._free_of[c]:
            return -1
        self._list(c)
        return begin if begin < (c + 1) * self._cluster else -1

    def _list(self, c: int) -> None:
        """Put a cluster that no CPU has to the tail of the list that it belongs to."""
        self._nonfull.pop(c, None)
        if len(self._free_of[c]) == self._capacity[c]:
            self._free.append(c)
        else:
            self._nonfull[c] = None

    def _next(self, cpu: int) -> tuple[int, bool]:
        """Return the CPU's next current cluster, its list sorted, or one to steal a slot from (True); -1 if full."""
        if self._nonfull and not (self._spread and self._free):
            c, _ = self._nonfull.popitem(last=False)
        elif self._free:
            c = self._free.popleft()
            if not self._free_of[c]:
                first = max(1, c * self._cluster)
                self._free_of[c] = list(range(first, first + self._capacity[c]))
        else:
            held = (self._current[each] for each in self._seen)
            c = min((c for c in held if c >= 0 and self._free_of[c]), default=-1)
            if c >= 0:
                self._free_of[c].sort()
                self._left[self._current.index(c)] = -1
            return c, True
        self._free_of[c].sort()
        self._seen.add(cpu)
        self._current[cpu], self._held[c] = c, True
        return c, False


def _measure(allocations: Ints, searches: list[tuple[int, int, int]], slot: Ints, before: Ints16, tail: Ints) -> None:
    """Fill in what allocations passed over: each of a search begins to look behind the slot of the one before."""
    length, begin, from_slot = np.array(searches).T
    starts = np.cumsum(length) - length
    at = allocations[: int(length.sum())]
    first = at[starts]
    tail[first] = from_slot
    before[at[1:]] = slot[at[1:]] - slot[at[:-1]] - 1
    before[first] = slot[first] - begin
