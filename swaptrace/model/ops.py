"""What a policy sees: ops on objects, in time order, as same-length NumPy arrays that stages annotate.

An object is one life of one swapped-out page: (device, slot, generation). Policies never see recorded slots; they
see ``handle``, an opaque dense number that is unique among live objects and is used again after an object's end, so
that a table indexed by it is bounded by live objects and not by events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CARRIED", "NOTHING", "Backing", "DeviceWrites", "Moves", "Op", "Ops", "grown"]

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
    WRITEBACK = 4  # as recorded only: zswap writes it to the device


class Backing(IntEnum):
    """What took an OUT, or answers an IN, or holds the data at a FREE."""

    PENDING = 0  # no stage has taken it yet
    ZERO = 1
    SAME = 2
    SHARED = 3  # an equal content was already held
    BUFFER = 4
    DISK = 5
    CACHE = 6


@dataclass
class DeviceWrites:
    """Pages going to the device, in order: ``at`` is the index of the op that caused the write.

    ``page`` is the address on the device in pages, ``block`` whose data it is, ``gc`` marks copies made by the
    host's own cleaner. ``dead_at`` and ``dead_page`` are pages that the host no longer needs (for discard).
    """

    at: Ints
    page: Ints
    block: Ids
    gc: Bools
    dead_at: Ints
    dead_page: Ints


@dataclass
class Moves:
    """Change per op of the physical slots in use and of the physical swap-table bytes that map them back."""

    slots: Ints  # physical slots in use
    clusters: Ints  # physical clusters with a slot in use
    took: Bools  # this op took a physical slot
    gave: Bools  # this op released a physical slot


@dataclass
class Ops:
    """One batch. All arrays have one entry per op; ``prev`` and ``birth`` index this batch.

    ``store``/``fetch``/``block``/``drop`` are what the next stage down sees: an op that stores ``block``'s content,
    one that reads it, and the block that dies at this op before any store (NOTHING: none). At the top, blocks are
    objects. A stage that takes an op clears ``store`` or ``fetch`` and sets ``backing``.
    """

    ts: Ints
    op: NDArray[np.uint8]
    cpu: NDArray[np.uint16]
    handle: Ids
    new: Bools  # this OUT begins the object; an OUT that is not new rewrites it
    prev: Ids  # the object's latest OUT before this op, CARRIED or NOTHING
    birth: Ids  # the OUT that began the object, CARRIED, or NOTHING where new
    sub: NDArray[np.uint16]  # index of the page in its folio
    columns: dict[str, NDArray[Any]]  # memcg, hash, hashed, zero, same, slot: only what the policy asked for
    backing: NDArray[np.uint8] = field(init=False)
    store: Bools = field(init=False)
    fetch: Bools = field(init=False)
    block: Ids = field(init=False)
    drop: Ids = field(init=False)
    writes: DeviceWrites | None = None
    moves: Moves | None = None

    def __post_init__(self) -> None:
        n = len(self.op)
        self.backing = np.zeros(n, np.uint8)
        self.backing[self.op == Op.HIT] = Backing.CACHE
        self.store = self.op == Op.OUT
        self.fetch = self.op == Op.IN
        self.block = self.handle.copy()
        self.drop = np.where(self.op == Op.FREE, self.handle, NOTHING).astype(np.int32)

    def __len__(self) -> int:
        return len(self.op)

    def before(self, at_out: NDArray[Any], table: NDArray[Any], where: Ints) -> NDArray[Any]:
        """Return, for the ops ``where``, the value that their object had just before them.

        ``at_out`` holds the value that each OUT of this batch gave its object; ``table``, by handle, what earlier
        batches left. Ops without a previous OUT (new objects) get ``table``'s stale value: mask them.
        """
        previous = self.prev[where]
        return np.where(previous >= 0, at_out[previous], table[self.handle[where]])


def grown(table: NDArray[Any], size: int, fill: int = 0) -> NDArray[Any]:
    """Return ``table`` with at least ``size`` entries, new ones set to ``fill``; doubles so that growth is amortised."""
    if len(table) >= size:
        return table
    larger = np.full(max(size, 2 * len(table), 1024), fill, table.dtype)
    larger[: len(table)] = table
    return larger
