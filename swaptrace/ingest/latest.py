"""For each raw event: the latest earlier events of its task that decide what it means (see reconstruct.py for the
rules)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.memcg_items import Item, ItemCodes
from swaptrace.ingest.raw import RawChunk, RawKind
from swaptrace.ingest.tasks import Tasks

__all__ = ["Latest"]

Array = NDArray[Any]


class Latest(Tasks):
    """Masks and latest positions over events in task order (:class:`Tasks`), each computed once for a chunk."""

    def __init__(self, events: RawChunk, items: ItemCodes) -> None:
        super().__init__(events.tid, events.kind == RawKind.EXIT)
        kind = events.kind[self.order]
        self.item = np.zeros(len(kind), np.uint8)
        self._memcg = kind == RawKind.MEMCG_EVENT
        memcg = np.flatnonzero(self._memcg)
        self.item[memcg] = items(events.value[self.order[memcg]])
        self.out = kind == RawKind.WRITE_FOLIO
        write, read, fault = (kind == k for k in (RawKind.BIO_WRITE, RawKind.BIO_READ, RawKind.FAULT))
        self.access = read | (self.item == Item.SWPIN_ZERO) | (self.item == Item.ZSWPIN)
        self.alloc = kind == RawKind.PAGE_ALLOC
        self.handle_alloc = kind == RawKind.HANDLE_ALLOC
        self.other = (kind == RawKind.BIO_DISCARD) | ((kind >= RawKind.EXEC) & (kind <= RawKind.LOST))
        self.other |= (kind == RawKind.SWAPON) | (kind == RawKind.SWAPOFF)
        over = kind == RawKind.FAULT_END
        self._bio = write | read
        self.memcg = bool(self._memcg.any())
        self.latest_out = self.latest(self.out)
        self.latest_fault = self.latest(fault)
        if over.any():
            self.latest_fault = np.where(self.latest(over) > self.latest_fault, np.int32(-1), self.latest_fault)
        out_item = (self.item == Item.PSWPOUT) | (self.item == Item.SWPOUT_ZERO) | (self.item == Item.ZSWPOUT)
        self.latest_out_item = self.latest(out_item)
        self.announced = self._announced(write)
        self.plain = write & ~self.announced
        self.latest_plain = self.latest(self.plain)
        self._latest_access = self.latest(self.access)
        self.first_alloc = np.zeros(len(kind), np.bool_)
        allocs = np.flatnonzero(self.alloc)
        if len(allocs):
            earlier = self.before(self.latest(self.alloc), allocs)
            fault_at = self.latest_fault[allocs]
            self.first_alloc[allocs] = (fault_at >= self.start[allocs]) & (earlier < fault_at)
        self.latest_first_alloc = self.latest(self.first_alloc)

    def _announced(self, write: NDArray[np.bool_]) -> NDArray[np.bool_]:
        wb = self.item == Item.ZSWPWB
        announced = np.zeros(len(write), np.bool_)
        self._latest_wb = self._latest_write_or_out = self._never
        if not wb.any():
            return announced
        bios = np.flatnonzero(write)
        self._latest_wb = self.latest(wb)
        self._latest_write_or_out = self.latest(write | self.out)
        announced[bios] = self._latest_wb[bios] > self.before(self._latest_write_or_out, bios)
        return announced

    def fault_of(self, at: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return the current fault of accesses ``at`` (below ``start``: none), and whether each is its first access."""
        fault = self.latest_fault[at]
        return fault, self.before(self._latest_access, at) < fault

    def name_memcg(self, events: RawChunk, fresh: NDArray[np.bool_], open_: NDArray[np.bool_]) -> None:
        """Write the memory cgroup of fresh bios into their ``extra``: that of the latest memcg event that still
        reigns."""
        self._latest_memcg = self.latest(self._memcg & open_)
        self._latest_end = self.latest(self._bio | self.out) if self.memcg else self._never  # what ends the reign
        if not self.memcg:
            return
        bios = np.flatnonzero(self._bio & fresh)
        latest = self._latest_memcg[bios]
        reigns = latest > self.before(self._latest_end, bios)
        events.extra[self.order[bios]] = np.where(reigns, events.extra[self.order[np.maximum(latest, 0)]], 0)

    def live(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return, in the original order, which events the next ones of their tasks may need, and which memcg events
        reign.

        Bios that wait are not among them.
        """
        ends = self.ends[~self.ended[self.ends]]
        kept, reigning = np.zeros(len(self.order), np.bool_), np.zeros(len(self.order), np.bool_)
        fault, out = self.latest_fault[ends], self.latest_out[ends]
        for marks, position, since in (
            (kept, fault, fault - 1),
            (kept, self._latest_access[ends], fault),
            (kept, self.latest_first_alloc[ends], fault),
            (kept, self.latest_out_item[ends], out),
            (kept, self._latest_wb[ends], self._latest_write_or_out[ends]),
            (reigning, self._latest_memcg[ends], self._latest_end[ends]),
        ):
            marks[self.order[position[(position >= self.start[ends]) & (position > since)]]] = True
        return kept, reigning
