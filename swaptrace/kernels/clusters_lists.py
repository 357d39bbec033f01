"""The clusters of a device in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.clusters`."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from itertools import islice

import numpy as np

from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown

__all__ = ["ListPhysical"]


_Found = tuple[list[int], int, int, int, int]


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
        turns = self._turns
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
                found = self._find(cpu, n)
                if found is None:
                    return taken, emptied, searches
                free, first, stop, begin, tail = found
                if len(free) == capacity[free[first] // cluster]:
                    taken.append(len(slots))
                slots += free[first:stop]
                list_of += [free] * (stop - first)
                del free[first:stop]
                searches.append((stop - first, begin, tail))
                n -= stop - first
        return taken, emptied, searches

    def _find(self, cpu: int, n: int) -> _Found | None:
        """Find up to n slots for a CPU, and move its cursor behind them.

        Returns:
            A list of free slots, and where in it the found ones begin and end; the slot at which the search in this
            cluster began, and that from which on those of the cluster before were passed over, -1 for none. None if
            there is no slot.
        """
        c, begin, tail = self._current[cpu], self._cursor[cpu], -1
        if c >= 0:
            free = self._free_of[c]
            if len(free) != self._left[cpu]:
                free.sort()
            first = bisect_left(free, begin)
            if first < len(free):
                stop = min(first + n, len(free))
                self._cursor[cpu] = free[stop - 1] + 1
                self._left[cpu] = len(free) - stop + first
                return free, first, stop, begin, tail
            self._current[cpu] = -1
            self._held[c] = False
            if free:
                self._list(c)
                tail = begin if begin < (c + 1) * self._cluster else -1
        c = self._next()
        if c < 0:
            return self._steal(tail)
        free = self._free_of[c]
        free.sort()
        stop = min(n, len(free))
        self._current[cpu], self._held[c] = c, True
        self._cursor[cpu], self._left[cpu] = free[stop - 1] + 1, len(free) - stop
        return free, 0, stop, c * self._cluster or 1, tail

    def _steal(self, tail: int) -> _Found | None:
        """Find one slot in a cluster that is current on some CPU: who has stolen looks again for the next one."""
        c = min((c for c in self._current if c >= 0 and self._free_of[c]), default=-1)
        if c < 0:
            return None
        free = self._free_of[c]
        free.sort()
        self._left[self._current.index(c)] = -1
        return free, 0, 1, c * self._cluster or 1, tail

    def _list(self, c: int) -> None:
        """Put a cluster that no CPU has to the tail of the list that it belongs to."""
        self._nonfull.pop(c, None)
        if len(self._free_of[c]) == self._capacity[c]:
            self._free.append(c)
        else:
            self._nonfull[c] = None

    def _next(self) -> int:
        """Take a cluster off the lists, -1 if both are empty."""
        if self._nonfull and not (self._spread and self._free):
            return self._nonfull.popitem(last=False)[0]
        if not self._free:
            return -1
        c = self._free.popleft()
        if not self._free_of[c]:
            first = max(1, c * self._cluster)
            self._free_of[c] = list(range(first, first + self._capacity[c]))
        return c


def _measure(allocations: Ints, searches: list[tuple[int, int, int]], slot: Ints, before: Ints16, tail: Ints) -> None:
    """Fill in what allocations passed over: each of a search begins to look behind the slot of the one before."""
    length, begin, from_slot = np.array(searches).T
    starts = np.cumsum(length) - length
    at = allocations[: int(length.sum())]
    first = at[starts]
    tail[first] = from_slot
    before[at[1:]] = slot[at[1:]] - slot[at[:-1]] - 1
    before[first] = slot[first] - begin
