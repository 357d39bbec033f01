"""The swap event, schema version 1: ONE table of columns that drives writing, checking and the docs.

One row is one event on one 4 KiB page: a folio of order ``o`` is ``2**o`` rows that share ``ts`` and ``pfn - sub``.
Missing values are nulls in the file and the column's ``null`` value in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COLUMNS",
    "COLUMN_BY_NAME",
    "SCHEMA_VERSION",
    "Backend",
    "Cause",
    "Column",
    "Confidence",
    "EventBatch",
    "Kind",
]

SCHEMA_VERSION = 1
Array = NDArray[Any]


class Kind(IntEnum):
    """What happened. The order is the code in memory; the file holds the lower-case name."""

    SWAP_OUT = 0  # page content leaves RAM (vmscan:mm_vmscan_write_folio)
    SWAP_IN = 1  # a swap entry is resolved: a fault, readahead, or a swap-cache hit (backend ``cache``)
    SLOT_FREE = 2  # the slot was released
    WRITEBACK = 3  # zswap wrote a stored page to the device
    DISCARD = 4  # the kernel told the device that the slot is unused
    SWAPON = 5  # a device was enabled
    SWAPOFF = 6  # a device was disabled: every object on it is gone
    PROC_EXEC = 7
    PROC_EXIT = 8
    LOST = 9  # the recorder lost events here; ``slot`` is null, ``csize`` counts them


class Cause(IntEnum):
    """Why it happened, as far as the recorder can tell."""

    NONE = 0
    RECLAIM = 1
    FAULT = 2
    READAHEAD = 3
    NOFAULT = 4  # read without a fault of the reading task: shmem, swapoff, a kernel thread
    ZSWAP = 5  # zswap writeback
    ZS_HANDLE = 6  # a free seen as the free of its zsmalloc handle
    ZSWAP_ENTRY = 7  # a free seen as the invalidation of its zswap entry


class Backend(IntEnum):
    """Where the recording kernel had the data."""

    NONE = 0
    DISK = 1  # a block device: disk, flash, zram, loop
    ZERO = 2  # zeromap: a zero page that was never written
    ZSWAP = 3
    CACHE = 4  # swap cache: nothing was read
    FREED = 5  # the slot was freed instead of written
    UNKNOWN = 6


class Confidence:
    """Bits of the column ``conf``: which fields of the row were inferred, not observed."""

    SLOT = 1
    VA = 2
    BACKEND = 4


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type by name, its NumPy dtype and null value, its encoding, and what it means.

    ``null`` is the NumPy stand-in of a missing value; ``None`` means that every value is meaningful, so that
    :attr:`EventBatch.valid` carries a mask instead; ``required`` columns are never null.
    """

    name: str
    dtype: str
    doc: str
    null: int | None = 0
    required: bool = False
    names: type[IntEnum] | None = None
    text: bool = False
    encoding: str = "dictionary"

    @property
    def is_words(self) -> bool:
        """Whether the file holds words: names or free text, as dictionary-encoded strings."""
        return self.names is not None or self.text

    @property
    def nullable(self) -> bool:
        """Whether the file may hold nulls; names have one of their own, ``none``."""
        return not self.required and self.names is None

    def arrow(self) -> pa.DataType:
        """Return the Arrow type in the file (dictionary-encoded strings for names and text)."""
        import pyarrow as pa

        if self.is_words:
            return pa.dictionary(pa.int8() if self.names else pa.int32(), pa.string())
        return pa.bool_() if self.dtype == "bool" else pa.from_numpy_dtype(np.dtype(self.dtype))


_C = Column
# Encodings, as measured: ts is smallest and fastest delta-packed, slots and addresses byte-split, hashes plain.
COLUMNS: tuple[Column, ...] = (
    _C(
        "ts",
        "int64",
        "time, ns of CLOCK_MONOTONIC of the recording machine; never decreases",
        required=True,
        encoding="DELTA_BINARY_PACKED",
    ),
    _C("kind", "uint8", "what happened", required=True, names=Kind),
    _C("cause", "uint8", "why it happened", names=Cause),
    _C("backend", "uint8", "where the recording kernel had the data", names=Backend),
    _C("cpu", "uint16", "processor that ran the event", required=True),
    _C("tgid", "uint32", "process of the task that ran the event (kswapd, too: not the owner)"),
    _C("tid", "uint32", "task that ran the event"),
    _C("comm", "int32", "name of that task", null=-1, text=True),
    _C("owner_tgid", "uint32", "process whose page it is"),
    _C("memcg", "uint64", "memory cgroup: inode of its directory"),
    _C("dev", "uint32", "swap device, major << 20 | minor"),
    _C(
        "swap_type",
        "uint8",
        "the kernel's index of the swap device (swp_type); with slot the key of an object",
        null=255,
    ),
    _C(
        "slot",
        "int64",
        "4 KiB slot on that device (swp_offset), the header page is slot 0",
        null=-1,
        encoding="BYTE_STREAM_SPLIT",
    ),
    _C(
        "va",
        "int64",
        "virtual address of the page in its owner, bytes (index * 4096 for shmem)",
        null=-1,
        encoding="BYTE_STREAM_SPLIT",
    ),
    _C("ino", "uint64", "inode of a shmem page"),
    _C("pfn", "int64", "page frame number", null=-1, encoding="DELTA_BINARY_PACKED"),
    _C("order", "uint8", "order of the folio: 2**order pages moved together"),
    _C("sub", "uint16", "index of this page in its folio"),
    _C(
        "hash",
        "uint64",
        "hash of the page's content (algorithm and salt: file metadata)",
        null=None,
        encoding="PLAIN",
    ),
    _C(
        "fill",
        "uint64",
        "the 8-byte word that fills the whole page; 0 is a zero page; null is any other page",
        null=None,
    ),
    _C("csize", "uint32", "bytes that the recording kernel stored for it (zram, zswap)"),
    _C("incompressible", "bool", "stored uncompressed by zram or zswap"),
    _C("shmem", "bool", "a shmem page, not an anonymous one"),
    _C("write", "bool", "the fault was a write"),
    _C("conf", "uint8", "bits of inferred fields: 1 slot, 2 va, 4 backend"),
)
COLUMN_BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class EventBatch:
    """Same-length NumPy columns, sorted by time. Only the columns that were asked for are there; columns asked for
    as rare are decoded by ``later`` when somebody looks at them.

    ``columns[name]`` has the dtype of the table above (codes of :class:`Kind`, :class:`Cause`, :class:`Backend`
    for names); ``valid[name]`` is a bool mask for ``hash`` and ``fill``, which are undefined where it is false;
    ``first`` is the file row of entry 0.
    """

    columns: dict[str, Array]
    first: int = 0
    valid: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    later: Callable[[str], Array] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Array:
        if name not in self.columns and self.later is not None:
            self.columns[name] = self.later(name)
        return self.columns[name]

    def part(self, start: int, end: int) -> EventBatch:
        """Return the events ``start`` to ``end``."""
        if start == 0 and end == len(self):
            return self
        later = self.later
        return EventBatch(
            {name: values[start:end] for name, values in self.columns.items()},
            self.first + start,
            {name: mask[start:end] for name, mask in self.valid.items()},
            None if later is None else lambda name: later(name)[start:end],
        )
