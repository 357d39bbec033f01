"""Raw events: what tracepoints say, before anything is concluded from it.

Every source (perf.data, text, ring-buffer pages) is decoded into :class:`RawChunk` s, and only
:mod:`swaptrace.ingest.reconstruct` knows what they mean. The five payload columns by kind:

| kind | value | dev | count | extra |
|---|---|---|---|---|
| WRITE_FOLIO | pfn | | | |
| BIO_WRITE, BIO_READ, BIO_DISCARD | sector | major << 20 or minor | sectors | |
| FAULT | address | | 1: a write | |
| FAULT_END | | | | |
| MAJOR_FAULT | address (0: unknown) | | | |
| PAGE_ALLOC | pfn | | order | |
| MEMCG_EVENT | vm_event_item number | | val (pages) | memory cgroup id |
| HANDLE_ALLOC, HANDLE_FREE | handle | | | |
| EXEC, EXIT | | | | |
| SWAPON, SWAPOFF | index of the area | | | |
| LOST | lost events | | | |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIELDS", "Findings", "RawChunk", "RawKind", "Source", "concat", "empty"]

Array = NDArray[Any]


class RawKind(IntEnum):
    """Canonical names of the recorded events; :mod:`swaptrace.ingest.tracepoints` maps tracepoints to them."""

    WRITE_FOLIO = 0  # vmscan:mm_vmscan_write_folio, mm_vmscan_writepage before 5.18
    BIO_WRITE = 1  # block:block_bio_queue by its operation
    BIO_READ = 2
    BIO_DISCARD = 3
    FAULT = 4  # exceptions:page_fault_user, page_fault_kernel
    MAJOR_FAULT = 5  # perf's software event; fires when the fault is over
    PAGE_ALLOC = 6  # kmem:mm_page_alloc of a movable page
    MEMCG_EVENT = 7  # memcg:count_memcg_events
    EXEC = 8
    EXIT = 9
    LOST = 10
    HANDLE_ALLOC = 11  # kmem:kmem_cache_alloc, kmem_cache_free called by zsmalloc or zram
    HANDLE_FREE = 12
    SWAPON = 13  # noticed by the recorder itself
    SWAPOFF = 14
    FAULT_END = 15  # in no recording: see swaptrace.ingest.major_faults


FIELDS: dict[str, str] = {
    "ts": "int64",
    "cpu": "uint16",
    "tgid": "uint32",
    "tid": "uint32",
    "comm": "int32",  # code into Source.words, -1 unknown
    "kind": "uint8",
    "value": "uint64",
    "dev": "uint32",
    "count": "uint32",
    "extra": "uint64",
}


@dataclass(frozen=True)
class RawChunk:
    """Same-length columns of raw events; a source yields chunks so that ``ts`` never decreases across them."""

    ts: NDArray[np.int64]
    cpu: NDArray[np.uint16]
    tgid: NDArray[np.uint32]
    tid: NDArray[np.uint32]
    comm: NDArray[np.int32]
    kind: NDArray[np.uint8]
    value: NDArray[np.uint64]
    dev: NDArray[np.uint32]
    count: NDArray[np.uint32]
    extra: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, index: Array | slice) -> RawChunk:
        """Return the rows that ``index`` (positions, mask or slice) selects."""
        if isinstance(index, slice):
            return RawChunk(**{name: getattr(self, name)[index] for name in FIELDS})
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)  # positions are several times faster than a mask
        return RawChunk(**{name: getattr(self, name).take(index) for name in FIELDS})

    def sorted(self) -> RawChunk:
        """Return the rows sorted by time; rows of the same time keep their order."""
        if len(self) < 2 or bool((self.ts[1:] >= self.ts[:-1]).all()):
            return self
        return self.take(np.argsort(self.ts, kind="stable"))


def empty(rows: int = 0) -> RawChunk:
    """Return a chunk of ``rows`` rows of zeros (comm: unknown), to be filled in place."""
    columns = {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}
    columns["comm"][:] = -1
    return RawChunk(**columns)


def concat(chunks: Sequence[RawChunk]) -> RawChunk:
    """Return the rows of all ``chunks``, one after the other."""
    if len(chunks) == 1:
        return chunks[0]
    if not chunks:
        return empty()
    return RawChunk(**{name: np.concatenate([getattr(c, name) for c in chunks]) for name in FIELDS})


@dataclass
class Findings:
    """What a source learned on its way: complete only when all its chunks have been read."""

    lost: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def skip(self, reason: str, records: int = 1) -> None:
        """Count ``records`` input records that were not used, and why."""
        if records:
            self.skipped[reason] = self.skipped.get(reason, 0) + records

    def lose(self, source: str, events: int) -> None:
        """Count ``events`` that the recorder itself reports as lost."""
        if events:
            self.lost[source] = self.lost.get(source, 0) + events


class Source(Protocol):
    """A recording that is read as raw events, in bounded memory."""

    words: list[str]  # what the codes of RawChunk.comm index; grows while chunks are read
    findings: Findings

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order."""
        ...

    @property
    def size(self) -> int:
        """Bytes of input."""
        ...

    @property
    def done(self) -> int:
        """Bytes of input read so far."""
        ...
