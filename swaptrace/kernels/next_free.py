"""Slots of a swap device handed out in order of number, round and round: the next free one behind the last.

Rule. Slot 0 is the swap header. **Allocate**: the first free slot at or behind the cursor, which begins at slot 1;
behind the last slot it goes on at slot 1. The cursor moves behind the slot taken. **Free**: the slot can be handed out
again when the cursor comes to it. Clusters of 512 slots only count: one is in use while a slot of it is.

The kernel does not do this. It is the most sequential placement that writes in place can have, on any number of CPUs:
a bound for what an allocator can gain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.clusters import CLUSTER, raise_contradiction
from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown, readable, scalars
from swaptrace.model.errors import SpaceError

__all__ = ["NextFree"]


class NextFree:
    """Allocator of one swap device of ``slots`` slots, the header included; its rule is at the head of this module."""

    def __init__(self, slots: int) -> None:
        self._slot_of: Ints = np.full(0, -1, np.int64)
        self._free = bytearray(b"\1") * slots
        self._free[0] = 0
        self._count: Ints32 = np.zeros(-(-slots // CLUSTER), np.int32)
        self._state: Ints = np.array([1], np.int64)  # the cursor

    def feed(self, free: npt.ArrayLike, unit: npt.ArrayLike, cpu: npt.ArrayLike) -> tuple[Ints, Ints8]:
        """Allocate and free slots in order: as :meth:`swaptrace.kernels.clusters.PhysicalClusters.feed`."""
        frees, units = readable(free, np.bool_), readable(unit, np.int32)
        slot, change = np.empty(len(units), np.int64), np.zeros(len(units), np.int8)
        self._slot_of = grown(self._slot_of, int(units.max(initial=-1)) + 1, -1)
        if engine_name() == "numba":
            table = np.frombuffer(self._free, np.uint8)
            done = _walk(frees, units, slot, change, CLUSTER, self._slot_of, table, self._count, self._state)
        else:
            done = self._run(frees.tolist(), units.tolist(), scalars(slot), scalars(change))
        if done < len(units):
            raise_contradiction(bool(frees[done]), int(units[done]), int(self._slot_of[units[done]]))
            raise SpaceError(
                f"the replayed device is full: all {len(self._free) - 1} slots are taken",
                f"it has {len(self._free)} slots of 4 KiB, the first is the swap header",
                "give the policy a larger device, or record its real size with the trace",
            )
        return slot, change

    def _run(self, frees: list[bool], units: list[int], slot: memoryview, change: memoryview) -> int:
        """Run the ops, searching with C's memchr; return how many were done before an impossible one."""
        slot_of, count, free = scalars(self._slot_of), scalars(self._count), self._free
        find = free.find
        cursor = int(self._state[0])
        done = len(units)
        for i, (gives, unit) in enumerate(zip(frees, units, strict=True)):
            at = slot_of[unit]
            if gives != (at >= 0):
                done = i
                break
            if gives:
                free[at] = 1
                slot_of[unit] = -1
                count[at // CLUSTER] -= 1
                change[i] = -(count[at // CLUSTER] == 0)
            else:
                at = find(1, cursor)
                if at < 0:
                    at = find(1, 0, cursor)
                if at < 0:
                    done = i
                    break
                cursor = at + 1
                free[at] = 0
                slot_of[unit] = at
                change[i] = count[at // CLUSTER] == 0
                count[at // CLUSTER] += 1
            slot[i] = at
        self._state[0] = cursor
        return done


@loop
def _walk(
    frees: Bools, units: Ints32, slot: Ints, change: Ints8, cluster: int, slot_of: Ints, free: Bytes, count: Ints32,
    state: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many were done before an impossible one."""
    cursor = state[0]
    slots = len(free)
    for i in range(len(units)):
        at = slot_of[units[i]]
        if frees[i] != (at >= 0):
            state[0] = cursor
            return i
        if frees[i]:
            free[at] = 1
            slot_of[units[i]] = -1
            count[at // cluster] -= 1
            if count[at // cluster] == 0:
                change[i] = -1
        else:
            at = cursor
            while at < slots and free[at] == 0:
                at += 1
            if at == slots:
                at = 1
                while at < cursor and free[at] == 0:
                    at += 1
                if at >= cursor or free[at] == 0:
                    state[0] = cursor
                    return i
            cursor = at + 1
            free[at] = 0
            slot_of[units[i]] = at
            if count[at // cluster] == 0:
                change[i] = 1
            count[at // cluster] += 1
        slot[i] = at
    state[0] = cursor
    return len(units)
