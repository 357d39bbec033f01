"""Which slot of zram a zsmalloc handle stands for: learned from its allocation inside the write of the slot.

zram keeps every stored page under a handle and releases it when the swap layer frees the slot
(swap_slot_free_notify), so the release of the handle is the free of the slot, at its own time and in its own task.
Handles are kernel addresses and are used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.grouping import grouped
from swaptrace.ingest.last_known import LastKnown
from swaptrace.ingest.latest import Latest
from swaptrace.ingest.raw import RawChunk, RawKind

__all__ = ["Frees", "Handles"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Frees:
    """Released slots: the index of the event, device and slot; and how many handles were released that stood for
    none."""

    at: NDArray[np.int64]
    device: NDArray[np.int64]
    slot: NDArray[np.int64]
    unknown: int


class Handles:
    """Follows handles from chunk to chunk."""

    def __init__(self) -> None:
        self._slots = LastKnown()

    def feed(
        self,
        find: Latest,
        events: RawChunk,
        fresh: NDArray[np.bool_],
        outs: Array,
        bios: Array,
        waits: NDArray[np.bool_],
        device: Array,
        slot: Array,
        pages: Array,
    ) -> tuple[Frees, NDArray[np.int64]]:
        """Return the frees of slots that a chunk shows, and the indices of allocations that the next one needs.

        ``fresh`` marks positions of events that are new in this chunk; ``outs`` are positions of write_folios, ``bios``
        those of their bios (-1: none), of which ``device``, ``slot`` and ``pages`` are the place and the size;
        ``waits`` marks positions of bios that wait for their write_folio.
        """
        original = np.zeros(len(fresh), np.bool_)
        original[find.order[fresh]] = True
        freed = np.flatnonzero((events.kind == RawKind.HANDLE_FREE) & original)
        taken = np.flatnonzero((events.kind == RawKind.HANDLE_ALLOC) & original)
        index, which, page, waiting = _stores(find, events, outs, bios, pages, waits)
        if not len(freed) and not len(taken) and not len(index):
            return Frees(freed, freed, freed, 0), waiting
        cleared = np.concatenate([freed, taken])
        none = np.full(len(cleared), -1, np.int64)
        of_device, of_slot = self._slots.resolve(
            events.value[np.concatenate([index, cleared])],
            np.concatenate([find.order[outs[which]], cleared]),
            np.concatenate([device[which], none]),
            np.concatenate([slot[which] + page, none]),
            events.value[freed],
            freed,
        )
        known = of_device >= 0
        return Frees(freed[known], of_device[known], of_slot[known], int((~known).sum())), waiting


def _stores(
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
    end = find.ends[np.searchsorted(find.ends, allocs)]  # of the life of the task
    following = np.searchsorted(outs, allocs)
    which = np.minimum(following, max(len(outs) - 1, 0))
    decided = np.zeros(len(allocs), np.bool_)
    inside = np.zeros(len(allocs), np.bool_)
    until = np.full(len(allocs), len(kind), np.int64)
    if len(outs):
        decided = (following < len(outs)) & (outs[which] <= end)
        inside = decided & (bios[which] >= 0) & (bios[which] < allocs)
        until = np.where(decided, order[outs[which]], until)
    index = order[allocs]
    held = _next(events, index) >= until  # nothing became of the handle before the write was over
    pending = find.latest_plain[end]
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
    order, same = grouped(events.value[both])
    following = np.full(len(events), len(events), np.int64)
    later = np.flatnonzero(same)
    following[both[order[later - 1]]] = both[order[later]]
    return following[index]
