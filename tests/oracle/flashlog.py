"""Event-at-a-time reference of the flash log, written from the rule in `swaptrace.kernels.flashlog`."""

from __future__ import annotations

from swaptrace.model.errors import SpaceError


class SlowFlashLog:
    """Dicts only: `buffer` in order of STORE, `used[segment]` = live address -> unit."""

    def __init__(
        self,
        segments: int,
        segment_pages: int,
        buffer_pages: int,
        reserve: int,
        gc: str = "greedy",
        tombstone: bool = False,
        timer: float = float("inf"),
        low_pages: int | None = None,
    ) -> None:
        self.gc, self.tombstone, self.timer = gc, tombstone, timer
        self.low_pages = buffer_pages if low_pages is None else low_pages
        self.log: list[int] = []  # segments in the order in which they were written
        self.segment_pages, self.buffer_pages, self.reserve = segment_pages, buffer_pages, reserve
        self.free = list(range(segments))
        self.used: dict[int, dict[int, int]] = {}
        self.address: dict[int, int] = {}
        self.places: list[tuple[int, int] | None] = []  # unit and time of its store, or None where it died
        self.buffer: set[int] = set()
        self.hits: list[bool] = []
        self.addresses: list[int] = []
        self.absorbed: list[bool] = []
        self.gauges: list[tuple[int, int, int, int]] = []
        self.writes: list[tuple[int, int, int, bool, bool]] = []
        self.deaths: list[tuple[int, int, int]] = []
        # the same as a packed log says it
        self.pages: list[int] = []
        self.copies: list[tuple[int, int, int, bool, bool]] = []
        self.runs: list[int] = []

    def step(self, op: str, unit: int, now: int = 0, pressed: bool = False) -> None:
        if op != "store" and unit not in self.buffer and unit not in self.address:
            raise ValueError(unit)
        while any(now - place[1] >= self.timer for place in self.places if place):
            self._write_segment(early=True)
        self.hits.append(op == "fetch" and unit in self.buffer)
        self.addresses.append(self.address.get(unit, -1) if op == "fetch" else -1)
        self.absorbed.append(op != "fetch" and unit in self.buffer)
        if op != "fetch":
            self._die(unit)
        if op == "store":
            self.buffer.add(unit)
            self.places.append((unit, now))
            if len(self.places) == self.buffer_pages or (pressed and self._enough()):
                self._write_segment()
                while self._enough() and (pressed or len(self.places) > self.low_pages):
                    self._write_segment()
        self.gauges.append((len(self.buffer), len(self.address), len(self.used), len(self.places)))

    @property
    def blocks(self) -> list[list[int]]:
        return [[address] if address >= 0 else [] for address in self.addresses[-1:]]

    @property
    def taken(self) -> int:
        return 4096 * len(self.places)

    @property
    def now(self) -> int:
        return len(self.gauges)

    def _enough(self) -> bool:
        return len(self.buffer) >= self.segment_pages

    def _die(self, unit: int) -> None:
        if unit in self.buffer:
            self.buffer.remove(unit)
            i = next(i for i, place in enumerate(self.places) if place and place[0] == unit)
            if self.tombstone:
                self.places[i] = None
            else:
                del self.places[i]
        elif unit in self.address:
            address = self.address.pop(unit)
            segment = address // self.segment_pages
            del self.used[segment][address]
            if not self.used[segment]:
                self._release(segment)

    def _release(self, segment: int) -> None:
        del self.used[segment]
        self.free.append(segment)
        self.deaths.append((self.now, len(self.writes), segment))

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

    def _write_segment(self, early: bool = False) -> None:
        carried: list[int] = []
        if len(self.free) <= self.reserve:
            victim = self._victim()
            carried = [unit for _, unit in sorted(self.used[victim].items())]
            self._release(victim)
        segment = self.free.pop(0)
        self.used[segment] = {}
        self.log.append(segment)
        for i in range(self.segment_pages):
            address = segment * self.segment_pages + i
            if i < len(carried):
                unit = carried[i]
            else:
                while self.places and self.places[0] is None:
                    self.places.pop(0)
                unit = -1
                if self.places:
                    oldest = self.places.pop(0)
                    assert oldest is not None
                    unit = oldest[0]
                    self.buffer.remove(unit)
            if unit >= 0:
                self.address[unit] = address
                self.used[segment][address] = unit
            self.writes.append((self.now, address, unit, i < len(carried), early))
            self.pages.append(address)
            if unit >= 0:
                self.copies.append((self.now, unit, 4096, i < len(carried), early))
        self.runs.append(len(self.used[segment]))
