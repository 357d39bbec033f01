"""Slots of a swap device as the kernel hands them out: 512-slot clusters, one current cluster per CPU.

Rule (order-0 allocation of the swap core since 6.18; mm/swapfile.c: cluster_alloc_swap_entry,
relocate_cluster; nonfull before free clusters since "mm, swap: prefer nonfull over free clusters",
20250804172439.2331-3-ryncsn@gmail.com; before, and with discard since, free ones come first):

* The device is cut into clusters of ``cluster`` slots; the last may be short. Slot 0 is the swap header: it
  is never handed out, and does not count as used. A cluster is *full* when none of its slots can be handed
  out, and *empty* when none has been handed out.
* The free list starts with all clusters in order of number; the nonfull list starts empty. No CPU has a
  cluster.
* **Allocate** on a CPU. If it has a current cluster, take the first free slot at or after its cursor; the
  cursor moves behind it. If there is none, the cluster leaves the CPU: if full it is on no list, if empty
  it goes to the tail of the free list, else to the tail of the nonfull list. Then the CPU's current cluster
  becomes the head of the nonfull list, else the head of the free list (a device with discard takes them in
  the other order, to spread its writes), and its lowest free slot is taken; the cursor moves behind it. If
  both lists are empty, *steal*: among the clusters that are current on any CPU take the lowest-numbered with
  a free slot, and its lowest free slot; neither list, cursor nor current cluster changes.
* **Free** a slot. A cluster that is current on a CPU stays there, even when empty. Any other cluster goes
  to the tail of the free list if it is now empty, else, if it was full, to the tail of the nonfull list.
* An allocation **passes over** the slots in use that it looks at on its way: all between the place where it
  begins to look in a cluster (the cursor of the current cluster; the first slot of one that it takes or steals
  from) and the slot that it takes. If the current cluster, not being full, has no free slot at or after the
  cursor, the slots from there to its end are passed over first. A full cluster is not looked at
  (alloc_swap_scan_cluster compares its count first).

Several devices lie behind one another, each from a cluster boundary on. The first slot of each is its header, and each
has a free and a nonfull list of its own; a CPU has one current cluster, on whichever device (percpu_swap_cluster). So
priorities are not strict: a CPU uses its cluster up, whatever became free elsewhere. When it needs another one, it asks
the devices from the highest priority down; those of one priority from the one whose turn it is, in order of number at
first (folio_alloc_swap, swap_alloc_fast, swap_alloc_slow: plist_requeue). A device that is asked passes its turn on,
whether it has a cluster on its lists or not. The first that has one gives it, as above. If none has, *steal*, from the
devices of the highest priority of which a CPU has a cluster with a free slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.areas import ranked
from swaptrace.kernels.clusters_lists import ListPhysical
from swaptrace.kernels.clusters_loop import LoopPhysical
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import Ints, Ints8, Ints16, readable
from swaptrace.model.component import Area
from swaptrace.model.errors import SpaceError

__all__ = ["CLUSTER", "Passed", "PhysicalClusters", "raise_contradiction"]

CLUSTER = 512
"""Slots per cluster: SWAPFILE_CLUSTER with CONFIG_THP_SWAP on x86-64 and 4 KiB pages."""


class Passed(NamedTuple):
    """Which slots in use each op passed over; a caller that wants to know gives room for n ops.

    ``before`` int16[n]: how many lie directly before the slot that it took. ``tail`` int64[n]: the slot from which
    on those to the end of their cluster were passed over first, -1 for none. Frees pass over none.
    """

    before: Ints16
    tail: Ints

    @classmethod
    def room(cls, n: int) -> Passed:
        """Return room for ``n`` ops."""
        return cls(np.zeros(n, np.int16), np.full(n, -1, np.int64))


class PhysicalClusters:
    """The cluster allocator of one swap device; the rule is at the head of this module.

    The engine in force when it is made chooses between a compiled loop and runs over Python lists; both are exact.

    Args:
        slots: slots of the device, the header included; at least 2.
        cpus: ``cpu`` values are below this.
        cluster: slots per cluster, 2 to 1024.
        spread: free clusters before nonfull ones.
        areas: several devices in these slots, by number: first slot, slots, priority of each.
    """

    def __init__(
        self, slots: int, cpus: int, cluster: int = CLUSTER, spread: bool = False, areas: Sequence[Area] = ()
    ) -> None:
        if slots < 2 or cpus < 1 or not 2 <= cluster <= 1024:
            raise ValueError(f"slots={slots} cpus={cpus} cluster={cluster}")
        self.slots = slots
        self.cpus = cpus
        self.cluster = cluster
        self.used = 0
        """Slots handed out now."""
        self.used_clusters = 0
        """Clusters with at least one slot handed out now."""
        self.ends = np.array([area.first + area.slots for area in areas] or [slots])
        """The slot behind each device."""
        # Several devices are rare: the lists know one, the interpreted loop takes the others.
        self._device: LoopPhysical | ListPhysical
        if engine_name() == "numba" or len(areas) > 1:
            self._device = LoopPhysical(slots, cpus, cluster, spread, ranked(slots, cluster, areas))
        else:
            self._device = ListPhysical(slots, cpus, cluster, spread)

    def feed(
        self, free: npt.ArrayLike, unit: npt.ArrayLike, cpu: npt.ArrayLike, passed: Passed | None = None
    ) -> tuple[Ints, Ints8]:
        """Allocate and free slots in order.

        Args:
            free: bool[n]; False allocates a slot for the unit, True frees the unit's slot.
            unit: int32[n] dense ids, each with at most one slot at a time.
            cpu: uint16[n]; matters to allocations only.
            passed: filled with what the allocations passed over, if it is given.

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
        done = self._device.run(frees, units, on, slot, change, passed)
        if passed is not None:
            tails = np.flatnonzero(passed.tail >= 0)  # few
            passed.tail[tails[np.isin(passed.tail[tails], self.ends)]] = -1  # the end of a short last cluster
        self.used += done - 2 * int(np.count_nonzero(frees[:done]))
        self.used_clusters += int(change[:done].sum())
        if done < n:
            raise_contradiction(bool(frees[done]), int(units[done]), int(self._device.slot_of[units[done]]))
            raise SpaceError(
                f"the replayed device is full: all {self.used} slots are taken",
                f"it has {self.slots} slots of 4 KiB, the first of each device is the swap header",
                "give the policy a larger device, or record its real size with the trace",
            )
        return slot, change


def raise_contradiction(freeing: bool, unit: int, held: int) -> None:
    """Raise ValueError if an op contradicts what its unit holds (``held`` < 0: nothing)."""
    if freeing and held < 0:
        raise ValueError(f"unit {unit} is freed but holds nothing")
    if not freeing and held >= 0:
        raise ValueError(f"unit {unit} is allocated twice")
