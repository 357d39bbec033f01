"""The flash log as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.flashlog`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.flashops import FlashResult, Geometry, refuse
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown

__all__ = ["LoopLog"]

_NONE: Bools = np.empty(0, np.bool_)
_NONE.flags.writeable = False


class LoopLog:
    """State of the loop: where each unit is, what each page holds, and the buffer as a queue with holes."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        # -1: no copy; >= 0: address on the device; else -2 - index in the queue.
        self._where: Ints32 = np.full(0, -1, np.int32)
        self._queue: Ints32 = np.full(2 * geometry.buffer_pages, -1, np.int32)
        self._stored: Ints = np.zeros(2 * geometry.buffer_pages if geometry.timer else 0, np.int64)
        self._held: Ints32 = np.full(geometry.segments * geometry.segment_pages, -1, np.int32)
        self._live: Ints32 = np.full(geometry.segments, geometry.segment_pages + 1, np.int32)
        self._free: Ints32 = np.arange(geometry.segments, dtype=np.int32)
        self._carry: Ints32 = np.empty(geometry.segment_pages, np.int32)
        self._written: Ints = np.zeros(geometry.segments, np.int64)  # how many segments were written before it
        # queue head, queue tail, live pages in the queue, free list head, free segments, segments written so
        # far, no live page of the queue before, whether the op has still to flush; then the counts of the last
        # call: pages written, segments that became free, and why it stopped.
        self._state: Ints = np.array([0, 0, 0, 0, geometry.segments, 0, 0, 0, 0, 0, 0], np.int64)

    def feed(self, op: Bytes, unit: Ints32, now: Ints, pressed: Bools | None) -> FlashResult:
        """Run ops in order; as :meth:`FlashLog.feed`, for contiguous read-only columns."""
        n, g = len(op), self.geometry
        hit, absorbed, address = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(n, -1, np.int64)
        buffered, live, segments = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
        places = np.zeros(n if g.tombstone else 0, np.int32)
        if n:
            self._where = grown(self._where, int(unit.max()) + 1, -1)
        room = g.segment_pages * (n // g.segment_pages + 2)
        written, died, done, before = [], [], 0, 0
        while True:
            # Segments become free only if they were in use before or are written by this call.
            dead_room = g.segments + room // g.segment_pages
            at, page = np.empty(room, np.int64), np.empty(room, np.int64)
            out, gc = np.empty(room, np.int32), np.zeros(room, np.bool_)
            early = np.zeros(room if g.timer else 0, np.bool_)
            dead_at, dead_before = np.empty(dead_room, np.int64), np.empty(dead_room, np.int64)
            dead_segment = np.empty(dead_room, np.int32)
            done = _walk(
                done, op, unit, now, _NONE if pressed is None else pressed, hit, address, absorbed, buffered, live,
                places, segments, at, page, out, gc, early, dead_at, dead_before, dead_segment, g.segment_pages,
                g.buffer_pages, g.reserve, int(g.gc), int(g.tombstone), g.timer, g.low_pages, self._where, self._queue,
                self._stored, self._held, self._live, self._free, self._carry, self._written, self._state,
            )  # fmt: skip
            k, m, stopped = (int(count) for count in self._state[8:])
            written.append((at[:k], page[:k], out[:k], gc[:k], early[:k]))
            died.append((dead_at[:m], dead_before[:m] + before, dead_segment[:m]))
            before += k
            if done == n:
                break
            refuse(stopped, g, op[done:], unit[done:], self._where)
        at, page, out, gc, early = (np.concatenate(column) for column in zip(*written, strict=True))
        dead_at, dead_before, dead_segment = (np.concatenate(column) for column in zip(*died, strict=True))
        return FlashResult(
            hit, address, absorbed, buffered, live, places if g.tombstone else None, segments, at, page, out, gc,
            early if g.timer else None, dead_at, dead_before, dead_segment,
        )  # fmt: skip


@loop
def _walk(
    start: int, ops: Bytes, units: Ints32, now: Ints, pressed: Bools, hit: Bools, address: Ints, absorbed: Bools,
    buffered: Ints32, live_change: Ints32, places: Ints32, segments: Ints32, at: Ints, page: Ints, out: Ints32,
    gc: Bools, early: Bools, dead_at: Ints, dead_before: Ints, dead_segment: Ints32, segment_pages: int,
    buffer_pages: int, reserve: int, policy: int, tombstone: int, timer: int, low: int, where: Ints32, queue: Ints32,
    stored: Ints, held: Ints32, live: Ints32, free: Ints32, carry: Ints32, written: Ints, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops from ``start``; return where it stopped, with the reason in ``state``.

    ``live`` of a free segment is ``segment_pages + 1``, so that it is never one that the cleaner takes.
    """
    head = state[0]
    tail = state[1]
    pages = state[2]
    free_head = state[3]
    free_count = state[4]
    clock = state[5]
    first = state[6]
    flush = state[7] > 0
    k = 0
    m = 0
    reason = -1
    i = start
    while i < len(ops):
        pages_before = pages
        on_device = 0
        in_use = 0
        freed = 0  # places that flushes passed
        stores = 0
        timed = False
        if timer > 0 and pages > 0 and not flush:
            first = max(first, head)
            while queue[first] < 0:
                first += 1
            timed = now[i] - stored[first] >= timer
        if not timed and not flush:
            unit = units[i]
            op = ops[i]
            old = where[unit]
            if (old == -1 and op != 0) or op > 2:
                reason = 1
                break
            if op == 2:
                hit[i] = old < -1
                if old >= 0:
                    address[i] = old
                i += 1
                continue
            if old < -1:
                queue[-2 - old] = -1
                absorbed[i] = True
                pages -= 1
            elif old >= 0:
                held[old] = -1
                on_device -= 1
                s = old // segment_pages
                live[s] -= 1
                if live[s] == 0:
                    live[s] = segment_pages + 1
                    free[(free_head + free_count) % len(free)] = s
                    free_count += 1
                    in_use -= 1
                    dead_at[m] = i
                    dead_before[m] = k
                    dead_segment[m] = s
                    m += 1
            if op == 1:
                where[unit] = -1
            else:
                if tail == len(queue):
                    # At least half of the queue was passed, or is holes that may be closed.
                    tail = 0
                    for q in range(head, len(queue)):
                        u = queue[q]
                        if u >= 0 or tombstone:
                            queue[q] = -1
                            queue[tail] = u
                            if u >= 0:
                                where[u] = -2 - tail
                            if timer > 0:
                                stored[tail] = stored[q]
                            tail += 1
                    head = 0
                    first = 0
                queue[tail] = unit
                where[unit] = -2 - tail
                if timer > 0:
                    stored[tail] = now[i]
                tail += 1
                pages += 1
                stores = 1
                taken = tail - head if tombstone else pages
                flush = taken == buffer_pages or (len(pressed) > 0 and pressed[i] and pages >= segment_pages)
        while flush or timed:
            if k + segment_pages > len(at):
                reason = 0
                break
            carried = 0
            if free_count <= reserve:
                victim = -1
                best = -1
                for s in range(len(live)):
                    dead = segment_pages - live[s]
                    if dead > 0:
                        if policy == 0:
                            worth = dead
                        elif policy == 1:
                            worth = clock - written[s]
                        else:
                            worth = (dead * (clock - written[s]) << 16) // (segment_pages + live[s])
                        if worth > best:
                            best = worth
                            victim = s
                if victim < 0:
                    reason = 2
                    break
                for p in range(victim * segment_pages, (victim + 1) * segment_pages):
                    u = held[p]
                    if u >= 0:
                        held[p] = -1
                        carry[carried] = u
                        carried += 1
                live[victim] = segment_pages + 1
                free[(free_head + free_count) % len(free)] = victim
                free_count += 1
                in_use -= 1
                dead_at[m] = i
                dead_before[m] = k
                dead_segment[m] = victim
                m += 1
            s = free[free_head]
            free_head = (free_head + 1) % len(free)
            free_count -= 1
            in_use += 1
            fresh = min(segment_pages - carried, pages)
            pages -= fresh
            on_device += fresh
            live[s] = carried + fresh
            written[s] = clock
            clock += 1
            passed = head
            for j in range(carried + fresh):
                if j < carried:
                    u = carry[j]
                    gc[k] = True
                else:
                    while queue[head] < 0:
                        head += 1
                    u = queue[head]
                    queue[head] = -1
                    head += 1
                p = s * segment_pages + j
                held[p] = u
                where[u] = p
                at[k] = i
                page[k] = p
                out[k] = u
                k += 1
            for j in range(carried + fresh, segment_pages):
                at[k] = i
                page[k] = s * segment_pages + j
                out[k] = -1
                k += 1
            if carried + fresh < segment_pages:
                head = tail
            freed += head - passed
            if timed:
                for j in range(k - segment_pages, k):
                    early[j] = True
                break
            flush = pages >= segment_pages
            if flush and not (len(pressed) > 0 and pressed[i]):
                flush = (tail - head if tombstone else pages) > low
        buffered[i] += pages - pages_before
        live_change[i] += on_device
        segments[i] += in_use
        if tombstone:
            places[i] += stores - freed
        if reason >= 0:
            break
        if not timed:
            i += 1
    state[0] = head
    state[1] = tail
    state[2] = pages
    state[3] = free_head
    state[4] = free_count
    state[5] = clock
    state[6] = first
    state[7] = 1 if flush else 0
    state[8] = k
    state[9] = m
    state[10] = reason
    return i
