"""Whose page a page frame is: pfn -> (address, process), learned from allocations inside page faults."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PageOwners"]

Array = NDArray[Any]
_POSITION_BITS = 24  # of a packed sort key: chunks are smaller than 16 Mi events
_MAX_PFN = 1 << (64 - _POSITION_BITS)


class PageOwners:
    """The latest known owner of each page frame; bounded by the frames of the machine."""

    def __init__(self) -> None:
        self._pfn = np.zeros(0, np.uint64)
        self._va = np.zeros(0, np.int64)
        self._tgid = np.zeros(0, np.uint32)

    @property
    def any(self) -> bool:
        """Whether any owner is known."""
        return len(self._pfn) > 0

    def resolve(
        self, pfn: Array, at: Array, va: Array, tgid: Array, asked: Array, asked_at: Array
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Apply a chunk of changes and answer its questions, all in the order of their positions ``at``.

        A change sets the owner of ``pfn`` to ``(va, tgid)``, or forgets it where ``va`` is -1. Returns the address and
        process of each ``asked`` frame as of its position; -1 and 0 where unknown. Positions are distinct among the
        changes of one frame and its questions.
        """
        fits, asks = pfn < _MAX_PFN, asked < _MAX_PFN
        pfn, at, va, tgid = pfn[fits], at[fits], va[fits], tgid[fits]
        count = len(pfn)
        keys = np.concatenate([pfn, np.where(asks, asked, 0)]).astype(np.uint64) << np.uint64(_POSITION_BITS)
        keys |= np.concatenate([at, asked_at]).astype(np.uint64)
        order = np.argsort(keys, kind="stable")
        frame = keys[order] >> np.uint64(_POSITION_BITS)
        latest = np.maximum.accumulate(np.where(order < count, np.arange(len(order)), -1))
        here = (latest >= 0) & (frame[np.maximum(latest, 0)] == frame)
        source = order[np.maximum(latest, 0)]
        question = order >= count
        out_va, out_tgid = np.full(len(asked), -1, np.int64), np.zeros(len(asked), np.uint32)
        changed = question & here
        out_va[order[changed] - count] = va[source[changed]]
        out_tgid[order[changed] - count] = tgid[source[changed]]
        before = question & ~here
        old_va, old_tgid = self._lookup(frame[before])
        out_va[order[before] - count] = old_va
        out_tgid[order[before] - count] = old_tgid
        known = (out_va >= 0) & asks
        self._apply(pfn, at, va, tgid)
        return np.where(known, out_va, -1), np.where(known, out_tgid, 0).astype(np.uint32)

    def _lookup(self, pfn: Array) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        if not len(self._pfn):
            return np.full(len(pfn), -1, np.int64), np.zeros(len(pfn), np.uint32)
        where = np.minimum(np.searchsorted(self._pfn, pfn), len(self._pfn) - 1)
        found = self._pfn[where] == pfn
        return np.where(found, self._va[where], -1), np.where(found, self._tgid[where], 0).astype(np.uint32)

    def _apply(self, pfn: Array, at: Array, va: Array, tgid: Array) -> None:
        if not len(pfn):
            return
        order = np.lexsort((at, pfn))
        last = order[np.append(pfn[order][1:] != pfn[order][:-1], True)]
        frames = np.concatenate([pfn[last].astype(np.uint64), self._pfn])  # new before old: unique keeps the first
        keep_pfn, first = np.unique(frames, return_index=True)
        merged_va = np.concatenate([va[last], self._va])[first]
        merged_tgid = np.concatenate([tgid[last], self._tgid])[first]
        live = merged_va >= 0
        self._pfn, self._va, self._tgid = keep_pfn[live], merged_va[live], merged_tgid[live].astype(np.uint32)
