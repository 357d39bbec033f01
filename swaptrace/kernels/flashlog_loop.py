"""The flash log as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.flashlog`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.flashops import FlashResult, Geometry, all_live, refuse_absent
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown

__all__ = ["LoopLog"]

FULL_OUTPUT, NO_COPY, NO_SPACE = 0, 1, 2


class LoopLog:
    """State of the loop: where each unit is, what each page holds, and the buffer as a queue with holes."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        # -1: no copy; >= 0: address on the device; else -2 - index in the queue.
        self._where: Ints32 = np.full(0, -1, np.int32)
        self._queue: Ints32 = np.full(2 * geometry.buffer_pages, -1, np.int32)
        self._held: Ints32 = np.full(geometry.segments * geometry.segment_pages, -1, np.int32)
        self._live: Ints32 = np.full(geometry.segments, geometry.segment_pages + 1, np.int32)
        self._free: Ints32 = np.arange(geometry.segments, dtype=np.int32)
        self._carry: Ints32 = np.empty(geometry.segment_pages, np.int32)
        self._written: Ints = np.zeros(geometry.segments, np.int64)  # how many segments were written before it
        # queue head, queue tail, live pages in the queue, free list head, free segments, segments written so
        # far, then the counts of the last call: pages written, segments that became free, and why it stopped.
        self._state: Ints = np.array([0, 0, 0, 0, geometry.segments, 0, 0, 0, 0], np.int64)

    def feed(self, op: Bytes, unit: Ints32) -> FlashResult:
        """Run ops in order; as :meth:`FlashLog.feed`, for contiguous read-only columns."""
        n, g = len(op), self.geometry
        hit, absorbed, address = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(n, -1, np.int64)
        buffered, live, segments = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int8)
        if n:
            self._where = grown(self._where, int(unit.max()) + 1, -1)
        room = g.segment_pages * (n // g.segment_pages + 2)
        written, died, done = [], [], 0
        while True:
            # Segments become free only if they were in use before or are written by this call.
            dead_room = g.segments + room // g.segment_pages
            at, page = np.empty(room, np.int64), np.empty(room, np.int64)
            out, gc = np.empty(room, np.int32), np.zeros(room, np.bool_)
            dead_at, dead_segment = np.empty(dead_room, np.int64), np.empty(dead_room, np.int32)
            done = _walk(
                done, op, unit, hit, address, absorbed, buffered, live, segments, at, page, out, gc, dead_at,
                dead_segment, g.segment_pages, g.buffer_pages, g.reserve, int(g.gc), self._where, self._queue,
                self._held, self._live, self._free, self._carry, self._written, self._state,
            )  # fmt: skip
            k, m, stopped = (int(count) for count in self._state[6:])
            written.append((at[:k], page[:k], out[:k], gc[:k]))
            died.append((dead_at[:m], dead_segment[:m]))
            if done == n:
                break
            if stopped == NO_COPY:
                refuse_absent(op[done:], unit[done:], self._where[unit[done:]] == -1)
            if stopped == NO_SPACE:
                raise all_live(g)
        stream = (np.concatenate(column) for column in zip(*written, strict=True))
        return FlashResult(
            hit, address, absorbed, buffered, live, segments, *stream,
            *(np.concatenate(column) for column in zip(*died, strict=True)),
        )  # fmt: skip


@loop
def _walk(
    start: int, ops: Bytes, units: Ints32, hit: Bools, address: Ints, absorbed: Bools, buffered: Ints32,
    live_change: Ints32, segments: Ints8, at: Ints, page: Ints, out: Ints32, gc: Bools, dead_at: Ints,
    dead_segment: Ints32, segment_pages: int, buffer_pages: int, reserve: int, policy: int, where: Ints32,
    queue: Ints32, held: Ints32, live: Ints32, free: Ints32, carry: Ints32, written: Ints, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops from ``start``; return where it stopped, with the reason in ``state``.

    ``live`` of a free segment is ``segment_pages + 1``, so that it is never the one with the fewest.
    """
    head = state[0]
    tail = state[1]
    pages = state[2]
    free_head = state[3]
    free_count = state[4]
    clock = state[5]
    k = 0
    m = 0
    reason = 0
    stop = len(ops)
    for i in range(start, len(ops)):
        unit = units[i]
        op = ops[i]
        old = where[unit]
        if (old == -1 and op != 0) or op > 2:
            reason = 1
            stop = i
            break
        if op == 2:
            hit[i] = old < -1
            if old >= 0:
                address[i] = old
            continue
        if op == 0 and pages + 1 >= buffer_pages and k + segment_pages > len(at):
            reason = 0
            stop = i
            break
        in_buffer = 0
        on_device = 0
        in_use = 0
        if old < -1:
            queue[-2 - old] = -1
            absorbed[i] = True
            in_buffer -= 1
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
                dead_segment[m] = s
                m += 1
        if op == 1:
            where[unit] = -1
        else:
            if tail == len(queue):
                # At least half of the queue is holes: close them.
                tail = 0
                for q in range(head, len(queue)):
                    u = queue[q]
                    if u >= 0:
                        queue[q] = -1
                        queue[tail] = u
                        where[u] = -2 - tail
                        tail += 1
                head = 0
            queue[tail] = unit
            where[unit] = -2 - tail
            tail += 1
            in_buffer += 1
        if pages + in_buffer == buffer_pages:
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
                    stop = i
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
                dead_segment[m] = victim
                m += 1
            s = free[free_head]
            free_head = (free_head + 1) % len(free)
            free_count -= 1
            in_use += 1
            live[s] = segment_pages
            written[s] = clock
            clock += 1
            for j in range(segment_pages):
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
            in_buffer -= segment_pages - carried
            on_device += segment_pages - carried
        pages += in_buffer
        buffered[i] = in_buffer
        live_change[i] = on_device
        segments[i] = in_use
    state[0] = head
    state[1] = tail
    state[2] = pages
    state[3] = free_head
    state[4] = free_count
    state[5] = clock
    state[6] = k
    state[7] = m
    state[8] = reason
    return stop
