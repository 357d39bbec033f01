"""The log of packed pages as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.packlog`."""

from __future__ import annotations

from typing import Any

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32

__all__ = ["BLOCK", "walk"]

BLOCK = 4096


@loop
def walk(
    start: int, ops: Bytes, units: Ints32, sizes: Ints32, now: Ints, pressed: Bools, hit: Bools, two: Bools,
    address: Ints, absorbed: Bools, buffered: Ints32, live_change: Ints32, places: Ints, segments: Ints32, at: Ints,
    out: Ints32, length: Ints32, gc: Bools, early: Bools, segment: Ints32, copies: Ints, dead_at: Ints,
    dead_before: Ints, dead_segment: Ints32, segment_pages: int, buffer_pages: int, reserve: int, policy: int,
    tombstone: int, timer: int, low: int, aligned: int, where: Ints, size: Ints32, before: Ints32, behind: Ints32,
    first: Ints32, last: Ints32, live: Ints, written: Ints, free: Ints32, queue: Ints32, queue_size: Ints32,
    queue_time: Ints, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops from ``start``; return where it stopped, with the reason in ``state``."""
    head = state[0]
    tail = state[1]
    waiting = state[2]
    waiting_bytes = state[3]
    taken = state[4]
    free_head = state[5]
    free_count = state[6]
    clock = state[7]
    flush = state[8] > 0
    whole = segment_pages * 4096
    k = 0
    f = 0
    m = 0
    reason = -1
    oldest = head
    i = start
    while i < len(ops):
        waiting_before = waiting
        taken_before = taken
        on_device = 0
        in_use = 0
        timed = False
        if timer > 0 and waiting > 0 and not flush:
            oldest = max(oldest, head)
            while queue[oldest] < 0:
                oldest += 1
            timed = now[i] - queue_time[oldest] >= timer
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
                    address[i] = old // 4096
                    two[i] = (old + size[unit] - 1) // 4096 > old // 4096
                i += 1
                continue
            if old < -1:
                queue[-2 - old] = -1
                absorbed[i] = True
                waiting -= 1
                waiting_bytes -= size[unit]
                if not tombstone:
                    taken -= size[unit]
            elif old >= 0:
                on_device -= 1
                s = old // whole
                live[s] -= size[unit]
                if before[unit] >= 0:
                    behind[before[unit]] = behind[unit]
                else:
                    first[s] = behind[unit]
                if behind[unit] >= 0:
                    before[behind[unit]] = before[unit]
                else:
                    last[s] = before[unit]
                if first[s] < 0:
                    live[s] = -1
                    free[(free_head + free_count) % len(free)] = s
                    free_count += 1
                    in_use -= 1
                    dead_at[m] = i
                    dead_before[m] = f * segment_pages
                    dead_segment[m] = s
                    m += 1
            if op == 1:
                where[unit] = -1
            else:
                queue[tail] = unit
                queue_size[tail] = sizes[i]
                if timer > 0:
                    queue_time[tail] = now[i]
                where[unit] = -2 - tail
                size[unit] = sizes[i]
                tail += 1
                waiting += 1
                waiting_bytes += sizes[i]
                taken += sizes[i]
                flush = taken + 4096 > buffer_pages * 4096 or (
                    len(pressed) > 0 and pressed[i] and waiting_bytes >= whole
                )
        while flush or timed:
            if f == len(segment):
                reason = 0
                break
            end = 0  # of what is laid out
            victim = -1
            if free_count <= reserve:
                beaten = -1  # the worth and number of the candidate that did not leave a block free
                beaten_by = -1
                while victim < 0:
                    best = -1
                    for s in range(len(live)):
                        dead = whole - live[s]
                        if live[s] >= 0 and dead >= 4096:
                            if policy == 0:
                                worth = dead
                            elif policy == 1:
                                worth = clock - written[s]
                            else:
                                worth = (dead * (clock - written[s]) << 10) // (whole + live[s])
                            # in order of worth, then of number, behind those that were beaten
                            if worth > best and (beaten < 0 or worth < beaten or (worth == beaten and s > beaten_by)):
                                best = worth
                                victim = s
                    if victim < 0:
                        break
                    end = 0
                    u = first[victim]
                    while u >= 0:
                        if aligned and end % 4096 + size[u] > 4096:
                            end += 4096 - end % 4096
                        end += size[u]
                        u = behind[u]
                    if end > whole - 4096:
                        beaten = best
                        beaten_by = victim
                        victim = -1
                if victim < 0:
                    reason = 2
                    break
            carried = 0
            u = first[victim] if victim >= 0 else -1
            while u >= 0:
                carried += 1
                u = behind[u]
            if k + carried + waiting > len(at):
                reason = 0
                break
            moved = -1
            if victim >= 0:
                moved = first[victim]
                first[victim] = -1
                last[victim] = -1
                live[victim] = -1
                free[(free_head + free_count) % len(free)] = victim
                free_count += 1
                in_use -= 1
                dead_at[m] = i
                dead_before[m] = f * segment_pages
                dead_segment[m] = victim
                m += 1
            s = free[free_head]
            free_head = (free_head + 1) % len(free)
            free_count -= 1
            in_use += 1
            live[s] = 0
            written[s] = clock
            clock += 1
            end = 0
            written_before = k
            while moved >= 0 or waiting > 0:
                fresh = moved < 0
                q = head
                if fresh:
                    while queue[q] < 0:
                        q += 1
                    u = queue[q]
                else:
                    u = moved
                    moved = behind[u]
                if aligned and end % 4096 + size[u] > 4096:
                    end += 4096 - end % 4096
                if end + size[u] > whole:
                    break
                if fresh:
                    while head <= q:
                        if queue[head] >= 0 or tombstone:
                            taken -= queue_size[head]
                        head += 1
                    queue[q] = -1
                    waiting -= 1
                    waiting_bytes -= size[u]
                    on_device += 1
                else:
                    gc[k] = True
                where[u] = s * whole + end
                before[u] = last[s]
                behind[u] = -1
                if last[s] >= 0:
                    behind[last[s]] = u
                else:
                    first[s] = u
                last[s] = u
                live[s] += size[u]
                end += size[u]
                at[k] = i
                out[k] = u
                length[k] = size[u]
                early[k] = timed
                k += 1
            if waiting == 0 and end < whole:
                head = tail
                taken = 0
            segment[f] = s
            copies[f] = k - written_before
            f += 1
            if timed:
                break
            flush = waiting_bytes >= whole
            if flush and not (len(pressed) > 0 and pressed[i]):
                flush = taken > low * 4096
        buffered[i] += waiting - waiting_before
        live_change[i] += on_device
        places[i] += taken - taken_before
        segments[i] += in_use
        if reason >= 0:
            break
        if not timed:
            i += 1
    state[0] = head
    state[1] = tail
    state[2] = waiting
    state[3] = waiting_bytes
    state[4] = taken
    state[5] = free_head
    state[6] = free_count
    state[7] = clock
    state[8] = 1 if flush else 0
    state[9] = k
    state[10] = f
    state[11] = m
    state[12] = reason
    return i
