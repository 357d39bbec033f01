"""Tracepoint formats, and how each tracepoint becomes a raw event. Offsets come from the recording, never from here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.raw import RawKind
from swaptrace.model.errors import InputError

__all__ = ["PAYLOADS", "EventFormat", "FieldAt", "Payload", "Read", "parse_format"]

Array = NDArray[Any]
Read = Callable[[str, int], Array]  # (field name, bytes: 0 for the whole field) -> values of all events, unsigned

_FIELD = re.compile(r"field:\s*(.*?)(\w+)(\[\d*\])?;\s*offset:(\d+);\s*size:(\d+);")
_MIGRATE_MOVABLE = 1  # enum migratetype, mmzone.h: user pages; the page tables and slabs of a fault are not
_HANDLE_BYTES = 8  # ZS_HANDLE_SIZE, an unsigned long; zs_malloc also allocates zspages
_RECLAIM_WB_ANON = 1  # include/trace/events/vmscan.h; old kernels write file pages through the same event

_OPERATIONS = np.full(256, 255, np.uint8)  # first letter of rwbs -> raw kind, 255 for the others
_OPERATIONS[list(b"WRD")] = RawKind.BIO_WRITE, RawKind.BIO_READ, RawKind.BIO_DISCARD


@dataclass(frozen=True)
class FieldAt:
    """Where a field is in the record: byte offset and size."""

    offset: int
    size: int


@dataclass(frozen=True)
class EventFormat:
    """One ``format`` file: event name, the id that records carry, and its fields."""

    name: str
    id: int
    fields: dict[str, FieldAt]

    @property
    def span(self) -> int:
        """Bytes that a record must have for all its fixed fields to be inside."""
        return max((f.offset + f.size for f in self.fields.values()), default=0)


def parse_format(text: str) -> EventFormat:
    """Parse a tracefs ``format`` file. Raises :class:`InputError` if it is not one."""
    name, number = re.search(r"^name: (\S+)", text, re.M), re.search(r"^ID: (\d+)", text, re.M)
    fields = {f[2]: FieldAt(int(f[4]), int(f[5])) for f in _FIELD.finditer(text) if int(f[5]) < 1 << 16}
    if name is None or number is None or not fields or any(f.offset > 1 << 16 for f in fields.values()):
        raise InputError("an event format of the recording is damaged.", f"It begins: {text[:60]!r}.")
    return EventFormat(name[1], int(number[1]), fields)


@dataclass(frozen=True)
class Payload:
    """Columns of one tracepoint's events; ``keep`` is None where all are wanted."""

    kind: Array | int
    value: Array | int = 0
    dev: Array | int = 0
    count: Array | int = 0
    extra: Array | int = 0
    keep: NDArray[np.bool_] | None = None


def _write(read: Read) -> Payload:
    return Payload(RawKind.WRITE_FOLIO, read("pfn", 0), keep=(read("reclaim_flags", 0) & _RECLAIM_WB_ANON) != 0)


def _bio(read: Read) -> Payload:
    operation = read("rwbs", 1)  # the first letter is the operation: W, R, D; what follows are hints
    kind = _OPERATIONS.take(operation)
    return Payload(kind, read("sector", 0), read("dev", 0), read("nr_sector", 0), keep=kind != 255)


def _fault(read: Read) -> Payload:
    return Payload(RawKind.FAULT, read("address", 0), count=(read("error_code", 0) >> 1) & 1)


def _alloc(read: Read) -> Payload:
    pfn = read("pfn", 0)
    bad = np.iinfo(pfn.dtype).max  # a failed allocation has pfn -1
    keep = (read("migratetype", 0) == _MIGRATE_MOVABLE) & (pfn != bad)
    return Payload(RawKind.PAGE_ALLOC, pfn, count=read("order", 0), keep=keep)


def _memcg(read: Read) -> Payload:
    return Payload(RawKind.MEMCG_EVENT, read("item", 0), count=read("val", 0), extra=read("id", 0))


def _handle_alloc(read: Read) -> Payload:
    return Payload(RawKind.HANDLE_ALLOC, read("ptr", 0), keep=read("bytes_req", 0) <= _HANDLE_BYTES)


def _handle_free(read: Read) -> Payload:
    return Payload(RawKind.HANDLE_FREE, read("ptr", 0))


def _exec(_: Read) -> Payload:
    return Payload(RawKind.EXEC)


def _exit(_: Read) -> Payload:
    return Payload(RawKind.EXIT)


# Tracepoint -> (fields it needs, decoder). The names of 5.10 and of 6.18 lead to the same raw events.
PAYLOADS: dict[str, tuple[tuple[str, ...], Callable[[Read], Payload]]] = {
    "mm_vmscan_write_folio": (("pfn", "reclaim_flags"), _write),
    "mm_vmscan_writepage": (("pfn", "reclaim_flags"), _write),
    "block_bio_queue": (("dev", "sector", "nr_sector", "rwbs"), _bio),
    "page_fault_user": (("address", "error_code"), _fault),
    "page_fault_kernel": (("address", "error_code"), _fault),
    "mm_page_alloc": (("pfn", "order", "migratetype"), _alloc),
    "count_memcg_events": (("id", "item", "val"), _memcg),
    # Recorded under a filter on the caller (capture/probes.py). Objects of other slabs in an unfiltered recording are
    # harmless: they are not allocated one per page between a bio and its write_folio.
    "kmem_cache_alloc": (("ptr", "bytes_req"), _handle_alloc),
    "kmem_cache_free": (("ptr",), _handle_free),
    "sched_process_exec": ((), _exec),
    "sched_process_exit": ((), _exit),
}
