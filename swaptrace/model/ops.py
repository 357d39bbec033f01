"""What a policy sees: ops on objects, in time order, as same-length NumPy arrays that stages annotate.

An object is one life of one swapped-out page: (device, slot, generation). Policies never see recorded slots; they
see ``handle``, an opaque dense number that is unique among live objects and is used again after an object's end, so
that a table indexed by it is bounded by live objects and not by events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CARRIED", "NOTHING", "Backing", "DeviceWrites", "Op", "Ops", "Placement", "Scan"]

CARRIED = -1  # in `prev` and `birth`: the op is in an earlier batch
NOTHING = -2  # in `prev` and `birth`: there is no such op; in `drop`: nothing dies (-2 as well)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Ids = NDArray[np.int32]


class Op(IntEnum):
    """What happens to an object."""

    OUT = 0  # its content is written out
    IN = 1  # its content is read back
    FREE = 2  # its end
    HIT = 3  # a fault that the swap cache answers: nothing is read
    WRITEBACK = 4  # its content leaves the compressed pool for the device
    DUP = 5  # one more page table entry comes to share its swap entry
    PUT = 6  # one of several page table entries gives its swap entry up


class Backing(IntEnum):
    """What took an OUT, or answers an IN, or holds the data at a FREE."""

    PENDING = 0  # no stage has taken it yet
    ZERO = 1
    SAME = 2
    SHARED = 3  # an equal content was already held
    BUFFER = 4
    DISK = 5
    CACHE = 6
    ZSWAP = 7  # the compressed pool
    RAM = 8  # a swap device that lives in memory (zram)
    ZSWAP_SHARED = 9  # an equal content was already in the compressed pool


@dataclass
class DeviceWrites:
    """Pages going to the device in this batch, in order.

    ``at`` is the index of the op that caused the write, ``page`` the address on the device in pages, ``block``
    whose data it is (negative: padding, nobody's); ``gc`` marks copies made by the host's own cleaner, ``early`` what
    was written before the op itself did anything (None: nothing was). ``dead_before[i]`` is the number of
    writes that come before the i-th address range that the host no longer needs, ``dead_page`` its first page,
    ``dead_pages`` the length of every range: what a discard tells the device.
    """

    at: Ints
    page: Ints
    block: Ids
    gc: Bools
    dead_before: Ints
    dead_page: Ints
    dead_pages: int = 1
    early: Bools | None = None


@dataclass
class Scan:
    """What allocations passed over on their way to a free slot, those alone that passed over something, in order.

    ``at`` is the index of the op, ``slots`` how many slots in use it passed over, ``lines`` the cache lines of the
    allocator's table that this touched besides that of the slot taken; ``entry`` the swap entries for which these
    slots were taken, all in a row (None: nobody asked, or a dedup stage shares slots between entries).
    """

    at: Ints
    slots: Ints
    lines: Ints
    entry: Ints | None = None

    @classmethod
    def joined(cls, parts: Sequence[Scan]) -> Scan:
        """Return the scans of several allocators in the order of their ops; those of one op in the order of parts."""
        at, slots, lines = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "slots", "lines")
        )
        order = np.argsort(at, kind="stable")
        entry = None
        if all(part.entry is not None for part in parts):
            of = np.argsort(np.repeat(at, slots), kind="stable")
            entry = np.concatenate([part.entry for part in parts if part.entry is not None])[of]
        return cls(at[order], slots[order], lines[order], entry)


@dataclass
class Placement:
    """What each op did to physical slots: ``slots`` in use (change), ``clusters`` in use (change), and whether it
    took or gave back a slot. ``cluster_slots`` is how many slots one physical cluster of the stage has, ``buffered``
    the change of pages that wait in RAM for a slot (None: the stage has no buffer). ``moves`` says that the writes of
    the batch are pages that moved from slot to slot, one by one. ``scan`` is what the allocations passed over (None:
    the stage takes whole segments).
    """

    slots: NDArray[np.integer[Any]]
    clusters: NDArray[np.integer[Any]]
    took: Bools
    gave: Bools
    cluster_slots: int = 512
    buffered: NDArray[np.integer[Any]] | None = None
    moves: bool = False
    scan: Scan | None = None


@dataclass
class Ops:
    """One batch. All arrays have one entry per op; ``prev`` and ``birth`` index this batch.

    ``store``, ``fetch``, ``drop`` and ``block`` are what the next stage down sees: an op that stores ``block``'s
    content, one that reads it, and the block that dies at this op, before its store if it has one (NOTHING: none).
    ``inplace`` marks a store over the content that the same block held before; ``stored_at`` is the op of this
    batch that stored what a fetch reads or an in-place store replaces (CARRIED: an earlier batch). At the top,
    blocks are objects. A stage that takes an op clears ``store`` or ``fetch`` and sets ``backing``.

    ``entry`` is the swap entry that the layout gave the object (-1 where a layout has none). Under a layout that is
    ``mixed``, ``mapped`` marks the ops on objects whose swap entry is a slot of the device (*mapped directly*): such an
    object holds its slot from its beginning to its end, and the placement hands it out (``entry`` is -1 there). The
    placement says in ``mapped_clusters`` how many clusters came to hold such a slot, or became empty after they did
    (kernels/mapped.py).
    """

    ts: Ints
    op: NDArray[np.uint8]
    cpu: NDArray[np.uint16]
    handle: Ids
    new: Bools  # this OUT begins the object; an OUT that is not new rewrites it
    prev: Ids  # the object's latest OUT before this op, CARRIED or NOTHING
    birth: Ids  # the OUT that began the object, CARRIED, or NOTHING where new
    sub: NDArray[np.uint16]  # index of the page in its folio
    columns: dict[str, NDArray[Any]]  # trace columns that the policy asked for, has_NAME their masks
    backing: NDArray[np.uint8] = field(init=False)
    store: Bools = field(init=False)
    fetch: Bools = field(init=False)
    block: Ids = field(init=False)
    drop: Ids = field(init=False)
    inplace: Bools = field(init=False)
    stored_at: Ids = field(init=False)
    lives: NDArray[np.int8] = field(init=False)  # change of the number of live objects
    entry: Ints | None = None
    mapped: Bools | None = None
    mapped_clusters: NDArray[np.integer[Any]] | None = None
    writes: DeviceWrites | None = None
    placement: Placement | None = None
    entries: Placement | None = None  # where the placement, not the layout, hands out the slots that are swap entries
    device_walk: Bools | None = None  # ops that also walk a map of the device, below the swap slot
    pooled: NDArray[np.integer[Any]] | None = None  # change of the number of objects in a compressed pool

    def __post_init__(self) -> None:
        self.backing = (self.op == Op.HIT).view(np.uint8) * np.uint8(Backing.CACHE)
        self.store = self.op == Op.OUT
        self.fetch = self.op == Op.IN
        self.block = self.handle
        free = self.op == Op.FREE
        self.drop = (self.handle - np.int32(NOTHING)) * free + np.int32(NOTHING)  # faster than numpy.where
        self.inplace = self.store & ~self.new
        self.stored_at = self.prev
        self.lives = self.new.view(np.int8) - free.view(np.int8)

    def __len__(self) -> int:
        return len(self.op)

    @property
    def shared(self) -> bool:
        """Whether several objects may have one block: a dedup stage has renamed them."""
        return self.block is not self.handle

    def again(self) -> Ops:
        """Return the same ops without any annotation, for another policy."""
        return Ops(self.ts, self.op, self.cpu, self.handle, self.new, self.prev, self.birth, self.sub, self.columns)

    def before(self, at_out: NDArray[Any], table: NDArray[Any], where: Ints) -> NDArray[Any]:
        """Return, for the ops ``where``, the value that their object had just before them.

        ``at_out`` holds the value that each OUT of this batch gave its object; ``table``, by handle, what earlier
        batches left. Ops without a previous OUT (new objects) get ``table``'s stale value: mask them.
        """
        previous = self.prev[where]
        return np.where(previous >= 0, at_out[np.maximum(previous, 0)], table[self.handle[where]])
