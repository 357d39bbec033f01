"""Dense handles for swap slots: tables are bounded by the slots that were ever touched, not by device size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.model.errors import InputError

__all__ = ["PageHandles", "SlotHandles"]

_MOST_CLUSTERS = 1 << 26
_RUN = 512  # handles are given out in aligned runs of one cluster, so that the map has one entry per cluster


class SlotHandles:
    """Map (device key, slot) to a handle. Device keys are small integers; slots any non-negative number."""

    def __init__(self) -> None:
        self._runs: dict[int, NDArray[np.int32]] = {}
        self.count = 0  # handles given out so far

    def reserve_run(self) -> int:
        """Take one run of handles for another use and return its first handle."""
        self.count += _RUN
        return self.count - _RUN

    def of(self, device: NDArray[Any], slot: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return int32 handles of ``slot`` on ``device`` (same length)."""
        if len(slot) == 0:
            return np.empty(0, np.int32)
        low = int(device.min())
        if low == int(device.max()):
            return self._on(low, slot)
        handles = np.empty(len(slot), np.int32)
        for key in np.unique(device).tolist():
            here = device == key
            handles[here] = self._on(key, slot[here])
        return handles

    def _on(self, device: int, slot: NDArray[np.int64]) -> NDArray[np.int32]:
        cluster = slot >> 9
        if int(cluster.max()) >= _MOST_CLUSTERS:
            raise InputError(
                f"the trace has slot {int(slot.max()):,} on swap device {device}.",
                f"No swap device has more than {_MOST_CLUSTERS * _RUN:,} slots (128 TiB).",
                "swaptrace validate names the rows; record or import the trace again.",
            )
        runs = grown(self.runs(device), int(cluster.max()) + 1, -1)
        base = runs[cluster]
        if (missing := base < 0).any():
            fresh = np.unique(cluster[missing])
            runs[fresh] = self.count + _RUN * np.arange(len(fresh), dtype=np.int32)
            self.count += _RUN * len(fresh)
            base = runs[cluster]
        self._runs[device] = runs
        handles: NDArray[np.int32] = base + (slot & (_RUN - 1)).astype(np.int32)
        return handles

    def runs(self, device: int) -> NDArray[np.int32]:
        """Return the first handle of each cluster of ``device``, -1 where it has none."""
        return self._runs.get(device, np.empty(0, np.int32))

    def on_device(self, device: int) -> NDArray[np.int32]:
        """Return all handles of ``device``, in slot order."""
        runs = self.runs(device)
        return np.add.outer(runs[runs >= 0], np.arange(_RUN, dtype=np.int32)).ravel()


class PageHandles:
    """Map (owner, page) keys to handles, for pages that a recording shows without a slot."""

    def __init__(self, slots: SlotHandles) -> None:
        self._slots = slots
        self._keys = np.empty(0, np.int64)  # sorted
        self._handles = np.empty(0, np.int32)  # of each key
        self._spare: list[int] = []

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the handles of ``key``, -1 where it has none."""
        if len(self._keys) == 0:
            return np.full(len(key), -1, np.int32)
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        return np.where(self._keys[at] == key, self._handles[at], -1).astype(np.int32)

    def of(self, key: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the handles of ``key``, giving new ones out where needed."""
        fresh = np.unique(key[self.find(key) < 0])
        if len(fresh):
            while len(self._spare) < len(fresh):
                first = self._slots.reserve_run()
                self._spare.extend(range(first + _RUN - 1, first - 1, -1))
            taken = np.array([self._spare.pop() for _ in range(len(fresh))], np.int32)
            keys = np.concatenate([self._keys, fresh])
            order = np.argsort(keys)
            self._keys = keys[order]
            self._handles = np.concatenate([self._handles, taken])[order]
        return self.find(key)

    def forget(self, live: NDArray[np.bool_]) -> None:
        """Take back the handles of keys whose object is not live (``live`` by handle): memory stays bounded."""
        alive = live[self._handles]
        self._spare.extend(self._handles[~alive].tolist())
        self._keys, self._handles = self._keys[alive], self._handles[alive]
