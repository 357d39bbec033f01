"""What goes into and comes out of a flash log: operations, geometry, results and errors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.model.errors import SpaceError

__all__ = ["DROP", "FETCH", "PADDING", "STORE", "FlashResult", "Gc", "Geometry", "all_live", "refuse", "refuse_absent"]

STORE, DROP, FETCH = 0, 1, 2
PADDING = -1  # in the place of a unit
PAGE = 4096
FULL_OUTPUT, NO_COPY = 0, 1  # why a loop stopped at an op; 2: the cleaner found nothing dead


class Gc(IntEnum):
    """Which segment the cleaner takes; the rule is at the head of :mod:`swaptrace.kernels.flashlog`."""

    GREEDY = 0
    FIFO = 1
    COST_BENEFIT = 2


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes and habits of a flash log: what :class:`FlashLog` says of each."""

    segments: int
    segment_pages: int
    buffer_pages: int
    reserve: int
    gc: Gc
    tombstone: bool
    timer: int
    low_pages: int

    def __post_init__(self) -> None:
        if not (1 <= self.segment_pages <= self.buffer_pages and 0 <= self.reserve < self.segments):
            raise ValueError(str(self))
        if self.segments * self.segment_pages >= 1 << 31:  # addresses are kept as int32
            raise ValueError(f"{self}: at most 8 TiB of 4 KiB pages")


@dataclass(frozen=True, slots=True)
class FlashResult:
    """What n ops did. The first seven arrays have one element per op.

    The next five are the k pages written to the device, in order; the last three are the m segments that became
    free, in order.
    """

    hit: Bools
    """FETCH: the unit was in the buffer."""
    address: Ints
    """FETCH: int64 address of the unit's copy on the device, -1 if it was in the buffer; -1 for other ops."""
    absorbed: Bools
    """STORE, DROP: the copy that died was in the buffer, so it never reached the device."""
    buffered: Ints32
    """Change of the number of live pages in the buffer."""
    live: Ints32
    """Change of the number of live pages on the device."""
    places: Ints32 | Ints | None
    """Change of the number of places taken in the buffer; None: it is that of its live pages."""
    segments: Ints32
    """Change of the number of segments in use."""
    at: Ints
    """int64[k]: index of the op, in this batch, whose flush wrote the page."""
    page: Ints
    """int64[k]: device page, ``segment * segment_pages + i``."""
    unit: Ints32
    """int32[k]: the unit whose content was written; PADDING: none."""
    gc: Bools
    """bool[k]: copied by the cleaner, not coming from the buffer."""
    early: Bools | None
    """bool[k]: the timer wrote it, before what the op itself did; None: the log has no timer."""
    dead_at: Ints
    """int64[m]: index of the op, in this batch, in which the segment became free."""
    dead_before: Ints
    """int64[m]: number of pages that this batch had written by then."""
    dead_segment: Ints32
    """int32[m]: segment that became free: its last page died, or the cleaner emptied it."""

    @property
    def blocks_read(self) -> Ints:
        """The addresses that the FETCHes read, in order."""
        return self.address[np.flatnonzero(self.address >= 0)]

    @property
    def gc_bytes(self) -> int:
        """Bytes that the cleaner copied."""
        return PAGE * int(np.count_nonzero(self.gc))

    @property
    def padding_bytes(self) -> int:
        """Bytes written that belong to nobody."""
        return PAGE * int(np.count_nonzero(self.unit == PADDING))

    def copies_by_segment(self, segment_pages: int) -> Ints:
        """Return how many copies each segment that was written has, padding left out."""
        copies: Ints = (self.unit != PADDING).reshape(-1, segment_pages).sum(axis=1, dtype=np.int64)
        return copies

    @classmethod
    def joined(cls, parts: list[FlashResult]) -> FlashResult:
        """Return the results of consecutive batches as those of one; what counts ops or pages is shifted."""
        ops = np.cumsum([0, *(len(part.hit) for part in parts)])
        pages = np.cumsum([0, *(len(part.page) for part in parts)])
        shifts = {"at": ops, "dead_at": ops, "dead_before": pages}
        columns: dict[str, Any] = {}
        for field in fields(cls):
            arrays = [getattr(part, field.name) for part in parts]
            if field.name in shifts:
                arrays = [array + shift for array, shift in zip(arrays, shifts[field.name], strict=False)]
            columns[field.name] = None if arrays[0] is None else np.concatenate(arrays)
        return cls(**columns)


def refuse_absent(op: Bytes, unit: Ints32, absent: Bools) -> None:
    """Raise ValueError if an op is not a known one, or a DROP or FETCH names a unit that holds nothing."""
    wrong = np.flatnonzero((absent & (op != STORE)) | (op > FETCH))
    if len(wrong):
        i = wrong[0]
        raise ValueError(f"op {op[i]} of unit {unit[i]}, which holds {'nothing' if absent[i] else 'a page'}")


def refuse(reason: int, geometry: Geometry, op: Bytes, unit: Ints32, where: Ints | Ints32) -> None:
    """Raise what ``reason`` says of the ops that a loop has not run; nothing if it only lacked room for its output.

    ``where`` is -1 for a unit that holds nothing.
    """
    if reason == NO_COPY:
        refuse_absent(op, unit, where[unit] == -1)
    if reason != FULL_OUTPUT:
        raise all_live(geometry)


def all_live(geometry: Geometry) -> SpaceError:
    """Return the error of a cleaner that finds only completely live segments."""
    return SpaceError(
        f"the replayed flash log is full: every one of its {geometry.segments} segments in use is live",
        f"{geometry.reserve} segments of {geometry.segment_pages} pages are kept free for the cleaner",
        "give the policy a larger device",
    )
