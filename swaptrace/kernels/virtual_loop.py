"""The virtual clusters as one loop; the rule is at the head of :mod:`swaptrace.kernels.virtual`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import LOWEST_BIT, Bools, Ints, Ints8, Ints16, Ints32, Words16, grown

__all__ = ["LoopVirtual"]


class LoopVirtual:
    """State of the loop; the free positions of a cluster are a bitmap of two levels.

    Memory is bounded by the most clusters that were ever allocated at once, not by the events.
    """

    def __init__(self, cpus: int, cluster: int) -> None:
        self._cluster = cluster
        words = -(-cluster // 32)
        in_word = np.minimum(cluster - 32 * np.arange(words), 32)
        self._empty_bits: Ints = (1 << in_word.astype(np.int64)) - 1
        self.entry_of: Ints = np.full(0, -1, np.int64)
        self._cached: Ints = np.full(cpus, -1, np.int64)
        # Storage: head of the chain of vacant numbers, then the number of the next epoch.
        self._heads: Ints = np.array([-1, 0], np.int64)
        self._free_bits: Ints = np.zeros(0, np.int64)
        self._free_words: Ints = np.zeros(0, np.int64)
        self._count: Ints32 = np.zeros(0, np.int32)
        self._key: Ints = np.zeros(0, np.int64)
        self._held: Bools = np.zeros(0, np.bool_)
        # Links 0 hold the ends of the partial list, so cluster c has the links c + 1.
        self._after: Ints = np.zeros(1, np.int64)
        self._before: Ints = np.zeros(1, np.int64)

    def run(self, frees: Bools, units: Ints32, on: Words16, key: Ints, position: Ints16, change: Ints8) -> int:
        """Run the ops and fill the last three arrays; return how many were done before a faulty one."""
        self.entry_of = grown(self.entry_of, int(units.max()) + 1, -1)
        done, n = 0, len(units)
        while True:
            done = _walk(
                done, frees, units, on, key, position, change, self._cluster, LOWEST_BIT, self.entry_of,
                self._cached, self._heads, self._free_bits, self._free_words, self._count, self._key,
                self._held, self._after, self._before,
            )  # fmt: skip
            if done == n or frees[done] or self.entry_of[units[done]] >= 0:
                return int(done)
            self._grow()

    def _grow(self) -> None:
        """Double the storage for clusters; the walk stopped because none is vacant."""
        old = len(self._count)
        new = max(64, 2 * old)
        words = len(self._empty_bits)
        self._free_bits = np.append(self._free_bits, np.tile(self._empty_bits, new - old))
        self._free_words = np.append(self._free_words, np.full(new - old, (1 << words) - 1))
        self._count = np.append(self._count, np.zeros(new - old, np.int32))
        self._key = np.append(self._key, np.full(new - old, -1))
        self._held = np.append(self._held, np.zeros(new - old, np.bool_))
        self._after = np.append(self._after, np.append(np.arange(old + 1, new), -1))
        self._before = np.append(self._before, np.zeros(new - old, np.int64))
        self._heads[0] = old


@loop
def _walk(
    start: int, frees: Bools, units: Ints32, on: Words16, key: Ints, position: Ints16, change: Ints8,
    cluster: int, lowest: Ints, entry_of: Ints, cached: Ints, heads: Ints, free_bits: Ints,
    free_words: Ints, count: Ints32, key_of: Ints, held: Bools, after: Ints, before: Ints,
) -> Any:  # fmt: skip
    """Run the ops from ``start``; return where it stopped: at the end, at a fault, or for want of storage."""
    words = (cluster + 31) // 32
    vacant = heads[0]
    epoch = heads[1]
    stop = len(units)
    for i in range(start, len(units)):
        unit = units[i]
        at = entry_of[unit]
        if frees[i]:
            if at < 0:
                stop = i
                break
            entry_of[unit] = -1
            c = at // cluster
            o = at - c * cluster
            key[i] = key_of[c]
            position[i] = o
            was_full = free_words[c] == 0
            free_bits[c * words + (o >> 5)] |= 1 << (o & 31)
            free_words[c] |= 1 << (o >> 5)
            count[c] -= 1
            if held[c]:
                continue
            link = c + 1
            if was_full:
                first = after[0]
                after[0] = link
                before[link] = 0
                after[link] = first
                before[first] = link
            elif count[c] == 0:
                after[before[link]] = after[link]
                before[after[link]] = before[link]
                after[link] = vacant
                vacant = c
                change[i] = -1
            continue
        if at >= 0:
            stop = i
            break
        cpu = on[i]
        c = cached[cpu]
        if c < 0:
            link = after[0]
            c = link - 1
            if link > 0:
                after[0] = after[link]
                before[after[link]] = 0
            else:
                if vacant < 0:
                    stop = i
                    break
                c = vacant
                vacant = after[c + 1]
                change[i] = 1
            cached[cpu] = c
            held[c] = True
        if count[c] == 0:
            key_of[c] = epoch
            epoch += 1
        w = lowest[(free_words[c] & -free_words[c]) % 37]
        bits = free_bits[c * words + w]
        o = (w << 5) + lowest[(bits & -bits) % 37]
        bits &= bits - 1
        free_bits[c * words + w] = bits
        if bits == 0:
            free_words[c] ^= 1 << w
            if free_words[c] == 0:
                cached[cpu] = -1
                held[c] = False
        count[c] += 1
        entry_of[unit] = c * cluster + o
        key[i] = key_of[c]
        position[i] = o
    heads[0] = vacant
    heads[1] = epoch
    return stop
