"""Which block devices are swap, and which slot a sector is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.raw import RawChunk, RawKind
from swaptrace.ingest.tasks import task_order
from swaptrace.model.meta import SwapChange, SwapDevice

__all__ = ["MAX_FOLIO_PAGES", "SlotMap", "folio_pages", "infer_devices", "parse_swaps"]

Array = NDArray[Any]
MAX_FOLIO_PAGES = 512  # a PMD-sized folio of 4 KiB pages
_SWAP_SHARE = 0.1  # zswap writeback writes the device without a write_folio, so not every write needs one

_FOLIO_PAGES = np.zeros(8 * MAX_FOLIO_PAGES + 2, np.int64)  # by sectors; the last entry stands for all larger sizes
for _pages in (1 << order for order in range(MAX_FOLIO_PAGES.bit_length())):
    _FOLIO_PAGES[8 * _pages] = _pages


def folio_pages(sectors: Array) -> NDArray[np.int64]:
    """Return the pages of a swap bio, 0 where its size is none of a folio (8 sectors times a power of two)."""
    return _FOLIO_PAGES.take(sectors, mode="clip")


class SlotMap:
    """Sector of a block event -> device (index into ``devices``) and slot. A device takes part while it is enabled, as
    ``changes`` tell: what happens on the disk before and after is not swap."""

    def __init__(self, devices: Sequence[SwapDevice], changes: Sequence[SwapChange] = ()) -> None:
        self.devices = tuple(devices)
        always = np.iinfo(np.int64)
        self._since = {change.device: change.ts for change in changes if change.on}
        self._until = {change.device: change.ts for change in changes if not change.on}
        self._always = (int(always.min), int(always.max))
        self.devs = np.array([d.dev for d in self.devices], np.uint32)
        self.types = np.array([d.swap_type for d in self.devices], np.uint8)

    def __call__(
        self, dev: Array, sector: Array, pages: Array, ts: Array
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """Return ``(device, slot)`` of each bio: -1, -1 where it is outside all swap areas or in a header page."""
        which = np.full(len(dev), -1, np.int16)
        slot = np.full(len(dev), -1, np.int64)
        for i, device in enumerate(self.devices):
            rows = np.flatnonzero((dev == device.dev) & (which < 0))
            if not len(rows):
                continue
            found = _extent_slots(device, sector[rows], pages[rows]) if device.extents else _slots(device, sector[rows])
            inside = found >= 1  # slot 0 is the header
            if i in self._since or i in self._until:
                inside &= ts[rows] >= self._since.get(i, self._always[0])
                inside &= ts[rows] <= self._until.get(i, self._always[1])
            if device.pages:
                inside &= found + pages[rows] <= device.pages
            hits = np.flatnonzero(inside)
            which[rows[hits]] = i
            slot[rows[hits]] = found[hits]
        return which, slot


def _slots(device: SwapDevice, sector: Array) -> NDArray[np.int64]:
    relative = sector.astype(np.int64) - device.start_sector
    return np.where(relative & 7 == 0, relative >> 3, -1)


def _extent_slots(device: SwapDevice, sector: Array, pages: Array) -> NDArray[np.int64]:
    table = np.array(sorted(device.extents, key=lambda e: e[1]), np.int64)
    at = np.searchsorted(table[:, 1], sector.astype(np.int64), "right") - 1
    page, start, length = (table[np.maximum(at, 0), i] for i in range(3))
    relative = sector.astype(np.int64) - start
    inside = (at >= 0) & (relative & 7 == 0) & ((relative >> 3) + pages <= length)
    return np.where(inside, page + (relative >> 3), -1)


def infer_devices(*chunks: RawChunk) -> tuple[SwapDevice, ...]:
    """Return the devices that behave like swap: many of their folio-sized writes come right before a write_folio.

    "Right before": the next write bio or write_folio of the same task is a write_folio. Their start sector is taken
    as 0, so the slots of a partition or a swap file are shifted, but distinct.
    """
    rows = [
        np.flatnonzero((c.kind == RawKind.WRITE_FOLIO) | ((c.kind == RawKind.BIO_WRITE) & (folio_pages(c.count) > 0)))
        for c in chunks
    ]
    kind, tid, dev = (
        np.concatenate([getattr(c, name)[r] for c, r in zip(chunks, rows, strict=True)])
        for name in ("kind", "tid", "dev")
    )
    order = task_order(tid)
    kind, tid, dev = kind[order], tid[order], dev[order]
    bio = kind == RawKind.BIO_WRITE
    followed = np.zeros(len(kind), np.bool_)
    followed[:-1] = bio[:-1] & (kind[1:] == RawKind.WRITE_FOLIO) & (tid[1:] == tid[:-1])
    bios = np.flatnonzero(bio)
    devs = np.unique(dev[bios])
    where = np.searchsorted(devs, dev[bios])
    pairs = np.bincount(where, weights=followed[bios], minlength=len(devs))
    writes = np.bincount(where, minlength=len(devs))
    swap = devs[(pairs > 0) & (pairs >= _SWAP_SHARE * writes)]
    return tuple(SwapDevice(swap_type=min(i, 254), dev=int(d)) for i, d in enumerate(swap))


def parse_swaps(text: str) -> list[SwapDevice]:
    """Return the swap areas of a ``/proc/swaps`` text, without device numbers (0), in order of their type.

    Sizes are in KiB there and do not count the header page.
    """
    out = []
    for i, line in enumerate(text.splitlines()[1:]):
        parts = line.split()
        if len(parts) < 5:
            continue
        kind = "file" if parts[1] == "file" else "zram" if "/zram" in parts[0] else "disk"
        out.append(
            SwapDevice(
                swap_type=i,
                dev=0,
                path=parts[0],
                kind=kind,
                pages=int(parts[2]) // 4 + 1,
                priority=int(parts[4]),
            )
        )
    return out
