"""Which slot of zram a zsmalloc handle stands for: learned from its allocation inside the write of the slot.

zram keeps every stored page under a handle and releases it when the swap layer frees the slot
(swap_slot_free_notify), so the release of the handle is the free of the slot, at its own time and in its own task.
Handles are kernel addresses and are used again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.latest import Latest
from swaptrace.ingest.raw import RawChunk, RawKind

__all__ = ["HandleSlots", "stores"]

Array = NDArray[Any]


class HandleSlots:
    """The slot of each live handle; bounded by the pages that zram holds."""

    def __init__(self) -> None:
        self._handle = np.zeros(0, np.uint64)
        self._device = np.zeros(0, np.int16)
        self._slot = np.zeros(0, np.int64)

    def resolve(
        self, handle: Array, at: Array, device: Array, slot: Array, asked: Array, asked_at: Array
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """Apply a chunk of changes and answer its questions, in the order of their positions.

        A change at position ``at`` makes ``handle`` stand for ``(device, slot)``, or for nothing where ``device`` is
        -1. Returns device and slot of each ``asked`` handle just before its position ``asked_at``, -1 and -1 where
        unknown. Changes of one handle have distinct positions.
        """
        count = len(handle)
        known = np.concatenate([self._handle, handle.astype(np.uint64), asked.astype(np.uint64)])
        unique, code = np.unique(known, return_inverse=True)
        held = len(self._handle)
        # Per handle: what it stood for before the chunk (position -1), then changes and questions by their positions;
        # a question comes before the change of its own position.
        place = np.concatenate([np.full(held, -1, np.int64), 2 * at + 1, 2 * asked_at]).astype(np.int64)
        order = np.lexsort((place, code))
        is_change = order < held + count
        latest = np.maximum.accumulate(np.where(is_change, np.arange(len(order)), -1))
        same = (latest >= 0) & (code[order[np.maximum(latest, 0)]] == code[order])
        source = order[np.maximum(latest, 0)]
        all_device = np.concatenate([self._device, device.astype(np.int16)])
        all_slot = np.concatenate([self._slot, slot.astype(np.int64)])
        question = np.flatnonzero(~is_change)
        mine = order[question] - held - count
        found = np.zeros(len(asked), np.bool_)
        found[mine] = same[question]
        origin = np.zeros(len(asked), np.int64)
        origin[mine] = np.where(same[question], source[question], 0)
        if not len(all_device):
            return np.full(len(asked), -1, np.int16), np.full(len(asked), -1, np.int64)
        out_device = np.where(found, all_device[origin], -1).astype(np.int16)
        out_slot = np.where(out_device >= 0, all_slot[origin], -1)
        last = np.full(len(unique), -1, np.int64)
        changes = order[is_change]
        last[code[changes]] = changes  # in order: the last one stays
        live = np.flatnonzero((last >= 0) & (all_device[np.maximum(last, 0)] >= 0))
        self._handle, self._device, self._slot = unique[live], all_device[last[live]], all_slot[last[live]]
        return out_device, out_slot


def stores(
    find: Latest, events: RawChunk, outs: Array, bios: Array, pages: Array, waits: NDArray[np.bool_]
) -> tuple[Array, Array, Array, Array]:
    """Return which handles each write to zram stored its folio under.

    ``outs`` are positions of write_folios, ``bios`` those of their bios (-1: none), ``pages`` the sizes of those bios,
    ``waits`` marks positions of bios that wait for their write_folio. Returns ``(index of the allocation, index into
    outs, page of the folio)``, one entry per stored page, and the indices of the allocations whose write_folio may
    still come.
    """
    allocs = np.flatnonzero(find.handle_alloc)
    none = np.zeros(0, np.int64)
    if not len(allocs):
        return none, none, none, none
    order, kind = find.order, events.kind
    following = np.searchsorted(outs, allocs)
    which = np.minimum(following, max(len(outs) - 1, 0))
    decided = np.zeros(len(allocs), np.bool_)
    inside = np.zeros(len(allocs), np.bool_)
    until = np.full(len(allocs), len(kind), np.int64)
    if len(outs):
        decided = (following < len(outs)) & (outs[which] <= find.end[allocs])
        inside = decided & (bios[which] >= 0) & (bios[which] < allocs)
        until = np.where(decided, order[outs[which]], until)
    index = order[allocs]
    held = _next(events, index) >= until  # nothing became of the handle before the write was over
    pending = find.latest_plain[find.end[allocs]]
    waiting = index[~decided & held & (pending >= 0) & waits[np.maximum(pending, 0)] & (pending < allocs)]
    index, which = index[inside & held], which[inside & held]
    if not len(index):
        return none, none, none, waiting
    begins = np.flatnonzero(np.diff(which, prepend=-1))
    sizes = np.diff(np.append(begins, len(which)))
    page = np.arange(len(which)) - np.repeat(begins, sizes)
    # A page that one word fills is stored without a handle: then it is unclear whose the handles of the others are.
    whole = np.repeat(sizes == pages[which[begins]], sizes)
    return index[whole], which[whole], page[whole], waiting


def _next(events: RawChunk, index: Array) -> NDArray[np.int64]:
    """Return the index of the next event of the same handle after each of ``index``; the number of events: none."""
    both = np.flatnonzero((events.kind == RawKind.HANDLE_ALLOC) | (events.kind == RawKind.HANDLE_FREE))
    handle = events.value[both]
    order = np.argsort(handle, kind="stable")
    following = np.full(len(events), len(events), np.int64)
    same = handle[order[1:]] == handle[order[:-1]]
    following[both[order[:-1][same]]] = both[order[1:][same]]
    return following[index]
