"""The virtual clusters with Python's own lists; the rule is at the head of :mod:`swaptrace.kernels.virtual`.

Without a compiler this is several times as fast as the interpreted loop: one call into C replaces each search,
and a long run of allocations is served with slices.
"""

from __future__ import annotations

from bisect import insort

import numpy as np

from swaptrace.kernels.runs import alternating_runs, is_sound
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints16, Ints32, Words16, grown, scalars

__all__ = ["ListVirtual"]


class ListVirtual:
    """State: per cluster the list of its free positions, negated so that the lowest is at the end.

    The lists of cached clusters are sorted; the others are when they become cached.

    Memory is bounded by the most clusters that were ever allocated at once, not by the events.
    """

    def __init__(self, cpus: int, cluster: int) -> None:
        self._cluster = cluster
        self.entry_of: Ints = np.full(0, -1, np.int64)
        self._cached = [-1] * cpus
        self._partial: dict[int, None] = {}
        self._free_of: list[list[int]] = []
        self._key_of: list[int] = []
        self._held: list[bool] = []
        self._vacant: list[int] = []
        self._epoch = 0

    def run(self, frees: Bools, units: Ints32, on: Words16, key: Ints, position: Ints16, change: Ints8) -> int:
        """Run the ops and fill the last three arrays; return how many were done before a faulty one."""
        self.entry_of = grown(self.entry_of, int(units.max()) + 1, -1)
        for part, is_long in alternating_runs(frees, on):
            if is_long and is_sound(units[part], self.entry_of[units[part]] >= 0):
                self._take(units[part], int(on[part.start]), key[part], position[part], change[part])
                continue
            if frees[part].all() and is_sound(units[part], self.entry_of[units[part]] < 0):
                self._give(units[part], key[part], position[part], change[part])
                continue
            done = self._run(
                frees[part].tolist(), units[part].tolist(), on[part].tolist(), scalars(key[part]),
                scalars(position[part]), scalars(change[part]),
            )  # fmt: skip
            if done < part.stop - part.start:
                return int(part.start) + done
        return len(units)

    def _take(self, units: Ints32, cpu: int, key: Ints, position: Ints16, change: Ints8) -> None:
        """Allocate for all units on one CPU."""
        free_of, key_of = self._free_of, self._key_of
        positions: list[int] = []
        clusters: list[int] = []
        counts: list[int] = []
        keys: list[int] = []
        left = len(units)
        while left:
            c = self._cached[cpu]
            if c < 0:
                c, change[-left] = self._next(cpu)
            free = free_of[c]
            if len(free) == self._cluster:
                key_of[c] = self._epoch
                self._epoch += 1
            taken = free[: -left - 1 : -1]
            del free[-left:]
            if not free:
                self._cached[cpu] = -1
                self._held[c] = False
            positions += taken
            clusters.append(c)
            counts.append(len(taken))
            keys.append(key_of[c])
            left -= len(taken)
        np.negative(positions, out=position, casting="unsafe")
        key[:] = np.repeat(keys, counts)
        self.entry_of[units] = np.repeat(clusters, counts) * self._cluster + position

    def _give(self, units: Ints32, key: Ints, position: Ints16, change: Ints8) -> None:
        """Free the entries of units that have one."""
        at = self.entry_of[units]
        self.entry_of[units] = -1
        cluster = at // self._cluster
        at -= cluster * self._cluster
        position[:] = at
        clusters = cluster.tolist()
        key_of, free_of, held, partial = self._key_of, self._free_of, self._held, self._partial
        key[:] = [key_of[c] for c in clusters]
        for i, (c, place) in enumerate(zip(clusters, np.negative(at).tolist(), strict=True)):
            positions = free_of[c]
            if held[c]:
                insort(positions, place)
                continue
            positions.append(place)
            if len(positions) == 1:
                partial[c] = None
            elif len(positions) == self._cluster:
                del partial[c]
                self._vacant.append(c)
                change[i] = -1

    def _next(self, cpu: int) -> tuple[int, int]:
        """Cache a cluster on a CPU that has none; return it, and 1 if it is a new one, else 0."""
        new = not self._partial
        if not new:
            c, _ = self._partial.popitem()
        else:
            if not self._vacant:
                self._vacant.append(len(self._free_of))
                self._free_of.append(list(range(1 - self._cluster, 1)))
                self._key_of.append(-1)
                self._held.append(False)
            c = self._vacant.pop()
        self._free_of[c].sort()
        self._cached[cpu] = c
        self._held[c] = True
        return c, int(new)

    def _run(
        self, frees: list[bool], units: list[int], on: list[int], key: memoryview, position: memoryview,
        change: memoryview,
    ) -> int:  # fmt: skip
        cluster = self._cluster
        entry_of = scalars(self.entry_of)
        cached, partial, vacant = self._cached, self._partial, self._vacant
        free_of, key_of, held = self._free_of, self._key_of, self._held
        for i, free, unit, cpu in zip(range(len(units)), frees, units, on, strict=True):
            at = entry_of[unit]
            if free:
                if at < 0:
                    return i
                entry_of[unit] = -1
                c = at // cluster
                o = at - c * cluster
                key[i] = key_of[c]
                position[i] = o
                positions = free_of[c]
                insort(positions, -o)
                if held[c]:
                    continue
                if len(positions) == 1:
                    partial[c] = None
                elif len(positions) == cluster:
                    del partial[c]
                    vacant.append(c)
                    change[i] = -1
                continue
            if at >= 0:
                return i
            c = cached[cpu]
            if c < 0:
                c, change[i] = self._next(cpu)
            positions = free_of[c]
            if len(positions) == cluster:
                key_of[c] = self._epoch
                self._epoch += 1
            o = -positions.pop()
            if not positions:
                cached[cpu] = -1
                held[c] = False
            entry_of[unit] = c * cluster + o
            key[i] = key_of[c]
            position[i] = o
        return len(units)
