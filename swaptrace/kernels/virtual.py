"""Entries of the virtual swap space: clusters made on demand, one cached cluster per CPU.

Rule (order 0 of vswap v6; mm/vswap.c: vswap_alloc, vswap_free):

* The space has no end. A cluster has ``cluster`` positions and exists from its first allocation until it is
  freed.
* **Allocate** on a CPU: in its cached cluster; if it has none, in the partial cluster that was added to the
  partial list most recently, which leaves the list; if there is none, in a new cluster. The lowest free
  position is taken, and the cluster is the CPU's cached one from then on, unless it is now full: then it
  leaves the CPU at once.
* **Free** a position. If the cluster is not cached on a CPU: one that was full is added to the partial
  list; one that is now empty leaves the list and is freed. A cached cluster stays allocated, even when
  empty.
* The **key** of an op names the cluster and its *epoch*: epochs are numbered 0, 1, ... in the order in
  which empty (or new) clusters receive their first entry. A CPU's lookup cache entry dies when the cluster
  becomes empty, so two ops hit the same cluster with no such moment between them exactly if their keys are
  equal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swaptrace.kernels.clusters import CLUSTER, raise_contradiction
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import Ints, Ints8, Ints16, readable
from swaptrace.kernels.virtual_lists import ListVirtual
from swaptrace.kernels.virtual_loop import LoopVirtual

__all__ = ["VirtualClusters"]


class VirtualClusters:
    """The clusters of one virtual swap space; the rule is at the head of this module.

    The engine in force when it is made chooses between a compiled loop and runs over Python lists; both are exact.

    Args:
        cpus: ``cpu`` values are below this.
        cluster: positions per cluster, 2 to 1024.
    """

    def __init__(self, cpus: int, cluster: int = CLUSTER) -> None:
        if cpus < 1 or not 2 <= cluster <= 1024:
            raise ValueError(f"cpus={cpus} cluster={cluster}")
        self.cpus = cpus
        self.cluster = cluster
        self.allocated = 0
        """Clusters allocated now, the cached ones included."""
        self.used = 0
        """Positions in use now."""
        form = LoopVirtual if engine_name() == "numba" else ListVirtual
        self._space: LoopVirtual | ListVirtual = form(cpus, cluster)

    def feed(self, free: npt.ArrayLike, unit: npt.ArrayLike, cpu: npt.ArrayLike) -> tuple[Ints, Ints16, Ints8]:
        """Allocate and free entries in order.

        Args:
            free: bool[n]; False allocates an entry for the unit, True frees the unit's entry.
            unit: int32[n] dense ids, each with at most one entry at a time.
            cpu: uint16[n]; matters to allocations only.

        Returns:
            ``key`` int64[n]; ``position`` int16[n] inside the cluster; ``clusters`` int8[n], the change of
            ``allocated``. A unit keeps its key and position until it is freed.

        Raises:
            ValueError: a unit allocated twice, or freed without an entry, or a CPU out of range.
        """
        frees, units, on = readable(free, np.bool_), readable(unit, np.int32), readable(cpu, np.uint16)
        n = len(units)
        key, position, change = np.empty(n, np.int64), np.empty(n, np.int16), np.zeros(n, np.int8)
        if n == 0:
            return key, position, change
        if int(on.max()) >= self.cpus:
            raise ValueError(f"cpu {int(on.max())} of {self.cpus}")
        done = self._space.run(frees, units, on, key, position, change)
        if done < n:
            raise_contradiction(bool(frees[done]), int(units[done]), int(self._space.entry_of[units[done]]))
        self.used += n - 2 * int(np.count_nonzero(frees))
        self.allocated += int(change.sum())
        return key, position, change
