"""Event-at-a-time references of the cluster allocators, written from the rules in their modules."""

from __future__ import annotations

from swaptrace.model.errors import SpaceError


class SlowPhysicalClusters:
    """`swaptrace.kernels.clusters`: lists of cluster numbers and sets of free slots."""

    def __init__(self, slots: int, cpus: int, cluster: int, spread: bool = False) -> None:
        self.spread = spread
        self.cluster = cluster
        self.free_slots = [
            {slot for slot in range(first, min(first + cluster, slots)) if slot != 0}
            for first in range(0, slots, cluster)
        ]
        self.capacity = [len(free) for free in self.free_slots]
        self.free = list(range(len(self.free_slots)))
        self.nonfull: list[int] = []
        self.current: dict[int, int] = {}
        self.cursor: dict[int, int] = {}
        self.slot_of: dict[int, int] = {}
        self.passed: list[list[int]] = []  # by the latest op: runs of slots in use that it passed over, in order

    def used_clusters(self) -> int:
        pairs = zip(self.free_slots, self.capacity, strict=True)
        return sum(len(free) < capacity for free, capacity in pairs)

    def step(self, free: bool, unit: int, cpu: int) -> tuple[int, int]:
        before = self.used_clusters()
        self.passed = []
        slot = self._release(unit) if free else self._take(unit, cpu)
        return slot, self.used_clusters() - before

    def _look(self, c: int, begin: int) -> int | None:
        """Look at one slot after the other; return the first free one."""
        end = min((c + 1) * self.cluster, c * self.cluster + self.capacity[c] + (c == 0))
        self.passed.append([])
        for slot in range(begin, end):
            if slot in self.free_slots[c]:
                return slot
            if slot != 0:
                self.passed[-1].append(slot)
        return None

    def _release(self, unit: int) -> int:
        slot = self.slot_of.pop(unit)
        c = slot // self.cluster
        was_full = not self.free_slots[c]
        self.free_slots[c].add(slot)
        if c not in self.current.values():
            if len(self.free_slots[c]) == self.capacity[c]:
                if not was_full:
                    self.nonfull.remove(c)
                self.free.append(c)
            elif was_full:
                self.nonfull.append(c)
        return slot

    def _take(self, unit: int, cpu: int) -> int:
        slot = self._choose(cpu)
        self.free_slots[slot // self.cluster].remove(slot)
        self.slot_of[unit] = slot
        return slot

    def _choose(self, cpu: int) -> int:
        if cpu in self.current:
            c = self.current[cpu]
            if self.free_slots[c]:
                found = self._look(c, self.cursor[cpu])
                if found is not None:
                    self.cursor[cpu] = found + 1
                    return found
            del self.current[cpu]
            if len(self.free_slots[c]) == self.capacity[c]:
                self.free.append(c)
            elif self.free_slots[c]:
                self.nonfull.append(c)
        if self.free or self.nonfull:
            first, second = (self.free, self.nonfull) if self.spread else (self.nonfull, self.free)
            c = first.pop(0) if first else second.pop(0)
            self.current[cpu] = c
            slot = self._look(c, c * self.cluster)
            assert slot is not None
            self.cursor[cpu] = slot + 1
            return slot
        available = [c for c in set(self.current.values()) if self.free_slots[c]]
        if not available:
            raise SpaceError("full")
        c = min(available)
        stolen = self._look(c, c * self.cluster)
        assert stolen is not None
        return stolen


class SlowVirtualClusters:
    """`swaptrace.kernels.virtual`: a dict of live clusters, each a dict of position -> unit."""

    def __init__(self, cluster: int) -> None:
        self.cluster = cluster
        self.clusters: dict[int, set[int]] = {}
        self.keys: dict[int, int] = {}
        self.created = 0
        self.epochs = 0
        self.partial: list[int] = []  # the last is the most recently added
        self.cached: dict[int, int] = {}
        self.place: dict[int, tuple[int, int]] = {}

    def step(self, free: bool, unit: int, cpu: int) -> tuple[int, int, int]:
        before = len(self.clusters)
        key, position = self._release(unit) if free else self._take(unit, cpu)
        return key, position, len(self.clusters) - before

    def _release(self, unit: int) -> tuple[int, int]:
        c, position = self.place.pop(unit)
        key = self.keys[c]
        was_full = len(self.clusters[c]) == self.cluster
        self.clusters[c].remove(position)
        if c not in self.cached.values():
            if was_full:
                self.partial.append(c)
            if not self.clusters[c]:
                self.partial.remove(c)
                del self.clusters[c]
        return key, position

    def _take(self, unit: int, cpu: int) -> tuple[int, int]:
        if cpu in self.cached:
            c = self.cached[cpu]
        elif self.partial:
            c = self.partial.pop()
        else:
            c = self.created
            self.created += 1
            self.clusters[c] = set()
        if not self.clusters[c]:
            self.keys[c] = self.epochs
            self.epochs += 1
        position = min(set(range(self.cluster)) - self.clusters[c])
        self.clusters[c].add(position)
        self.cached[cpu] = c
        if len(self.clusters[c]) == self.cluster:
            del self.cached[cpu]
        self.place[unit] = (c, position)
        return self.keys[c], position
