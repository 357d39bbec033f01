"""Event-at-a-time references of the cluster allocators, written from the rules in their modules."""

from __future__ import annotations

from collections.abc import Sequence

from swaptrace.model.errors import SpaceError


class SlowPhysicalClusters:
    """`swaptrace.kernels.clusters`: lists of cluster numbers and sets of free slots."""

    def __init__(
        self, slots: int, cpus: int, cluster: int, spread: bool = False, areas: Sequence[tuple[int, int, int]] = ()
    ) -> None:
        self.spread = spread
        self.cluster = cluster
        areas = areas or [(0, slots, 0)]
        self.free_slots: list[set[int]] = [set() for _ in range(0, slots, cluster)]
        self.owner: list[int] = [max(d for d, (first, _, _) in enumerate(areas) if first <= c * cluster)
                                 for c in range(len(self.free_slots))]  # fmt: skip
        for first, size, _ in areas:
            for slot in range(first + 1, first + size):
                self.free_slots[slot // cluster].add(slot)
        self.capacity = [len(free) for free in self.free_slots]
        self.priority = [priority for *_, priority in areas]
        self.line = sorted(range(len(areas)), key=lambda d: -self.priority[d])
        self.free_of = [[c for c, d in enumerate(self.owner) if d == device] for device in range(len(areas))]
        self.nonfull_of: list[list[int]] = [[] for _ in areas]
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
        begins_device = c == 0 or self.owner[c] != self.owner[c - 1]
        end = min((c + 1) * self.cluster, c * self.cluster + self.capacity[c] + begins_device)
        self.passed.append([])
        for slot in range(begin, end):
            if slot in self.free_slots[c]:
                return slot
            if not (begins_device and slot == c * self.cluster):  # the header
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
                    self.nonfull_of[self.owner[c]].remove(c)
                self.free_of[self.owner[c]].append(c)
            elif was_full:
                self.nonfull_of[self.owner[c]].append(c)
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
                self.free_of[self.owner[c]].append(c)
            elif self.free_slots[c]:
                self.nonfull_of[self.owner[c]].append(c)
        for device in list(self.line):
            self.line.remove(device)
            behind = [i for i, other in enumerate(self.line) if self.priority[other] >= self.priority[device]]
            self.line.insert(behind[-1] + 1 if behind else 0, device)
            free, nonfull = self.free_of[device], self.nonfull_of[device]
            if free or nonfull:
                first, second = (free, nonfull) if self.spread else (nonfull, free)
                c = first.pop(0) if first else second.pop(0)
                self.current[cpu] = c
                slot = self._look(c, c * self.cluster)
                assert slot is not None
                self.cursor[cpu] = slot + 1
                return slot
        available = [c for c in set(self.current.values()) if self.free_slots[c]]
        if not available:
            raise SpaceError("full")
        best = max(self.priority[self.owner[c]] for c in available)
        c = min(c for c in available if self.priority[self.owner[c]] == best)
        stolen = self._look(c, c * self.cluster)
        assert stolen is not None
        return stolen


class SlowNextFree:
    """`swaptrace.kernels.next_free`: a set of free slots."""

    def __init__(self, slots: int) -> None:
        self.free = set(range(1, slots))
        self.slot_of: dict[int, int] = {}
        self.cursor = 1
        self.passed: list[list[int]] = []  # it is not the kernel's: what it passes over is not counted

    def step(self, free: bool, unit: int, cpu: int) -> tuple[int, int]:
        before = len({slot // 512 for slot in self.slot_of.values()})
        if free:
            slot = self.slot_of.pop(unit)
            self.free.add(slot)
        else:
            slot = min(self.free, key=lambda s: (s < self.cursor, s))
            self.free.remove(slot)
            self.slot_of[unit] = slot
            self.cursor = slot + 1
        return slot, len({slot // 512 for slot in self.slot_of.values()}) - before


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
        position = next(place for place in range(self.cluster) if place not in self.clusters[c])
        self.clusters[c].add(position)
        self.cached[cpu] = c
        if len(self.clusters[c]) == self.cluster:
            del self.cached[cpu]
        self.place[unit] = (c, position)
        return self.keys[c], position
