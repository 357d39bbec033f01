"""Slots of a swap device as the kernel hands them out: 512-slot clusters, one current cluster per CPU.

Rule (order-0 allocation of the swap core since 6.12; mm/swapfile.c: cluster_alloc_swap_entry,
relocate_cluster):

* The device is cut into clusters of ``cluster`` slots; the last may be short. Slot 0 is the swap header: it
  is never handed out, and does not count as used. A cluster is *full* when none of its slots can be handed
  out, and *empty* when none has been handed out.
* The free list starts with all clusters in order of number; the nonfull list starts empty. No CPU has a
  cluster.
* **Allocate** on a CPU. If it has a current cluster, take the first free slot at or after its cursor; the
  cursor moves behind it. If there is none, the cluster leaves the CPU: if full it is on no list, if empty
  it goes to the tail of the free list, else to the tail of the nonfull list. Then the CPU's current cluster
  becomes the head of the free list, else the head of the nonfull list, and its lowest free slot is taken;
  the cursor moves behind it. If both lists are empty, *steal*: among the clusters that are current on any
  CPU take the lowest-numbered with a free slot, and its lowest free slot; neither list, cursor nor current
  cluster changes.
* **Free** a slot. A cluster that is current on a CPU stays there, even when empty. Any other cluster goes
  to the tail of the free list if it is now empty, else, if it was full, to the tail of the nonfull list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import LOWEST_BIT, Bools, Ints, Ints8, Ints32, Words16, grown, readable
from swaptrace.model.errors import SpaceError

__all__ = ["CLUSTER", "PhysicalClusters", "allocation_fault"]

CLUSTER = 512
"""Slots per cluster: SWAPFILE_CLUSTER with CONFIG_THP_SWAP on x86-64 and 4 KiB pages."""


class PhysicalClusters:
    """The cluster allocator of one swap device; the rule is at the head of this module.

    Args:
        slots: slots of the device, the header included; at least 2.
        cpus: ``cpu`` values are below this.
        cluster: slots per cluster, 2 to 1024.
    """

    def __init__(self, slots: int, cpus: int, cluster: int = CLUSTER) -> None:
        if slots < 2 or cpus < 1 or not 2 <= cluster <= 1024:
            raise ValueError(f"slots={slots} cpus={cpus} cluster={cluster}")
        self.slots = slots
        self.cpus = cpus
        self.cluster = cluster
        self.used = 0
        """Slots handed out now."""
        self.used_clusters = 0
        """Clusters with at least one slot handed out now."""
        clusters = -(-slots // cluster)
        self._slot_of: Ints = np.full(0, -1, np.int64)
        self._free_bits, self._free_words = _free_slots(slots, clusters, cluster)
        self._count: Ints32 = np.zeros(clusters, np.int32)
        self._held: Bools = np.zeros(clusters, np.bool_)
        # Two circular lists in one pair of arrays: `clusters` is the sentinel of the free list, +1 of
        # nonfull.
        self._after: Ints = np.append(np.arange(1, clusters + 1), [0, clusters + 1])
        self._before: Ints = np.append(np.arange(-1, clusters - 1), [clusters - 1, clusters + 1])
        self._before[0] = clusters
        self._current: Ints = np.full(cpus, -1, np.int64)
        self._cursor: Ints = np.zeros(cpus, np.int64)

    def feed(self, free: npt.ArrayLike, unit: npt.ArrayLike, cpu: npt.ArrayLike) -> tuple[Ints, Ints8]:
        """Allocate and free slots in order.

        Args:
            free: bool[n]; False allocates a slot for the unit, True frees the unit's slot.
            unit: int32[n] dense ids, each with at most one slot at a time.
            cpu: uint16[n]; matters to allocations only.

        Returns:
            ``slot`` int64[n], taken or released; ``clusters`` int8[n], the change of ``used_clusters``.

        Raises:
            SpaceError: an allocation found every slot taken. The ops before it have taken effect.
            ValueError: a unit allocated twice, or freed without a slot, or a CPU out of range.
        """
        frees, units, on = readable(free, np.bool_), readable(unit, np.int32), readable(cpu, np.uint16)
        n = len(units)
        slot, change = np.empty(n, np.int64), np.zeros(n, np.int8)
        if n == 0:
            return slot, change
        if int(on.max()) >= self.cpus:
            raise ValueError(f"cpu {int(on.max())} of {self.cpus}")
        self._slot_of = grown(self._slot_of, int(units.max()) + 1, -1)
        done = _walk(
            frees, units, on, slot, change, self.cluster, LOWEST_BIT, self._slot_of, self._free_bits,
            self._free_words, self._count, self._held, self._after, self._before, self._current, self._cursor,
        )  # fmt: skip
        self.used += done - 2 * int(np.count_nonzero(frees[:done]))
        self.used_clusters += int(change[:done].sum())
        if done < n:
            fault = allocation_fault(bool(frees[done]), int(units[done]), int(self._slot_of[units[done]]))
            raise fault or SpaceError(
                f"the replayed device is full: all {self.used} slots are taken",
                f"it has {self.slots} slots of 4 KiB, the first is the swap header",
                "give the policy a larger device, or record its real size with the trace",
            )
        return slot, change


def allocation_fault(freeing: bool, unit: int, held: int) -> ValueError | None:
    """Return the error of an op that contradicts what its unit holds (``held`` < 0: nothing), else None."""
    if freeing and held < 0:
        return ValueError(f"unit {unit} is freed but holds nothing")
    if not freeing and held >= 0:
        return ValueError(f"unit {unit} is allocated twice")
    return None


def _free_slots(slots: int, clusters: int, cluster: int) -> tuple[Ints, Ints]:
    """Free slots as a bitmap of 32-bit words, and per cluster the set of its words that are not zero."""
    words = -(-cluster // 32)
    free = np.zeros((clusters, words * 32), np.bool_)
    free[:, :cluster] = np.arange(clusters * cluster).reshape(clusters, cluster) < slots
    free[0, 0] = False
    bits = free.reshape(-1, 32) @ (1 << np.arange(32, dtype=np.int64))
    return bits, (bits.reshape(clusters, words) != 0) @ (1 << np.arange(words, dtype=np.int64))


@loop
def _walk(  # noqa: PLR0917
    frees: Bools, units: Ints32, on: Words16, slot: Ints, change: Ints8, cluster: int, lowest: Ints,
    slot_of: Ints, free_bits: Ints, free_words: Ints, count: Ints32, held: Bools,
    after: Ints, before: Ints, current: Ints, cursor: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many were done (fewer than given: the next one is impossible)."""
    words = (cluster + 31) // 32
    free_list = len(count)
    nonfull = free_list + 1
    for i in range(len(units)):
        unit = units[i]
        at = slot_of[unit]
        if frees[i]:
            if at < 0:
                return i
            slot_of[unit] = -1
            slot[i] = at
            c = at // cluster
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
        if c >= 0:
            o = cursor[cpu]
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
                    end = free_list if count[c] == 0 else nonfull
                    last = before[end]
                    after[last] = c
                    before[c] = last
                    after[c] = end
                    before[end] = c
        if o < 0:
            c = after[free_list]
            if c == free_list:
                c = after[nonfull]
            stolen = c == nonfull
            if stolen:
                # Every other cluster is full, so the candidates are the current ones.
                for other in range(len(current)):
                    k = current[other]
                    if k >= 0 and free_words[k] != 0 and (c == nonfull or k < c):
                        c = k
                if c == nonfull:
                    return i
            w = lowest[(free_words[c] & -free_words[c]) % 37]
            bits = free_bits[c * words + w]
            o = (w << 5) + lowest[(bits & -bits) % 37]
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
    return len(units)
