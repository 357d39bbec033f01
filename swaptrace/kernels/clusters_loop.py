"""The clusters of a device as one loop; the rule is at the head of :mod:`swaptrace.kernels.clusters`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import LOWEST_BIT, Bools, Ints, Ints8, Ints16, Ints32, Words16, grown, shift_of

__all__ = ["LoopPhysical"]

_NOBODY_ASKS = (np.zeros(0, np.int16), np.zeros(0, np.int64))


class LoopPhysical:
    """State of the loop; the free slots are a bitmap of two levels, the lists are links between clusters."""

    def __init__(self, slots: int, cpus: int, cluster: int, spread: bool) -> None:
        self._cluster = cluster
        self._spread = spread
        clusters = -(-slots // cluster)
        self.slot_of: Ints = np.full(0, -1, np.int64)
        self._free_bits, self._free_words = _free_slots(slots, clusters, cluster)
        self._count: Ints32 = np.zeros(clusters, np.int32)
        self._held: Bools = np.zeros(clusters, np.bool_)
        # Two circular lists in one pair of arrays: `clusters` is the sentinel of the free list, +1 of nonfull.
        self._after: Ints = np.append(np.arange(1, clusters + 1), [0, clusters + 1])
        self._before: Ints = np.append(np.arange(-1, clusters - 1), [clusters - 1, clusters + 1])
        self._before[0] = clusters
        self._current: Ints = np.full(cpus, -1, np.int64)
        self._cursor: Ints = np.zeros(cpus, np.int64)

    def run(
        self, frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, passed: tuple[Ints16, Ints] | None
    ) -> int:
        """Run the ops and fill the last arrays; return how many were done before an impossible one."""
        self.slot_of = grown(self.slot_of, int(units.max()) + 1, -1)
        return int(
            _walk(
                frees, units, on, slot, change, *(passed or _NOBODY_ASKS), self._cluster, shift_of(self._cluster),
                self._spread, LOWEST_BIT,
                self.slot_of, self._free_bits, self._free_words, self._count, self._held, self._after, self._before,
                self._current, self._cursor,
            )
        )  # fmt: skip


def _free_slots(slots: int, clusters: int, cluster: int) -> tuple[Ints, Ints]:
    """Free slots as a bitmap of 32-bit words, and per cluster the set of its words that are not zero."""
    words = -(-cluster // 32)
    free = np.zeros((clusters, words * 32), np.bool_)
    free[:, :cluster] = np.arange(clusters * cluster).reshape(clusters, cluster) < slots
    free[0, 0] = False
    bits = free.reshape(-1, 32) @ (1 << np.arange(32, dtype=np.int64))
    return bits, (bits.reshape(clusters, words) != 0) @ (1 << np.arange(words, dtype=np.int64))


@loop
def _walk(
    frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, passed: Ints16, tail: Ints, cluster: int,
    shift: int, spread: bool, lowest: Ints, slot_of: Ints, free_bits: Ints, free_words: Ints, count: Ints32,
    held: Bools, after: Ints, before: Ints, current: Ints, cursor: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many were done (fewer than given: the next one is impossible)."""
    words = (cluster + 31) // 32
    asked = len(tail) > 0
    free_list = len(count)
    nonfull = free_list + 1
    first = free_list if spread else nonfull
    second = nonfull if spread else free_list
    for i in range(len(units)):
        unit = units[i]
        at = slot_of[unit]
        if frees[i]:
            if at < 0:
                return i
            slot_of[unit] = -1
            slot[i] = at
            c = at >> shift if shift >= 0 else at // cluster
            o = at - c * cluster
            was_full = free_words[c] == 0
            free_bits[c * words + (o >> 5)] |= 1 << (o & 31)
            free_words[c] |= 1 << (o >> 5)
            count[c] -= 1
            empty = count[c] == 0
            if empty:
                change[i] = -1
            if not held[c] and (empty or was_full):
                if not was_full:
                    after[before[c]] = after[c]
                    before[after[c]] = before[c]
                end = free_list if empty else nonfull
                last = before[end]
                after[last] = c
                before[c] = last
                after[c] = end
                before[end] = c
            continue
        if at >= 0:
            return i
        cpu = on[i]
        c = current[cpu]
        o = -1
        start = 0
        if c >= 0:
            o = cursor[cpu]
            start = o
            w = o >> 5
            bits = 0
            if o < cluster:
                bits = free_bits[c * words + w] & (-1 << (o & 31))
                if bits == 0:
                    later = free_words[c] & (-2 << w)
                    if later != 0:
                        w = lowest[(later & -later) % 37]
                        bits = free_bits[c * words + w]
            o = -1
            if bits != 0:
                o = (w << 5) + lowest[(bits & -bits) % 37]
                cursor[cpu] = o + 1
            else:
                current[cpu] = -1
                held[c] = False
                if free_words[c] != 0:
                    if asked and start < cluster:
                        tail[i] = c * cluster + start
                    end = free_list if count[c] == 0 else nonfull
                    last = before[end]
                    after[last] = c
                    before[c] = last
                    after[c] = end
                    before[end] = c
        if o < 0:
            c = after[first]
            if c == first:
                c = after[second]
            stolen = c == second
            if stolen:
                # Every other cluster is full, so the candidates are the current ones.
                for other in range(len(current)):
                    k = current[other]
                    if k >= 0 and free_words[k] != 0 and (c == second or k < c):
                        c = k
                if c == second:
                    return i
            w = lowest[(free_words[c] & -free_words[c]) % 37]
            bits = free_bits[c * words + w]
            o = (w << 5) + lowest[(bits & -bits) % 37]
            start = 1 if c == 0 else 0  # behind the swap header
            if not stolen:
                after[before[c]] = after[c]
                before[after[c]] = before[c]
                held[c] = True
                current[cpu] = c
                cursor[cpu] = o + 1
        w = c * words + (o >> 5)
        free_bits[w] ^= 1 << (o & 31)
        if free_bits[w] == 0:
            free_words[c] ^= 1 << (o >> 5)
        if count[c] == 0:
            change[i] = 1
        count[c] += 1
        at = c * cluster + o
        slot_of[unit] = at
        slot[i] = at
        if asked:
            passed[i] = o - start
    return len(units)
