"""Raw events with the swap area, the slot and the pages of each bio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.devices import SlotMap, folio_pages
from swaptrace.ingest.memcg_items import Item, ItemCodes
from swaptrace.ingest.raw import FIELDS, Findings, RawChunk, RawKind

__all__ = ["Placed", "Placer"]

Array = NDArray[Any]
MAX_DISCARD_PAGES = 4096  # a free cluster is 512; swapon -d discards the whole area, before it holds anything


@dataclass(frozen=True)
class Placed:
    """Events with, for bios, the device (index), the slot and the pages; ``seq`` numbers them over all chunks."""

    events: RawChunk
    seq: NDArray[np.int64]
    device: NDArray[np.int16]
    slot: NDArray[np.int64]
    pages: NDArray[np.int64]
    open: NDArray[np.bool_]  # carried bios that still wait for a write_folio, memcg events that still reign

    def after(self, earlier: Placed, keep: Array) -> Placed:
        """Return ``earlier`` and then the rows ``keep`` of this one."""
        names = ("seq", "device", "slot", "pages", "open")
        events = {n: _append(getattr(earlier.events, n), getattr(self.events, n), keep) for n in FIELDS}
        return Placed(RawChunk(**events), *(_append(getattr(earlier, n), getattr(self, n), keep) for n in names))

    def take(self, keep: Array) -> Placed:
        """Return the rows ``keep``."""
        return Placed(
            self.events.take(keep),
            self.seq[keep],
            self.device[keep],
            self.slot[keep],
            self.pages[keep],
            self.open[keep],
        )


class Placer:
    """Gives bios their places; counts those that are skipped (:class:`SlotMap`), numbers all events."""

    def __init__(self, slots: SlotMap, items: ItemCodes, findings: Findings) -> None:
        self._slots = slots
        self._items = items
        self._findings = findings
        self._next_seq = 0

    def __call__(self, chunk: RawChunk) -> tuple[Placed, Array]:
        """Return the events of a chunk with the places of bios, and the rows that matter at all."""
        kind = chunk.kind
        keep = kind != RawKind.MAJOR_FAULT
        pages = np.zeros(len(chunk), np.int64)
        device, slot = np.full(len(chunk), -1, np.int16), np.full(len(chunk), -1, np.int64)
        bio = np.flatnonzero((kind >= RawKind.BIO_WRITE) & (kind <= RawKind.BIO_DISCARD))
        if len(bio):
            sectors, discard = chunk.count[bio], kind[bio] == RawKind.BIO_DISCARD
            size = np.where(discard, sectors.astype(np.int64) >> 3, folio_pages(sectors))
            device[bio], slot[bio] = self._slots(chunk.dev[bio], chunk.value[bio], size, chunk.ts[bio])
            outside = device[bio] < 0
            odd = ~outside & ((size == 0) | (discard & (size > MAX_DISCARD_PAGES)))
            self._findings.skip("bios outside the swap areas", int(np.count_nonzero(outside)))
            self._findings.skip("bios of the swap areas that are none of a folio", int(np.count_nonzero(odd)))
            keep[bio[np.flatnonzero(outside | odd)]] = False
            pages[bio] = size
        item = np.flatnonzero(kind == RawKind.MEMCG_EVENT)
        keep[item] = self._items(chunk.value[item]) > 0
        seq = np.arange(self._next_seq, self._next_seq + len(chunk))
        self._next_seq += len(chunk)
        return Placed(chunk, seq, device, slot, pages, np.zeros(len(chunk), np.bool_)), np.flatnonzero(keep)

    def is_access(self, chunk: RawChunk) -> NDArray[np.bool_]:
        """Return which events bring a page in: reads of swap areas, and swap-ins without a bio."""
        found: NDArray[np.bool_] = chunk.kind == RawKind.MEMCG_EVENT
        found[found] = np.isin(self._items(chunk.value[found]), (Item.SWPIN_ZERO, Item.ZSWPIN))
        read = np.flatnonzero(chunk.kind == RawKind.BIO_READ)
        size = folio_pages(chunk.count[read])
        device, _ = self._slots(chunk.dev[read], chunk.value[read], size, chunk.ts[read])
        found[read] = (device >= 0) & (size > 0)
        return found


def _append(earlier: Array, later: Array, keep: Array) -> Array:
    """Return ``earlier`` and then the items ``keep`` of ``later``, copied once."""
    if len(keep) == len(later):
        return np.concatenate([earlier, later])
    out = np.empty(len(earlier) + len(keep), later.dtype)
    out[: len(earlier)] = earlier
    later.take(keep, out=out[len(earlier) :], mode="clip")
    return out
