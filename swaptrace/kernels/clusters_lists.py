"""The clusters of a device in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.clusters`."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from itertools import islice

import numpy as np

from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, grown

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

    def run(self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8) -> int:
        """Run the ops and fill the last two arrays; return how many were done before an impossible one."""
        self.slot_of = grown(self.slot_of, int(units.max()) + 1, -1)
        done = 0
        for chunk in chunks(frees, units, on, self.slot_of):
            slots = chunk.before.tolist()
            taken, emptied = self._walk(chunk, slots)
            done += chunk.finish(slots, taken, emptied, slot[chunk.part], change[chunk.part], self.slot_of)
            if done < chunk.part.stop:
                break
        return done

    def _walk(self, chunk: Chunk, slots: list[int]) -> tuple[list[int], list[int]]:
        """Do the runs of a chunk in order and append to ``slots`` what they allocate, as long as there is a slot.

        Returns:
            Indices in ``slots`` of the first slot taken of a cluster, and of those whose free empties theirs.
        """
        cluster, capacity, free_of, held = self._cluster, self._capacity, self._free_of, self._held
        turns = self._turns
        list_of = [free_of[c] for c in (chunk.before // cluster).tolist()]
        taken: list[int] = []
        emptied: list[int] = []
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
                free, first, stop = self._find(cpu, n)
                if stop == 0:
                    return taken, emptied
                if len(free) == capacity[free[first] // cluster]:
                    taken.append(len(slots))
                slots += free[first:stop]
                list_of += [free] * (stop - first)
                del free[first:stop]
                n -= stop - first
        return taken, emptied

    def _find(self, cpu: int, n: int) -> tuple[list[int], int, int]:
        """Find up to n slots for a CPU, and move its cursor behind them.

        Returns:
            A list of free slots, and where in it the slots to take begin and end; an end of 0 if there is none.
        """
        c = self._current[cpu]
        if c >= 0:
            free = self._free_of[c]
            free.sort()
            first = bisect_left(free, self._cursor[cpu])
            if first < len(free):
                stop = min(first + n, len(free))
                self._cursor[cpu] = free[stop - 1] + 1
                return free, first, stop
            self._current[cpu] = -1
            self._held[c] = False
            if free:
                self._list(c)
        c = self._next()
        if c < 0:  # what is stolen is one slot: the next allocation looks again
            c = min((c for c in self._current if c >= 0 and self._free_of[c]), default=-1)
            if c < 0:
                return [], 0, 0
            self._free_of[c].sort()
            return self._free_of[c], 0, 1
        free = self._free_of[c]
        free.sort()
        self._current[cpu] = c
        self._held[c] = True
        stop = min(n, len(free))
        self._cursor[cpu] = free[stop - 1] + 1
        return free, 0, stop

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
