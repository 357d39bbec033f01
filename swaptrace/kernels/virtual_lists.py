"""The clusters of a virtual swap space with Python's own lists; the rule is at the head of
:mod:`swaptrace.kernels.virtual`.

Without a compiler this is faster than the interpreted loop: one call into C replaces each search.
"""

from __future__ import annotations

from bisect import insort

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16

__all__ = ["ListVirtual"]

CHUNK = 1 << 16  # ops that are turned into Python objects at a time


class ListVirtual:
    """State: per cluster the list of its free places, negated, so that the lowest of a sorted list is at its end.

    A place is cluster * size + position. Only the lists of cached clusters are kept sorted.
    """

    def __init__(self, cpus: int, cluster: int) -> None:
        self._cluster = cluster
        self.entry_of: list[int] = []
        self._cached = [-1] * cpus
        self._partial: dict[int, None] = {}
        self._free_of: list[list[int]] = []
        self._key_of: list[int] = []
        self._held: list[bool] = []
        self._vacant: list[int] = []
        self._epoch = 0

    def run(self, frees: Bools, units: Ints32, on: Words16, key: Ints, position: Ints16, change: Ints8) -> int:
        """Run the ops and fill the last three arrays; return how many were done before a faulty one."""
        self.entry_of.extend([-1] * (int(units.max()) + 1 - len(self.entry_of)))
        for a in range(0, len(units), CHUNK):
            part = slice(a, a + CHUNK)
            coded = np.where(frees[part], ~units[part], units[part]).tolist()
            places, keys = self._run(coded, on[part].tolist(), change[part])
            done = a + len(places)
            key[a:done] = keys
            position[a:done] = np.array(places, np.int64) % self._cluster
            if len(places) < len(coded):
                return done
        return len(units)

    def _run(self, coded: list[int], on: list[int], change: Ints8) -> tuple[list[int], list[int]]:
        """Allocate for units, free for ~units; return the places and keys of the ops before a faulty one."""
        cluster, entry_of = self._cluster, self.entry_of
        cached, partial = self._cached, self._partial
        free_of, key_of, held = self._free_of, self._key_of, self._held
        places: list[int] = []
        keys: list[int] = []
        for unit, cpu in zip(coded, on, strict=True):
            if unit < 0:
                place = entry_of[unit := ~unit]
                if place < 0:
                    break
                entry_of[unit] = -1
                c = place // cluster
                free = free_of[c]
                if held[c]:
                    insort(free, -place)
                else:
                    free.append(-place)
                    if len(free) == 1:
                        partial[c] = None
                    elif len(free) == cluster:
                        del partial[c]
                        self._vacant.append(c)
                        change[len(places)] = -1
            else:
                if entry_of[unit] >= 0:
                    break
                c = cached[cpu]
                if c < 0:
                    c, change[len(places)] = self._next(cpu)
                free = free_of[c]
                if len(free) == cluster:
                    key_of[c] = self._epoch
                    self._epoch += 1
                entry_of[unit] = place = -free.pop()
                if not free:
                    cached[cpu] = -1
                    held[c] = False
            places.append(place)
            keys.append(key_of[c])
        return places, keys

    def _next(self, cpu: int) -> tuple[int, int]:
        """Cache a cluster on a CPU that has none; return it, and 1 if it is a new one, else 0."""
        new = not self._partial
        if not new:
            c, _ = self._partial.popitem()
        else:
            if not self._vacant:
                c = len(self._free_of)
                self._vacant.append(c)
                self._free_of.append([-place for place in range(c * self._cluster, (c + 1) * self._cluster)])
                self._key_of.append(-1)
                self._held.append(False)
            c = self._vacant.pop()
        self._free_of[c].sort()
        self._cached[cpu] = c
        self._held[c] = True
        return c, int(new)
