"""Clusters of a device that hold, or held since they were last empty, a slot that is a swap entry itself.

Rule, in order. A cluster is *mapped* from the first directly mapped slot that is handed out in it on, until it has no
slot in use: what is made for such a slot (a table of the cluster) is freed with the cluster's other tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, readable

__all__ = ["MappedClusters", "per_op"]


class MappedClusters:
    """Which of the ``clusters`` of a device are mapped, carried from batch to batch."""

    def __init__(self, clusters: int) -> None:
        self._mapped: Bools = np.zeros(clusters, np.bool_)

    def feed(self, cluster: Ints, used: Ints8, maps: Bools) -> Ints8:
        """Return int8[n], the change of the number of mapped clusters.

        Args:
            cluster: int64[n] of each slot that is handed out or given back, in order.
            used: int8[n], the change of the number of clusters in use.
            maps: bool[n], slots handed out as swap entries.
        """
        change = np.zeros(len(cluster), np.int8)
        if len(cluster) == 0 or not (maps.any() or self._mapped.any()):
            return change
        if engine_name() == "numba":
            _walk(
                readable(cluster, np.int64), readable(used, np.int8), readable(maps, np.bool_), self._mapped, change
            )  # fmt: skip
            return change
        # cluster by cluster, cut where one became empty: in each part the first that maps counts, and the end of it
        order = np.argsort(cluster.astype(np.min_scalar_type(len(self._mapped))), kind="stable")  # small: radix sort
        of, empty, maps = cluster[order], used[order] < 0, maps[order]
        first = np.ones(len(of), np.bool_)
        first[1:] = of[1:] != of[:-1]
        begins = first.copy()
        begins[1:] |= empty[:-1]
        part = np.cumsum(begins) - 1
        mapped = np.zeros(part[-1] + 1, np.bool_)  # by part
        mapped[part[first]] = self._mapped[of[first]]
        at = np.flatnonzero(maps & ~mapped[part])
        at = at[np.append(True, part[at[1:]] != part[at[:-1]])] if len(at) else at
        mapped[part[at]] = True
        ends = np.flatnonzero(empty & mapped[part])
        change[order[at]] = 1
        change[order[ends]] = -1
        mapped[part[ends]] = False
        last = np.append(np.flatnonzero(first[1:]), len(of) - 1)
        self._mapped[of[last]] = mapped[part[last]]
        return change


def per_op(at: Ints | Ints32, change: Ints8, ops: int) -> Ints32:
    """Return int32[ops], the sum of the changes of each op; ``at`` is whose each change is."""
    some = np.flatnonzero(change)
    return np.bincount(at[some], weights=change[some], minlength=ops).astype(np.int32)  # exact below 2**53


@loop
def _walk(cluster: Ints, used: Ints8, maps: Bools, mapped: Bools, change: Ints8) -> Any:
    """Run the slots in order and fill ``change``; return how many clusters came to be mapped."""
    begun = 0
    for i in range(len(cluster)):
        c = cluster[i]
        if used[i] < 0 and mapped[c]:
            mapped[c] = False
            change[i] = -1
        elif maps[i] and not mapped[c]:
            mapped[c] = True
            change[i] = 1
            begun += 1
    return begun
