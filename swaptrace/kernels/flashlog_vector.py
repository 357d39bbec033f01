"""The flash log vectorised from flush to flush; the rule is at the head of :mod:`swaptrace.kernels.flashlog`.

Which STORE made the copy that an op finds depends on the ops of its unit alone, so one sort per chunk tells
it for all ops. Copies leave the buffer in the order of the STOREs, so between two flushes a single number
says where a copy is: in the buffer exactly if its STORE is not before the *front*, the first STORE that was
not flushed yet. With that, the ops up to the next flush are a comparison and a running sum.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.flashops import DROP, FETCH, PADDING, STORE, FlashResult, Gc, Geometry, all_live, refuse_absent
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown

__all__ = ["VectorLog"]

# A copy is named by the position of its STORE in the chunk. Copies that were in the buffer before the chunk
# have the positions -1, -2, ... from the youngest; older ones are on the device.
ON_DEVICE, NO_COPY = -(1 << 30), -(1 << 31)

GONE = -1  # in the place of a unit
ONE = np.int32(1)  # of the counts' own type: ufunc.at is 40 times slower if it has to convert


class VectorLog:
    """State between chunks: where each unit's copy is, what each page holds, and the units of the buffer."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        # A chunk costs one pass over the buffer, and its sort is fastest inside the cache.
        self.chunk = max(1 << 16, 1 << (2 * geometry.buffer_pages).bit_length())
        self._copy: Ints32 = np.full(0, NO_COPY, np.int32)
        self._address: Ints32 = np.full(0, -1, np.int32)
        self._buffer: Ints = np.empty(0, np.int64)  # units by place, GONE where the copy is dead
        self._stored: Ints = np.empty(0, np.int64)  # and when they were stored
        self._held: Ints32 = np.full(geometry.segments * geometry.segment_pages, -1, np.int32)
        # Free segments count as more than completely live, so that they are never the one with the fewest.
        self._live: Ints32 = np.full(geometry.segments, geometry.segment_pages + 1, np.int32)
        self._free = deque(range(geometry.segments))
        self._written: Ints = np.zeros(geometry.segments, np.int64)  # how many segments were written before it
        self._clock = 0  # segments written so far

    def feed(self, op: Bytes, unit: Ints32, now: Ints, pressed: Bools | None) -> FlashResult:
        """Run ops in order; as :meth:`FlashLog.feed`, for contiguous read-only columns."""
        if len(op):
            self._copy = grown(self._copy, int(unit.max()) + 1, NO_COPY)
            self._address = grown(self._address, int(unit.max()) + 1, -1)
        parts = (slice(a, a + self.chunk) for a in range(0, max(len(op), 1), self.chunk))
        return FlashResult.joined(
            [self._feed(op[p], unit[p], now[p], None if pressed is None else pressed[p]) for p in parts]
        )

    def _feed(self, op: Bytes, unit: Ints32, now: Ints, pressed: Bools | None) -> FlashResult:
        n = len(op)
        copy, death, old_death, dropped = self._copies(op, unit)
        stores = np.flatnonzero(op == STORE)
        wide = unit.astype(np.int64)  # what numpy indexes with; it would convert int32 each time
        queue = _Queue(
            np.concatenate([np.arange(-len(self._buffer), 0), stores]),
            np.concatenate([self._buffer, wide[stores]]),
            np.concatenate([old_death, death[stores]]),
            np.concatenate([self._stored, now[stores]]) if self.geometry.timer else self._stored,
        )
        fetch = op == FETCH
        walk = _Walk(
            self, queue, wide, copy, fetch, np.where(fetch, NO_COPY, copy), (op == STORE).view(np.int8), now, pressed
        )
        walk.run()
        result = walk.result(op, n)
        fresh = result.unit[~result.gc]
        self._copy[fresh[fresh >= 0]] = ON_DEVICE
        self._copy[dropped] = NO_COPY
        waiting = slice(walk.head, len(queue.unit))
        alive = queue.death[waiting] == n
        if self.geometry.tombstone:
            self._buffer = np.where(alive, queue.unit[waiting], GONE)
            self._stored = queue.time[waiting]
        else:
            self._buffer = np.compress(alive, queue.unit[waiting])
            if self.geometry.timer:
                self._stored = np.compress(alive, queue.time[waiting])
        places = np.arange(-len(self._buffer), 0)
        here = self._buffer >= 0
        self._copy[self._buffer[here]] = places[here]
        return result

    def victim(self) -> int:
        """Return the segment that the cleaner takes.

        Raises:
            SpaceError: all segments in use are completely live.
        """
        size, gc = self.geometry.segment_pages, self.geometry.gc
        if gc == Gc.GREEDY:
            best = int(self._live.argmin())
        else:
            dead = size - self._live
            worth = self._clock - self._written
            if gc == Gc.COST_BENEFIT:
                worth = (dead * worth << 16) // (size + self._live)
            worth[dead <= 0] = -1
            best = int(worth.argmax())
        if self._live[best] >= size:
            raise all_live(self.geometry)
        return best

    def _copies(self, op: Bytes, unit: Ints32) -> tuple[Ints32, Ints32, Ints32, Ints]:
        """Follow each unit through the chunk, as if no copy ever moved.

        Returns:
            The copy before each op; the position at which the copy of each STORE dies, n if not in this
            chunk; the same for the copies that were in the buffer before; the units that end with a DROP.
        """
        n = len(op)
        bits = n.bit_length() + 2
        low = np.arange(0, 4 * n, 4, dtype=np.int64)
        low |= np.minimum(op, 3)
        key = unit.astype(np.int64)
        key <<= bits
        key |= low
        key.sort()
        kind = key.astype(np.uint8) & 3
        at = (key & ((1 << bits) - 1)) >> 2
        key >>= bits
        first = np.ones(n, np.bool_)
        np.not_equal(key[1:], key[:-1], out=first[1:])
        firsts = np.flatnonzero(first)
        found = self._copy[key[firsts]]
        stores = np.flatnonzero(kind == STORE)
        after = np.full(n, NO_COPY, np.int32)
        after[stores] = at[stores]
        before = np.empty(n, np.int32)
        is_change = kind != FETCH
        if is_change.all():
            before[1:] = after[:-1]
        else:
            # A FETCH leaves what the last change of its unit left, or else what the first FETCH found.
            kept = np.flatnonzero(kind[firsts] == FETCH)
            after[firsts[kept]] = found[kept]
            origin = np.arange(n)
            origin *= is_change | first
            np.maximum.accumulate(origin, out=origin)
            before[1:] = after[origin[:-1]]
        before[firsts] = found
        copy = np.empty(n, np.int32)
        copy[at] = before
        refuse_absent(op, unit, copy == NO_COPY)
        # Every STORE or DROP ends the copy before it.
        death = np.full(n, n, np.int32)
        old_death = np.where(self._buffer >= 0, np.int32(n), np.int32(-1))
        for deaths, ended in ((death, before >= 0), (old_death, (before < 0) & (before > ON_DEVICE))):
            ends = np.flatnonzero(ended & is_change)
            deaths[before[ends].astype(np.int64)] = at[ends]
        last = np.append(firsts[1:], n)[: len(firsts)] - 1
        return copy, death, old_death, key[last[kind[last] == DROP]]


@dataclass(frozen=True, slots=True)
class _Queue:
    """What takes places of the buffer in this chunk, in order: the position of its STORE, its unit, the position of
    its death, and (with a timer) the time of its STORE."""

    store: Ints
    unit: Ints
    death: Ints32
    time: Ints


class _Walk:
    """The flushes of one chunk: from each to the next, then what they did to the ops."""

    def __init__(
        self, log: VectorLog, queue: _Queue, unit: Ints, copy: Ints32, fetched: Bools, ended: Ints32, stored: Ints8,
        now: Ints, pressed: Bools | None,
    ) -> None:  # fmt: skip
        self.log = log
        self.queue = queue
        self.unit = unit
        self.copy = copy
        self.fetched = fetched
        self.address = np.full(len(unit), -1, np.int64)
        self.ended = ended
        self.stored = stored
        self.pressed = pressed
        self.head = 0
        self.front = -len(log._buffer)
        self.places = len(log._buffer)
        self.buffered = int(np.count_nonzero(log._buffer >= 0))
        self.expires, self.expires_at = self._timers(now)
        self.flush_at: list[int] = []
        self.seen_from: list[int] = []  # the first op that finds the pages on the device
        self.fronts: list[int] = [self.front]
        self.flushed: list[int] = []
        self.passed: list[int] = []
        self.segments: list[int] = []
        self.written: list[Ints] = []
        self.carried: list[int] = []
        self.dead_at: list[int] = []
        self.dead_before: list[int] = []
        self.dead_segment: list[int] = []

    def run(self) -> None:
        """Go from flush to flush."""
        start, n = 0, len(self.unit)
        while start < n:
            due = self._next_timer(n)
            full = self._next_full(start, due)
            end = due if full < 0 else full + 1
            self._read_device(start, end)
            self._die_on_device(start, end)
            if full >= 0:
                self._flush(full)
            elif due < n:
                self._write(due, early=True)
            start = end

    def _timers(self, now: Ints) -> tuple[Ints, Ints]:
        """Return the copies that wait until their timer expires, as indices of the queue, and the op that sees it."""
        timer, queue = self.log.geometry.timer, self.queue
        if not timer:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        at = np.searchsorted(now, queue.time + timer)
        expires = np.flatnonzero((at < len(now)) & (queue.death >= at))
        return expires, at[expires]

    def _next_timer(self, n: int) -> int:
        """Return the op before which the timer of the oldest copy expires, if no other flush comes before; or n."""
        if not len(self.expires):
            return n
        i = int(np.searchsorted(self.expires, self.head))
        return int(self.expires_at[i]) if i < len(self.expires) else n

    def _next_full(self, start: int, end: int) -> int:
        """Return the op of [start, end) that makes a flush necessary, or -1; ``buffered`` and ``places`` are then
        right before its flush, or before ``end``."""
        g = self.log.geometry
        full_at = g.buffer_pages if self.pressed is None else g.segment_pages
        window = max(64, 4 * (full_at - self.places))  # a call costs as much as thousands of ops
        for low in range(start, end, window):
            part = slice(low, min(low + window, end))
            absorbed = self.ended[part] >= self.front
            change = np.cumsum(self.stored[part] - absorbed.view(np.int8), dtype=np.int32)
            taken = np.cumsum(self.stored[part], dtype=np.int32) if g.tombstone else change
            full = taken >= g.buffer_pages - self.places
            if self.pressed is not None:
                full |= self.pressed[part] & (change >= g.segment_pages - self.buffered)
            k = int(full.argmax())
            found = bool(full[k])
            last = k if found else -1
            self.buffered += int(change[last])
            self.places += int(taken[last])
            if found:
                return low + k
        return -1

    def _read_device(self, start: int, end: int) -> None:
        """Note where the copies are that the FETCHes in [start, end) read from the device."""
        reads = np.flatnonzero(self.fetched[start:end] & (self.copy[start:end] < self.front)) + start
        self.address[reads] = self.log._address[self.unit[reads]]

    def _die_on_device(self, start: int, end: int) -> None:
        """Let the copies on the device die that the ops [start, end) end."""
        log = self.log
        ended = self.ended[start:end]
        killer = np.flatnonzero((ended < self.front) & (ended > NO_COPY))
        if not len(killer):
            return
        address = log._address[self.unit[start:end][killer]].astype(np.int64)
        log._held[address] = -1
        segment = address // log.geometry.segment_pages
        np.subtract.at(log._live, segment, ONE)
        empty = np.flatnonzero(log._live[segment] == 0)[::-1]
        if len(empty):
            # The last death in a segment is the one that frees it.
            segments, last = np.unique(segment[empty], return_index=True)
            killers = killer[empty[last]] + start
            for i in np.argsort(killers).tolist():
                self._release(int(killers[i]), int(segments[i]))

    def _release(self, at: int, segment: int) -> None:
        self.log._live[segment] = self.log.geometry.segment_pages + 1
        self.log._free.append(segment)
        self.dead_at.append(at)
        self.dead_before.append(len(self.written) * self.log.geometry.segment_pages)
        self.dead_segment.append(segment)

    def _flush(self, at: int) -> None:
        """Write segments after the op ``at``."""
        g = self.log.geometry
        self._write(at, early=False)
        while self.buffered >= g.segment_pages and (
            self.places > g.low_pages or (self.pressed is not None and self.pressed[at])
        ):
            self._write(at, early=False)

    def _write(self, at: int, early: bool) -> None:
        """Write one segment, before or after the op ``at``."""
        log, queue, size = self.log, self.queue, self.log.geometry.segment_pages
        carried: Ints32 = np.empty(0, np.int32)
        if len(log._free) <= log.geometry.reserve:
            victim = log.victim()
            held = log._held[victim * size : (victim + 1) * size]
            carried = held[held >= 0]
            held[:] = -1
            self._release(at, victim)
        seen_from = at if early else at + 1
        oldest = self._oldest(min(size - len(carried), self.buffered), seen_from)
        segment = log._free.popleft()
        page = segment * size
        units = np.concatenate([carried, queue.unit[oldest]])
        log._live[segment] = len(units)
        log._written[segment] = log._clock
        log._clock += 1
        log._held[page : page + len(units)] = units
        log._address[units] = np.arange(page, page + len(units), dtype=np.int32)
        before, self.head = self.head, int(oldest[-1]) + 1
        if len(units) < size:  # the buffer ran out: all its places are passed
            self.head = int(np.searchsorted(queue.store, seen_from))
            units = np.concatenate([units, np.full(size - len(units), PADDING)])
        self.front = int(queue.store[oldest[-1]]) + 1
        self.buffered -= len(oldest)
        passed = self.head - before if log.geometry.tombstone else len(oldest)
        self.places -= passed
        self.flush_at.append(at)
        self.seen_from.append(seen_from)
        self.fronts.append(self.front)
        self.flushed.append(len(oldest))
        self.passed.append(passed)
        self.segments.append(segment)
        self.written.append(units)
        self.carried.append(len(carried))

    def _oldest(self, need: int, seen_from: int) -> Ints:
        """Queue indices of the ``need`` oldest copies that are in the buffer before the op ``seen_from``."""
        width = 2 * need  # of a full buffer, up to half has often died
        while True:
            alive = np.flatnonzero(self.queue.death[self.head : self.head + width] >= seen_from)
            if len(alive) >= need:
                return alive[:need] + self.head
            width *= 2

    def result(self, op: Bytes, n: int) -> FlashResult:
        """What the ops and flushes did, op by op."""
        g, size = self.log.geometry, self.log.geometry.segment_pages
        flush_at = np.array(self.flush_at, np.int64)
        seen_from = np.array(self.seen_from, np.int64)
        flushed = np.array(self.flushed, np.int32)
        front = np.repeat(self.fronts, np.diff(seen_from, prepend=0, append=n))
        in_buffer = self.copy >= front
        fetch = op == FETCH
        absorbed = in_buffer & ~fetch
        buffered = self.stored.astype(np.int32) - absorbed
        np.subtract.at(buffered, flush_at, flushed)
        places = None
        if g.tombstone:
            places = self.stored.astype(np.int32)
            np.subtract.at(places, flush_at, np.array(self.passed, np.int32))
        live = -((self.ended > NO_COPY) & ~in_buffer).astype(np.int32)
        np.add.at(live, flush_at, flushed)
        segments = np.zeros(n, np.int32)
        np.add.at(segments, flush_at, ONE)
        np.subtract.at(segments, np.array(self.dead_at, np.int64), ONE)
        carried = np.array(self.carried, np.int64)
        in_segment = np.tile(np.arange(size), len(flush_at))
        return FlashResult(
            hit=in_buffer & fetch,
            address=self.address,
            absorbed=absorbed,
            buffered=buffered,
            live=live,
            places=places,
            segments=segments,
            at=np.repeat(flush_at, size),
            page=np.repeat(np.array(self.segments, np.int64) * size, size) + in_segment,
            unit=np.concatenate([np.empty(0, np.int64), *self.written]).astype(np.int32),
            gc=in_segment < np.repeat(carried, size),
            early=np.repeat(seen_from == flush_at, size) if g.timer else None,
            dead_at=np.array(self.dead_at, np.int64),
            dead_before=np.array(self.dead_before, np.int64),
            dead_segment=np.array(self.dead_segment, np.int32),
        )
