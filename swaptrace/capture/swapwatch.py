"""Swap areas that are enabled or disabled while a recording runs, noticed through poll(2) on /proc/swaps.

The kernel wakes the poll after a swapon has enabled the area, and after a swapoff has emptied it (mm/swapfile.c,
swaps_poll).
"""

from __future__ import annotations

import dataclasses
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from swaptrace.capture.swaps import PROC_SWAPS, read_swaps
from swaptrace.model.meta import SwapChange, SwapDevice

__all__ = ["SwapTypes", "SwapWatch"]

_POLL_MS = 100  # how soon the thread ends; changes wake it at once


class SwapTypes:
    """The areas of a recording with the swap types that the kernel gave them, and the changes so far."""

    def __init__(self, devices: Sequence[SwapDevice]) -> None:
        self.devices = tuple(devices)
        self.active = {device.swap_type: i for i, device in enumerate(devices)}  # swap type -> index of the area
        self.changes: tuple[SwapChange, ...] = ()

    def fresh(self, now: Sequence[SwapDevice]) -> list[SwapDevice]:
        """Return the areas among those enabled ``now`` that were not before."""
        known = {(self.devices[i].path, self.devices[i].pages) for i in self.active.values()}
        return [device for device in now if (device.path, device.pages) not in known]

    def update(self, now: Sequence[SwapDevice], ts: int) -> None:
        """Take the areas that are enabled now, at ``ts``.

        A new area gets the lowest type that is free (alloc_swap_info() of mm/swapfile.c). Areas are told apart by
        their path and size.
        """
        there = {(device.path, device.pages) for device in now}
        for swap_type, index in list(self.active.items()):
            device = self.devices[index]
            if (device.path, device.pages) not in there:
                del self.active[swap_type]
                self.changes += (SwapChange(ts, False, index),)
        for device in self.fresh(now):
            swap_type = next(i for i in range(256) if i not in self.active)
            self.active[swap_type] = len(self.devices)
            self.changes += (SwapChange(ts, True, len(self.devices)),)
            self.devices += (dataclasses.replace(device, swap_type=swap_type),)


class SwapWatch:
    """Watches from ``__enter__`` to ``__exit__``. ``changed(types)`` is called in the watching thread after each
    change, ``widen(devices)`` before it with all areas, so that the recorder sees those of a new one; the time of the
    change is that of its return. What either raises is in ``error``.
    """

    def __init__(
        self,
        devices: Sequence[SwapDevice],
        widen: Callable[[Sequence[SwapDevice]], bool],
        changed: Callable[[SwapTypes], None],
        proc_swaps: Path = PROC_SWAPS,
    ) -> None:
        self.types = SwapTypes(devices)
        self.notes: list[str] = []
        self.error: Exception | None = None
        self._widen, self._changed, self._proc_swaps = widen, changed, proc_swaps
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swaptrace swaps", daemon=True)

    def __enter__(self) -> SwapWatch:
        self._file = os.open(self._proc_swaps, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.look()  # what changed since the areas were listed
            self._thread.start()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        os.close(self._file)

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._file, select.POLLPRI)
        try:
            while not self._ending.is_set():
                if poll.poll(_POLL_MS):
                    self.look()
        except Exception as error:
            self.error = error

    def look(self) -> None:
        """Compare with what is enabled now."""
        now, notes = read_swaps(self._proc_swaps)
        before = len(self.types.changes)
        fresh = self.types.fresh(now)
        if fresh and not self._widen((*self.types.devices, *fresh)):
            self.notes += [
                f"{device.path} was enabled during the recording: this recorder does not see its slots"
                for device in fresh
            ]
        self.types.update(now, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        self.notes += [note for note in notes if any(note.startswith(device.path) for device in fresh)]
        if len(self.types.changes) > before:
            self._changed(self.types)
