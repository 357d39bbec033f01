"""The clusters of a virtual swap space in runs of ops; the rule is at the head of :mod:`swaptrace.kernels.virtual`."""

from __future__ import annotations

from itertools import islice

import numpy as np

from swaptrace.kernels.runs import FREES, Chunk, chunks
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown

__all__ = ["ListVirtual"]


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
        done, place = 0, np.empty(len(units), np.int64)
        for chunk in chunks(frees, units, on, self.entry_of):
            places = chunk.before.tolist()
            made, emptied = self._walk(chunk, places)
            here = place[chunk.part]
            done += chunk.finish(places, made, emptied, here, change[chunk.part], self.entry_of)
            key[chunk.part] = here // self._cluster
            position[chunk.part] = here % self._cluster
        return done

    def _walk(self, chunk: Chunk, places: list[int]) -> tuple[list[int], list[int]]:
        """Do the runs of a chunk in order and append to ``places`` what they allocate.

        Returns:
            Indices in ``places`` of allocations that make a cluster, and of places whose free empties one.
        """
        cluster = self._cluster
        free_of, cached, partial = self._free_of, self._cached, self._partial
        list_of = [free_of[key] for key in (chunk.before // cluster).tolist()]
        made: list[int] = []
        emptied: list[int] = []
        source = iter(chunk.source.tolist())
        for length, cpu in chunk.runs():
            if cpu == FREES:
                for j in islice(source, length):
                    free = list_of[j]
                    if free:
                        free.append(places[j])
                        if len(free) == cluster and partial.pop(places[j] // cluster, None) is not None:
                            del free_of[places[j] // cluster]
                            emptied.append(j)
                    else:
                        place = places[j]
                        free.append(place)
                        partial[place // cluster] = free
                continue
            n, here = length, cached.pop(cpu, None)
            if here is not None and len(here) == cluster:
                del free_of[here[0] // cluster]
                here = self._begun()
            while n:
                if here is None:
                    if partial:
                        _, here = partial.popitem()
                    else:
                        here = self._begun()
                        made.append(len(places))
                here.sort()
                if n < len(here):
                    places += here[:n]
                    list_of += [here] * n
                    del here[:n]
                    cached[cpu] = here
                    break
                places += here
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
