"""Event-at-a-time reference of the packed log, written from the rule in `swaptrace.kernels.packlog`."""

from __future__ import annotations

from swaptrace.model.errors import SpaceError


class SlowPackedLog:
    """Dicts only: `used[segment]` = live unit -> (first byte, size), in the order in which they lie there."""

    def __init__(
        self, segments: int, segment_pages: int, buffer_pages: int, reserve: int, gc: str, tombstone: bool,
        timer: float, low_pages: int, aligned: bool,
    ) -> None:  # fmt: skip
        self.gc, self.tombstone, self.timer, self.aligned = gc, tombstone, timer, aligned
        self.segment_pages, self.whole, self.room = segment_pages, 4096 * segment_pages, 4096 * buffer_pages
        self.low, self.reserve = 4096 * low_pages, reserve
        self.log: list[int] = []  # segments in the order in which they were written
        self.free = list(range(segments))
        self.used: dict[int, dict[int, tuple[int, int]]] = {}
        self.places: list[tuple[int | None, int, int]] = []  # unit, or None where it died; size; time of its store
        self.buffer: dict[int, int] = {}  # sizes
        self.hits: list[bool] = []
        self.blocks: list[list[int]] = []
        self.absorbed: list[bool] = []
        self.gauges: list[tuple[int, int, int, int]] = []
        self.pages: list[int] = []
        self.copies: list[tuple[int, int, int, bool, bool]] = []  # when, unit, size, gc, early
        self.runs: list[int] = []  # copies by segment
        self.deaths: list[tuple[int, int, int]] = []

    @property
    def address(self) -> dict[int, int]:
        return {unit: s * self.whole + byte for s, held in self.used.items() for unit, (byte, _) in held.items()}

    def step(self, op: str, unit: int, size: int, now: int = 0, pressed: bool = False) -> None:
        while any(now - time >= self.timer for waiting, _, time in self.places if waiting is not None):
            self._write_segment(early=True)
        self.hits.append(op == "fetch" and unit in self.buffer)
        self.absorbed.append(op != "fetch" and unit in self.buffer)
        segment = next((s for s, held in self.used.items() if unit in held), -1)
        assert op == "store" or unit in self.buffer or segment >= 0
        self.blocks.append([])
        if op == "fetch" and segment >= 0:
            byte, length = self.used[segment][unit]
            first, last = byte // 4096, (byte + length - 1) // 4096
            self.blocks[-1] = [segment * self.segment_pages + block for block in range(first, last + 1)]
        if op != "fetch" and unit in self.buffer:
            del self.buffer[unit]
            i = next(i for i, place in enumerate(self.places) if place[0] == unit)
            if self.tombstone:
                self.places[i] = (None, *self.places[i][1:])
            else:
                del self.places[i]
        elif op != "fetch" and segment >= 0:
            del self.used[segment][unit]
            if not self.used[segment]:
                self._release(segment)
        if op == "store":
            self.buffer[unit] = size
            self.places.append((unit, size, now))
            if self.taken + 4096 > self.room or (pressed and self._enough()):
                self._write_segment()
                while self._enough() and (pressed or self.taken > self.low):
                    self._write_segment()
        live = sum(len(held) for held in self.used.values())
        self.gauges.append((len(self.buffer), live, len(self.used), self.taken))

    @property
    def taken(self) -> int:
        return sum(size for _, size, _ in self.places)

    @property
    def now(self) -> int:
        return len(self.gauges)

    def _enough(self) -> bool:
        return sum(self.buffer.values()) >= self.whole

    def _release(self, segment: int) -> None:
        del self.used[segment]
        self.free.append(segment)
        self.deaths.append((self.now, len(self.pages), segment))

    def _next_byte(self, end: int, size: int) -> int:
        in_two = end // 4096 != (end + size - 1) // 4096
        return -(-end // 4096) * 4096 if self.aligned and in_two else end

    def _victim(self) -> int:
        worth: dict[int, int] = {}
        for segment, held in sorted(self.used.items()):
            end = 0
            for _, size in held.values():
                end = self._next_byte(end, size) + size
            if end <= self.whole - 4096:
                live = sum(size for _, size in held.values())
                age = self.log[::-1].index(segment) + 1
                benefit = 1024 * (self.whole - live) * age // (self.whole + live)
                worth[segment] = {"greedy": self.whole - live, "fifo": age, "cost-benefit": benefit}[self.gc]
        if not worth:
            raise SpaceError("full")
        return max(worth, key=lambda segment: worth[segment])

    def _write_segment(self, early: bool = False) -> None:
        carried: list[tuple[int, int]] = []
        if len(self.free) <= self.reserve:
            victim = self._victim()
            carried = [(unit, size) for unit, (_, size) in self.used[victim].items()]
            self._release(victim)
        segment = self.free.pop(0)
        held: dict[int, tuple[int, int]] = {}
        self.log.append(segment)
        end = 0
        for unit, size in carried:
            byte = self._next_byte(end, size)
            held[unit] = byte, size
            self.copies.append((self.now, unit, size, True, early))
            end = byte + size
        while self.buffer:
            i = next(i for i, place in enumerate(self.places) if place[0] is not None)
            waiting, size, _ = self.places[i]
            assert waiting is not None
            byte = self._next_byte(end, size)
            if byte + size > self.whole:
                break
            del self.places[: i + 1]
            del self.buffer[waiting]
            held[waiting] = byte, size
            self.copies.append((self.now, waiting, size, False, early))
            end = byte + size
        if not self.buffer and end < self.whole:
            self.places.clear()
        self.used[segment] = held
        self.runs.append(len(held))
        self.pages += [segment * self.segment_pages + i for i in range(self.segment_pages)]
