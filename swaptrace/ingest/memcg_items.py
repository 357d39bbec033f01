"""Numbers of vm_event_item in memcg:count_memcg_events. They depend on the kernel's configuration, so they come from
its /proc/vmstat."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Item", "ItemCodes"]


class Item(IntEnum):
    """The items that tell what swap did; the names in lower case are those of /proc/vmstat."""

    OTHER = 0
    PSWPIN = 1
    PSWPOUT = 2
    SWPIN_ZERO = 3
    SWPOUT_ZERO = 4
    ZSWPIN = 5
    ZSWPOUT = 6
    ZSWPWB = 7


# enum vm_event_item begins with PGPGIN, PGPGOUT, PSWPIN, PSWPOUT on every kernel with swap; the others move
_ALWAYS = {"pswpin": 2, "pswpout": 3}


class ItemCodes:
    """Item number -> :class:`Item`. ``vmstat`` has the lines of /proc/vmstat in their order.

    The number of an item is its line minus that of ``pgpgin`` (docs/recording.md). Without vmstat only pswpin
    and pswpout are known.
    """

    def __init__(self, vmstat: Mapping[str, int]) -> None:
        names = list(vmstat)
        start = names.index("pgpgin") if "pgpgin" in names else None
        numbers = {n: i - start for i, n in enumerate(names)} if start is not None else _ALWAYS
        self._table = np.zeros(max(numbers.values()) + 2, np.uint8)
        for item in Item:
            if numbers.get(item.name.lower(), -1) >= 0:
                self._table[numbers[item.name.lower()]] = item
        self.complete = Item.ZSWPOUT in self._table or Item.SWPOUT_ZERO in self._table

    def __call__(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the :class:`Item` of each number, OTHER for the rest."""
        return self._table.take(numbers.astype(np.int64), mode="clip")  # both ends of the table are OTHER
