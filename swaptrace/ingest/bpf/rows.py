"""Records of the BPF tier -> rows of the schema.

The rules, record by record in time order; "the task" is the tid of the record. Pages of a folio have the time of its
first page.

* OUT: a row ``swap_out``, cause reclaim. A page that was neither written nor stored is a zero page: if its content says
  otherwise, its backend is ``unknown``.
* FAULT: becomes the task's current fault, for SPAN_NS. One row ``swap_in``, cause fault, at its time, with its address.
* READ, ZSWAP_IN (*accesses*): the first since the current fault that covers its slot is the fault's: the row of the
  fault gets its backend, folio and frame, and one row per page of that folio. ZERO_IN, which has no slot: the first
  since a fault that no READ or ZSWAP_IN covers within SPAN_NS is the fault's, backend ``zero``. Every other access is
  rows of its own: cause readahead if the task has a current fault, else nofault; those of ZERO_IN have no slot.
* A fault without access found its page in memory: backend ``cache``; ``unknown`` on a swap type whose I/O takes no bio
  (zram before 6.3). But zero pages of the root cgroup, and all on a
  kernel without count_memcg_events, come in silently: if the latest OUT of the slot was such a zero page, the backend
  is ``zero``, inferred. And zswap keeps its entry, of which nothing shows, where a page is read past the swap cache
  (SWP_SYNCHRONOUS_IO: zram): if the latest OUT of a slot there was stored by zswap, and no ZSWAP_IN, ZSWAP_FREE or
  WRITEBACK of the slot came since, the backend is ``zswap``, inferred.
* WRITEBACK: rows ``writeback``, cause zswap. ZSWAP_FREE, SLOT_FREE: rows ``slot_free``.
* HANDLE_FREE: the slot is that of the latest OUT with this handle: a row ``slot_free``, cause zs_handle; none if that
  slot is just being overwritten by the task (the record names its write). The handle is forgotten.
* EXEC, EXIT, lost records: one row each.

A row is in the order (time, record time, place in the ring, page).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.bpf.known import LastKnown
from swaptrace.ingest.bpf.records import RawInfo, RecordBackend, RecordFlag, RecordKind
from swaptrace.ingest.bpf.window import LOST, SPAN_NS, Window
from swaptrace.ingest.devices import MAX_FOLIO_PAGES
from swaptrace.model.events import COLUMN_BY_NAME, Backend, Cause, Confidence, Kind

__all__ = ["BpfRows", "Rows"]

Array = NDArray[Any]
Rows = tuple[dict[str, Array], dict[str, NDArray[np.bool_]]]
_TYPE_SHIFT = np.uint64(58)
_OFFSET = np.uint64((1 << 58) - 1)
_PAGE = 4096
_BACKENDS = np.zeros(256, np.uint8)
_BACKENDS[[RecordBackend.DISK, RecordBackend.ZERO, RecordBackend.ZSWAP, RecordBackend.FREED]] = (
    Backend.DISK,
    Backend.ZERO,
    Backend.ZSWAP,
    Backend.FREED,
)
_INCOMPRESSIBLE = 4096  # bytes stored
_STEPS = {"slot": 1, "pfn": 1, "va": _PAGE, "sub": 1}  # what counts up from page to page of a folio


class BpfRows:
    """Feed windows in order; get columns and masks in NumPy form. ``devs`` are the disks of swap types, ``synchronous``
    the types on zram. ``counts`` are rows by kind, ``silent`` swap-ins whose backend is inferred, by backend."""

    def __init__(self, info: RawInfo, devs: Mapping[int, int], synchronous: Collection[int] = ()) -> None:
        self._zero_events = info.zero_events
        self._unseen = np.full(256, Backend.CACHE, np.uint8)
        self._unseen[list(info.bypassed)] = Backend.UNKNOWN
        self._dev_of_type = np.zeros(256, np.uint32)
        for swap_type, dev in devs.items():
            self._dev_of_type[swap_type] = dev
        self._slot_of_handle = LastKnown()
        self._kept = LastKnown()  # by slot: the backend of what comes in silently
        self._synchronous = np.zeros(256, np.bool_)
        self._synchronous[list(synchronous)] = True
        self.counts = np.zeros(len(Kind), np.int64)
        self.stored_sizes = 0
        self.silent = {Backend.ZERO: 0, Backend.ZSWAP: 0}

    def feed(self, window: Window, comm: NDArray[np.int32]) -> Rows:
        """Return the rows of the fresh records of ``window``; ``comm`` holds a code of a name per record."""
        build = _Build(window, comm, self._dev_of_type)
        self._outs(build)
        self._ins(build)
        self._frees(build)
        for kind, name, cause, backend in (
            (RecordKind.WRITEBACK, Kind.WRITEBACK, Cause.ZSWAP, Backend.DISK),
            (RecordKind.ZSWAP_FREE, Kind.SLOT_FREE, Cause.ZSWAP_ENTRY, Backend.NONE),
            (RecordKind.SLOT_FREE, Kind.SLOT_FREE, Cause.NONE, Backend.NONE),
        ):
            at = build.fresh(kind)
            folio = kind == RecordKind.WRITEBACK
            build.add(at, name, cause, backend, pages=build.pages(at), swp=build.of("swp", at), folio=folio)
        for plain, name in ((RecordKind.EXEC, Kind.PROC_EXEC), (RecordKind.EXIT, Kind.PROC_EXIT)):
            build.add(build.fresh(plain), name, Cause.NONE, Backend.NONE)
        at = build.fresh(LOST)
        lost = np.minimum(build.of("aux", at), 0xFFFFFFFF)
        none = np.zeros(len(at), np.uint32)
        build.add(at, Kind.LOST, Cause.NONE, Backend.NONE, csize=lost, tgid=none, tid=none)
        columns, masks = build.finish()
        self.counts += np.bincount(columns["kind"], minlength=len(Kind))
        return columns, masks

    def _outs(self, build: _Build) -> None:
        at = build.fresh(RecordKind.OUT)
        flags, aux, csize = build.of("flags", at), build.of("aux", at), build.of("csize", at)
        backend = _BACKENDS[build.of("backend", at)]
        filled = flags & RecordFlag.FILLED != 0
        hashed = flags & RecordFlag.HASHED != 0
        backend[(backend == Backend.ZERO) & hashed & ~(filled & (aux == 0))] = Backend.UNKNOWN
        mapped = flags & RecordFlag.UNMAPPED == 0
        self.stored_sizes += int(np.count_nonzero(csize))
        build.add(
            at,
            Kind.SWAP_OUT,
            Cause.RECLAIM,
            backend,
            swp=build.of("swp", at),
            va=np.where(mapped, build.of("va", at).view(np.int64), -1),
            owner_tgid=build.of("owner", at),
            order=build.of("order", at),
            sub=build.of("sub", at),
            hash=build.of("hash", at),
            fill=np.where(filled, aux, 0),
            csize=csize,
            incompressible=csize == _INCOMPRESSIBLE,
            shmem=flags & RecordFlag.SHMEM != 0,
            has_hash=hashed,
            has_fill=filled,
        )

    # -- swap-ins ------------------------------------------------------------------------------------------------

    def _ins(self, build: _Build) -> None:
        kind = build.kind
        faults = np.flatnonzero(kind == RecordKind.FAULT)
        accesses = np.flatnonzero(
            (kind == RecordKind.READ) | (kind == RecordKind.ZSWAP_IN) | (kind == RecordKind.ZERO_IN)
        )
        fault = build.latest(kind == RecordKind.FAULT)[accesses]
        here, at = build.records["swp"][accesses], np.maximum(fault, 0)
        wanted = build.records["swp"][at]
        pages = build.pages(accesses)
        covers = (fault >= 0) & (wanted >= here) & (wanted - here < pages) & (kind[accesses] != RecordKind.ZERO_IN)
        answer = np.full(len(kind), -1)
        _first(answer, fault, accesses, covers)
        _first(answer, fault, accesses, (fault >= 0) & (kind[accesses] == RecordKind.ZERO_IN) & (answer[at] < 0))
        own = answer[at] == accesses
        own &= fault >= 0
        self._others(build, accesses[~own], fault[~own] >= 0)
        faults = faults[build.is_fresh[faults]]
        self._faults(build, faults, answer[faults])

    def _faults(self, build: _Build, faults: Array, answer: Array) -> None:
        """Add the rows of faults; ``answer`` is the access of each, -1 where there is none."""
        answered = answer >= 0
        source = np.maximum(answer, 0)
        kind = np.where(answered, build.kind[source], 0)
        backend = self._unseen[(build.of("swp", faults) >> _TYPE_SHIFT).astype(np.uint8)]
        backend[kind == RecordKind.READ] = Backend.DISK
        backend[kind == RecordKind.ZSWAP_IN] = Backend.ZSWAP
        backend[kind == RecordKind.ZERO_IN] = Backend.ZERO
        silent = self._silent(build, faults[~answered])
        told = np.flatnonzero(~answered)[silent > 0]
        backend[told] = silent[silent > 0]
        conf = np.zeros(len(faults), np.uint8)
        conf[told] = Confidence.BACKEND
        for inferred in self.silent:
            self.silent[inferred] += int((silent == inferred).sum())
        pages = np.where(answered, build.pages(source), 1)
        swp, va = build.of("swp", faults), build.of("va", faults) & ~np.uint64(_PAGE - 1)
        # A large folio is aligned in its swap area and in memory alike (can_swapin_thp() of mm/memory.c).
        into = (swp & _OFFSET) & (pages - 1).astype(np.uint64)
        read = (kind == RecordKind.READ) & answered
        into[read] = swp[read] - build.of("swp", source[read])
        build.add(
            faults,
            Kind.SWAP_IN,
            Cause.FAULT,
            backend,
            pages=pages,
            folio=True,
            swp=swp - into,
            va=(va - into * np.uint64(_PAGE)).view(np.int64),
            pfn=np.where(read, build.frames(source), -1),
            memcg=np.where(answered, build.of("memcg", source), 0),
            csize=np.where(kind == RecordKind.ZSWAP_IN, build.of("csize", source), 0),
            owner_tgid=build.of("tgid", faults),
            write=build.of("flags", faults) & RecordFlag.WRITE != 0,
            conf=conf,
        )

    def _others(self, build: _Build, at: Array, in_fault: NDArray[np.bool_]) -> None:
        fresh = build.is_fresh[at]
        at, in_fault = at[fresh], in_fault[fresh]
        kind = build.kind[at]
        backend = np.full(len(at), Backend.DISK, np.uint8)
        backend[kind == RecordKind.ZSWAP_IN] = Backend.ZSWAP
        backend[kind == RecordKind.ZERO_IN] = Backend.ZERO
        build.add(
            at,
            Kind.SWAP_IN,
            np.where(in_fault, Cause.READAHEAD, Cause.NOFAULT),
            backend,
            pages=build.pages(at),
            folio=True,
            swp=build.of("swp", at),
            csize=np.where(kind == RecordKind.ZSWAP_IN, build.of("csize", at), 0),
        )

    def _silent(self, build: _Build, faults: Array) -> NDArray[np.uint8]:
        """Return what these fresh ``faults`` without an access hit that comes in silently: its backend, 0 where none
        is known."""
        outs = build.fresh(RecordKind.OUT)
        backend = build.of("backend", outs)
        zero = backend == RecordBackend.ZERO
        zero &= np.bool_(not self._zero_events) | (build.of("flags", outs) & RecordFlag.ROOT_MEMCG != 0)
        zswap = backend == RecordBackend.ZSWAP
        zswap &= self._synchronous[(build.of("swp", outs) >> _TYPE_SHIFT).astype(np.uint8)]
        if not len(self._kept) and not zero.any() and not zswap.any():
            return np.zeros(len(faults), np.uint8)
        gone = [build.fresh(kind) for kind in (RecordKind.ZSWAP_IN, RecordKind.ZSWAP_FREE, RecordKind.WRITEBACK)]
        ops = np.concatenate([outs, *gone, faults])
        order = np.lexsort((ops, build.ts[ops]))
        value = np.zeros(len(ops), np.uint64)
        value[: len(outs)] = np.select([zero, zswap], [Backend.ZERO, Backend.ZSWAP])
        writes = np.arange(len(ops)) < len(ops) - len(faults)
        answers = np.empty(len(ops), np.uint64)
        answers[order] = self._kept.step(build.of("swp", ops)[order], value[order], writes[order])
        found: NDArray[np.uint8] = answers[len(ops) - len(faults) :].astype(np.uint8)
        return found

    # -- frees ---------------------------------------------------------------------------------------------------

    def _frees(self, build: _Build) -> None:
        """Add the frees of zsmalloc handles whose slots are known."""
        outs, frees = build.fresh(RecordKind.OUT), build.fresh(RecordKind.HANDLE_FREE)
        outs = outs[build.of("flags", outs) & RecordFlag.HANDLE != 0]
        if not len(outs) and not len(self._slot_of_handle):
            return
        ops = np.concatenate([outs, frees])
        order = np.lexsort((ops, build.ts[ops]))  # a folio has its handles from before its first page on
        value = np.concatenate([build.of("swp", outs), np.zeros(len(frees), np.uint64)])
        before = np.empty(len(ops), np.uint64)
        before[order] = self._slot_of_handle.step(
            build.of("aux", ops)[order], value[order], np.ones(len(ops), np.bool_)
        )
        slot = before[len(outs) :]
        written, pages = build.of("swp", frees), build.of("pages", frees)
        overwritten = (slot >= written) & (slot - written < pages)
        known = (slot != 0) & ~overwritten
        build.add(frees[known], Kind.SLOT_FREE, Cause.ZS_HANDLE, Backend.NONE, swp=slot[known])


def _first(answer: Array, fault: Array, accesses: Array, good: NDArray[np.bool_]) -> None:
    """Put into ``answer[fault]`` the first of the good ``accesses`` of each fault (they come in time order)."""
    places = np.flatnonzero(good)[::-1]
    answer[fault[places]] = accesses[places]  # of several, numpy keeps the last: the first in time


class _Build:
    """Rows under construction, from the records of one window."""

    def __init__(self, window: Window, comm: NDArray[np.int32], dev_of_type: NDArray[np.uint32]) -> None:
        self.records, self.ts, self.is_fresh = window.records, window.ts, window.fresh
        self.kind: NDArray[np.uint8] = np.ascontiguousarray(window.records["kind"])
        self._tasks = window.tasks
        self._comm = comm
        self._dev_of_type = dev_of_type
        self._parts: list[dict[str, Array]] = []

    def fresh(self, kind: int) -> NDArray[np.int64]:
        """Return the fresh records of ``kind``."""
        return np.flatnonzero((self.kind == kind) & self.is_fresh)

    def of(self, field: str, at: Array) -> Array:
        """Return a field of the records ``at``."""
        values: Array = self.records[field][at]
        return values

    def pages(self, at: Array) -> NDArray[np.int64]:
        """Return how many pages records are about: 1 to 512."""
        return np.clip(self.of("pages", at), 1, MAX_FOLIO_PAGES).astype(np.int64)

    def frames(self, at: Array) -> NDArray[np.int64]:
        """Return page frame numbers, -1 where unknown."""
        pfn = self.of("pfn", at).view(np.int64)
        return np.where(pfn > 0, pfn, -1)

    def latest(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return for each record the latest earlier one of its task where ``mask`` holds and that is at most SPAN_NS
        older; -1: none."""
        tasks = self._tasks
        found = tasks.latest(mask[tasks.order])
        source = tasks.order[np.maximum(found, 0)]
        ts = self.records["ts"].view(np.int64)
        good = (found >= tasks.start) & (ts[tasks.order] - ts[source] <= SPAN_NS)
        out = np.full(len(mask), -1)
        out[tasks.order] = np.where(good, source, -1)
        return out

    def add(
        self,
        at: Array,
        kind: Kind,
        cause: Any,
        backend: Any,
        *,
        pages: Array | None = None,
        swp: Array | None = None,
        folio: bool = False,
        **columns: Array,
    ) -> None:
        """Add rows for the records ``at``, ``pages`` each. ``folio``: the pages are those of one folio."""
        if not len(at):
            return
        part: dict[str, Array] = {"at": at, "ts": self.ts[at], "comm": self._comm[at]}
        part |= {name: self.of(name, at) for name in ("cpu", "tgid", "tid")}
        if swp is not None:
            placed = swp & _OFFSET != 0  # slot 0 is the header of the area: nothing is there
            part["swap_type"] = np.where(placed, swp >> _TYPE_SHIFT, 255).astype(np.uint8)
            part["slot"] = np.where(placed, (swp & _OFFSET).view(np.int64), -1)
            part["dev"] = np.where(placed, self._dev_of_type[part["swap_type"]], 0)
            part["memcg"], part["pfn"] = self.of("memcg", at), self.frames(at)
        part |= columns
        for name, value in (("kind", kind), ("cause", cause), ("backend", backend)):
            part[name] = np.broadcast_to(np.asarray(value, np.uint8), len(at))
        self._parts.append(part if pages is None else _expanded(part, pages, folio))

    def finish(self) -> Rows:
        """Return all rows in their order."""
        names = dict.fromkeys(name for part in self._parts for name in part)
        columns = {name: np.concatenate([_column(part, name) for part in self._parts]) for name in names}
        if not columns:
            return {"ts": np.zeros(0, np.int64), "kind": np.zeros(0, np.uint8)}, {}
        at = columns.pop("at")
        order = np.lexsort((columns.get("sub", at), at, columns["ts"]))
        columns = {name: values[order] for name, values in columns.items()}
        masks = {name: columns.pop(f"has_{name}") for name in ("hash", "fill") if f"has_{name}" in columns}
        return columns, masks


def _expanded(part: dict[str, Array], pages: Array, folio: bool) -> dict[str, Array]:
    """Return one row per page: places count up."""
    if folio:
        part["order"] = np.floor(np.log2(pages)).astype(np.uint8)
        part["sub"] = np.zeros(len(pages), np.uint16)
    if int(pages.max()) == 1:
        return part
    step = np.arange(int(pages.sum())) - np.repeat(np.cumsum(pages) - pages, pages)
    out = {name: np.repeat(values, pages) for name, values in part.items()}
    for name, size in _STEPS.items():
        if name in out:
            values = out[name].astype(np.int64)
            out[name] = np.where(values >= 0, values + step * size, values)
    return out


def _column(part: dict[str, Array], name: str) -> Array:
    if name in part:
        return part[name]
    rows = len(part["ts"])
    if name.startswith("has_"):
        return np.zeros(rows, np.bool_)
    column = COLUMN_BY_NAME[name]
    return np.full(rows, column.null or 0, column.dtype)
