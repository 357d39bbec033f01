"""The clusters of a virtual swap space in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.virtual`.

Swap works in batches: tens of allocations of one CPU follow one another, then tens of frees. Which allocation a free
takes back depends on the ops of its unit alone, so one sort per chunk tells it for all frees. What is left to do op by
op is little: a free appends its place to the list of its cluster, and a run of allocations takes lists, or their heads.
"""

from __future__ import annotations

from array import array
from itertools import islice

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown

__all__ = ["ListVirtual"]

CHUNK = 1 << 16  # ops that are turned into Python objects at a time; their sort is fastest inside the cache
FREES = -1  # what a run of frees has in the place of a CPU


class ListVirtual:
    """State: per cluster the list of its free places, in any order.

    A place is key * cluster + position: a cluster that begins an epoch gets a new list, and no number of its own.
    An empty list is a full cluster; each of the others is either cached or partial.
    """

    def __init__(self, cpus: int, cluster: int) -> None:
        self._cluster = cluster
        self.entry_of: Ints = np.full(0, -1, np.int64)
        self._free_of: dict[int, list[int]] = {}  # by key
        self._cached: dict[int, list[int]] = {}  # by CPU
        self._partial: dict[int, list[int]] = {}  # by key, the most recently added one last
        self._epochs = 0

    def run(self, frees: Bools, units: Ints32, on: Words16, key: Ints, position: Ints16, change: Ints8) -> int:
        """Run the ops and fill the last three arrays; return how many were done before a faulty one."""
        self.entry_of = grown(self.entry_of, int(units.max()) + 1, -1)
        n, start = len(units), 0
        while start < n:
            part = slice(start, min(start + CHUNK, n))
            sound, before, source = self._match(frees[part], units[part])
            if start + sound < part.stop:
                n = start + sound  # nothing from the faulty op on
                continue
            place = self._place(frees[part], on[part], change[part], before, source)
            key[part] = place // self._cluster
            position[part] = place % self._cluster
            # Of several entries of a unit the last one stays; a free leaves none.
            self.entry_of[units[part]] = np.where(frees[part], -1, place)
            start = part.stop
        return n

    def _match(self, frees: Bools, units: Ints32) -> tuple[int, Ints, Ints32]:
        """Find out what each free takes back.

        Returns:
            How many ops come before the first faulty one; the places from before that ops of the chunk free; and for
            each free the index of its place among these and, behind them, those of the chunk's allocations.
        """
        n = len(units)
        bits = np.uint64(n.bit_length() + 1)
        low = np.arange(0, 2 * n, 2, dtype=np.uint32)
        low |= frees
        packed = units.astype(np.uint64)
        packed <<= bits
        packed |= low
        packed.sort()
        low = packed.astype(np.uint32)
        low &= np.uint32((1 << int(bits)) - 1)
        packed >>= bits
        free = (low & np.uint32(1)).astype(np.bool_)
        at = (low >> np.uint32(1)).astype(np.int64)
        first = np.ones(n, np.bool_)
        np.not_equal(packed[1:], packed[:-1], out=first[1:])
        firsts = np.flatnonzero(first)
        entry = self.entry_of[packed.view(np.int64)[firsts]]
        holds = np.empty(n, np.bool_)
        np.logical_not(free[:-1], out=holds[1:])
        holds[firsts] = entry >= 0
        faulty = at[holds != free]
        freed_first = np.flatnonzero(free[firsts])
        before = entry[freed_first]
        rank = np.cumsum(~frees, dtype=np.int32)
        rank += np.int32(len(before) - 1)
        source = np.empty(n, np.int32)
        source[at[1:]] = rank[at[:-1]]
        source[at[firsts[freed_first]]] = np.arange(len(before), dtype=np.int32)
        return int(faulty.min(initial=n)), before, source[frees]

    def _place(self, frees: Bools, on: Words16, change: Ints8, before: Ints, source: Ints32) -> Ints:
        """Return the places that matched ops allocate and free."""
        lane = np.where(frees, np.int32(FREES), on)
        starts = np.append(0, np.flatnonzero(lane[1:] != lane[:-1]) + 1)
        lengths = np.diff(starts, append=len(lane))
        place_of = before.tolist()
        list_of = [self._free_of[key] for key in (before // self._cluster).tolist()]
        made, emptied = self._walk(lengths.tolist(), lane[starts].tolist(), source.tolist(), place_of, list_of)
        place = np.empty(len(frees), np.int64)
        places = np.frombuffer(array("q", place_of), np.int64)
        allocations, freed = np.flatnonzero(~frees), np.flatnonzero(frees)
        place[allocations] = places[len(before) :]
        place[freed] = places.take(source)
        change[allocations[np.array(made, np.int64) - len(before)]] = 1
        if emptied:
            freed_at = np.empty(len(places), np.int64)
            freed_at[source] = freed
            change[freed_at[emptied]] = -1
        return place

    def _walk(
        self, lengths: list[int], lanes: list[int], sources: list[int], place_of: list[int], list_of: list[list[int]]
    ) -> tuple[list[int], list[int]]:
        """Do runs of ops in order and append to ``place_of`` what they allocate.

        Returns:
            Indices in ``place_of`` of allocations that make a cluster, and of places whose free empties one.
        """
        cluster = self._cluster
        free_of, cached, partial = self._free_of, self._cached, self._partial
        made: list[int] = []
        emptied: list[int] = []
        source = iter(sources)
        for length, cpu in zip(lengths, lanes, strict=True):
            n = length
            if cpu == FREES:
                for j in islice(source, n):
                    free = list_of[j]
                    if free:
                        free.append(place_of[j])
                        if len(free) == cluster and partial.pop(place_of[j] // cluster, None) is not None:
                            del free_of[place_of[j] // cluster]
                            emptied.append(j)
                    else:
                        place = place_of[j]
                        free.append(place)
                        partial[place // cluster] = free
                continue
            here = cached.pop(cpu, None)
            if here is not None and len(here) == cluster:
                del free_of[here[0] // cluster]
                here = self._begun()
            while n:
                if here is None:
                    if partial:
                        _, here = partial.popitem()
                    else:
                        here = self._begun()
                        made.append(len(place_of))
                here.sort()
                if n < len(here):
                    place_of += here[:n]
                    list_of += [here] * n
                    del here[:n]
                    cached[cpu] = here
                    break
                place_of += here
                list_of += [here] * len(here)
                n -= len(here)
                here.clear()
                here = None
        return made, emptied

    def _begun(self) -> list[int]:
        """Begin an epoch of an empty cluster: return its places, all free."""
        first = self._epochs * self._cluster
        free = self._free_of[self._epochs] = list(range(first, first + self._cluster))
        self._epochs += 1
        return free
