"""What each of several swap devices holds, writes and reads: figures by the number of the device in the recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import PAGE, Area
from swaptrace.model.ledger import Ledger

__all__ = ["PerDevice", "device_of"]

Ints = NDArray[np.int64]


def device_of(areas: Sequence[Area], page: Ints) -> Ints:
    """Return the device on which each page lies."""
    return np.searchsorted([area.first for area in areas], page, side="right") - 1


class PerDevice:
    """Figures of the devices ``areas``, which lie behind one another."""

    def __init__(self, areas: Sequence[Area], ledger: Ledger) -> None:
        self._areas, self._ledger = areas, ledger

    def traffic(self, written: Ints, read: Ints) -> None:
        """Count pages written and read."""
        for name, pages in (("written", written), ("read", read)):
            counts = np.bincount(device_of(self._areas, pages), minlength=len(self._areas))
            for number, count in enumerate(counts.tolist(), 1):
                self._ledger.count(f"devices.{number}.{name}", count)

    def hold(self, at: Ints, slot: Ints, giving: NDArray[np.bool_], n: int) -> None:
        """Hold the slots that the ops ``at`` (of n) take or give."""
        device = device_of(self._areas, slot)
        for number in range(len(self._areas)):
            here = device == number
            taken, given = (np.bincount(at[here & mask], minlength=n) for mask in (~giving, giving))
            self._ledger.hold(f"devices.{number + 1}.pages", (taken - given).astype(np.int8))

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what each device held, wrote and read."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        for number in range(1, len(self._areas) + 1):
            gauge = gauges.get(f"devices.{number}.pages")
            yield f"devices.{number}.pages_peak", gauge.peak if gauge else 0
            yield f"devices.{number}.written_bytes", PAGE * counts[f"devices.{number}.written"]
            yield f"devices.{number}.read_bytes", PAGE * counts[f"devices.{number}.read"]
