"""Swap devices that lie behind one another: which clusters and slots are whose, and in which order they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.component import Area

__all__ = ["Ranks", "ranked"]


@dataclass(frozen=True)
class Ranks:
    """Devices as a cluster allocator asks them.

    ``usable`` bool[clusters * cluster] are the slots that can be handed out: neither headers nor behind a device's end.
    ``device`` int32[clusters] is each cluster's device; ``asked`` all devices by priority, the highest first, then by
    number; ``first`` where each group of one priority begins in it, and where the last one ends; ``group`` that of each
    device.
    """

    usable: Bools
    device: Ints32
    asked: Ints
    first: Ints
    group: Ints

    @property
    def capacity(self) -> Ints:
        """How many slots of each cluster can be handed out."""
        found: Ints = self.usable.reshape(len(self.device), -1).sum(axis=1)
        return found


def ranked(slots: int, cluster: int, areas: Sequence[Area]) -> Ranks:
    """Return the ranks of ``areas``, each beginning at a cluster boundary, in ``slots`` slots; none: all is one."""
    areas = areas or (Area(0, slots, 0),)
    clusters = -(-slots // cluster)
    usable = np.zeros(clusters * cluster, np.bool_)
    for area in areas:
        usable[area.first + 1 : area.first + area.slots] = True
    begin = np.array([area.first for area in areas])
    device = np.searchsorted(begin, np.arange(clusters) * cluster, side="right") - 1
    priority = np.array([area.priority for area in areas])
    asked = np.argsort(-priority, kind="stable")
    breaks = np.flatnonzero(np.diff(priority[asked])) + 1
    group = np.empty(len(areas), np.int64)
    group[asked] = np.searchsorted(breaks, np.arange(len(areas)), side="right")
    return Ranks(usable, device.astype(np.int32), asked, np.array([0, *breaks, len(areas)]), group)
