"""Event-at-a-time reference of the flash log, written from the rule in `swaptrace.kernels.flashlog`."""

from __future__ import annotations

from swaptrace.model.errors import SpaceError


class SlowFlashLog:
    """Dicts only: `buffer` in order of STORE, `used[segment]` = live address -> unit."""

    def __init__(self, segments: int, segment_pages: int, buffer_pages: int, reserve: int, gc: str = "greedy") -> None:
        self.gc = gc
        self.log: list[int] = []  # segments in the order in which they were written
        self.segment_pages, self.buffer_pages, self.reserve = segment_pages, buffer_pages, reserve
        self.free = list(range(segments))
        self.used: dict[int, dict[int, int]] = {}
        self.address: dict[int, int] = {}
        self.buffer: dict[int, None] = {}
        self.hits: list[bool] = []
        self.addresses: list[int] = []
        self.absorbed: list[bool] = []
        self.gauges: list[tuple[int, int, int]] = []
        self.writes: list[tuple[int, int, int, bool]] = []
        self.deaths: list[tuple[int, int]] = []

    def step(self, op: str, unit: int) -> None:
        if op != "store" and unit not in self.buffer and unit not in self.address:
            raise ValueError(unit)
        self.hits.append(op == "fetch" and unit in self.buffer)
        self.addresses.append(self.address.get(unit, -1) if op == "fetch" else -1)
        self.absorbed.append(op != "fetch" and unit in self.buffer)
        if op != "fetch":
            self._die(unit)
        if op == "store":
            self.buffer[unit] = None
            if len(self.buffer) == self.buffer_pages:
                self._flush()
        self.gauges.append((len(self.buffer), len(self.address), len(self.used)))

    @property
    def now(self) -> int:
        return len(self.gauges)

    def _die(self, unit: int) -> None:
        if unit in self.buffer:
            del self.buffer[unit]
        elif unit in self.address:
            address = self.address.pop(unit)
            segment = address // self.segment_pages
            del self.used[segment][address]
            if not self.used[segment]:
                self._release(segment)

    def _release(self, segment: int) -> None:
        del self.used[segment]
        self.free.append(segment)
        self.deaths.append((self.now, segment))

    def _victim(self) -> int:
        worth: dict[int, float] = {}
        for segment, live in sorted(self.used.items()):
            dead = self.segment_pages - len(live)
            age = self.log[::-1].index(segment) + 1
            if dead:
                benefit = 65536 * dead * age // (self.segment_pages + len(live))
                worth[segment] = {"greedy": dead, "fifo": age, "cost-benefit": benefit}[self.gc]
        if not worth:
            raise SpaceError("full")
        return max(worth, key=lambda segment: worth[segment])  # the first of equal ones

    def _flush(self) -> None:
        carried: list[int] = []
        if len(self.free) <= self.reserve:
            victim = self._victim()
            carried = [unit for _, unit in sorted(self.used[victim].items())]
            self._release(victim)
        segment = self.free.pop(0)
        self.used[segment] = {}
        self.log.append(segment)
        for i in range(self.segment_pages):
            unit = carried[i] if i < len(carried) else next(iter(self.buffer))
            self.buffer.pop(unit, None)
            address = segment * self.segment_pages + i
            self.address[unit] = address
            self.used[segment][address] = unit
            self.writes.append((self.now, address, unit, i < len(carried)))
