"""Whose page lies in a slot: (device, slot) -> (address, process), from the swap_outs whose owner is known.

Readahead reads slots in the order of the disk or of addresses, not the one that faulted first; what lies in a slot
tells which of the reads of a fault is its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.last_known import LastKnown

__all__ = ["SlotPages"]

Array = NDArray[Any]
_SLOT_BITS = 48


class SlotPages:
    """The page in each slot, as far as it is known; bounded by the slots of the swap areas."""

    def __init__(self) -> None:
        self._known = LastKnown()
        self._any = False

    def resolve(
        self, written: tuple[Array, ...], at: Array, asked: tuple[Array, Array], asked_at: Array
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take the folios ``written`` (device, first slot, pages, address or -1, process) at positions ``at``; return
        address and process of the page in each ``asked`` (device, slot) as of ``asked_at``, -1 where unknown."""
        device, slot, pages, va, tgid = written
        if not self._any and not bool((va >= 0).any()):
            return np.full(len(asked_at), -1, np.int64), np.full(len(asked_at), -1, np.int64)
        self._any = True
        source = np.repeat(np.arange(len(at)), pages)
        sub = np.arange(len(source)) - np.repeat(np.cumsum(pages) - pages, pages)
        size = pages[source] * 4096
        address = np.where(va[source] >= 0, va[source] // size * size + sub * 4096, -1)
        key = device[source].astype(np.uint64) << np.uint64(_SLOT_BITS) | (slot[source] + sub).astype(np.uint64)
        question = asked[0].astype(np.uint64) << np.uint64(_SLOT_BITS) | asked[1].astype(np.uint64)
        return self._known.resolve(key, at[source], address, tgid[source], question, asked_at)
