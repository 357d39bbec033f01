"""Raw events -> rows of the schema: what swap did, from what the tracepoints said.

The rules, event by event in time order; "the task" is the tid of the event. docs/recording.md measured
them.

**State of a task**, forgotten at its EXIT: the current fault (its latest FAULT); the latest access since that fault;
the first PAGE_ALLOC since that fault; the pending bio; the latest out item; whether a zswpwb item came; the latest
memcg event.

FAULT_END forgets the current fault.

**Bios** outside the swap areas, or whose size is none of a folio, are skipped and counted (:class:`SlotMap`).

* MEMCG_EVENT pswpout, swpout_zero, zswpout: becomes the *out item*. zswpwb: the next BIO_WRITE, unless a
  WRITE_FOLIO comes first, is a writeback. Every MEMCG_EVENT is the task's *latest memcg event* until the next bio or
  WRITE_FOLIO of the task, or the next MEMCG_EVENT.
* BIO_WRITE announced by zswpwb: a row ``writeback``, cause zswap. Any other BIO_WRITE becomes the *pending bio*; if
  there was one, that one was a ``writeback``.
* WRITE_FOLIO: the pending bio is its bio if it is at most PAIR_NS old and no out item came after it: a row ``swap_out``
  (cause reclaim) with backend disk and the bio's device, slot and size. Otherwise the pending bio was a ``writeback``
  and this row has no slot: backend zero or zswap, and as many pages, as the out item since the task's previous
  WRITE_FOLIO says, else unknown, and one page. Pending bio, out item and zswpwb are forgotten.
* A pending bio that no WRITE_FOLIO follows within PAIR_NS, or before the task exits or the recording ends, was a
  ``writeback``.
* BIO_READ, and MEMCG_EVENT swpin_zero or zswpin (an *access* of ``count`` pages, without slot): a row ``swap_in``. It
  is the fault's own if the page in its slot is known and is that of the current fault; where the page is unknown, if it
  is the first access since the current fault. Its own has cause fault, the fault's page address and its write flag, the
  address inferred unless the page is known or the area (without a slot: every area) is zram, which does not read ahead.
  Another access is readahead. Without a fault, the cause is nofault if the recording has faults at all, else missing.
  One that is not its own has address and owner of the page in its slot where known, inferred.
* The page in a slot: that of the latest WRITE_FOLIO with a bio of it, unknown if that one had no owner.
* ``memcg`` of swap_out: that of the out item since the task's previous WRITE_FOLIO; of a bio: that of the latest
  memcg event.
* PAGE_ALLOC, with a current fault: the first one since the fault sets the owner of its pfn to (page of the fault,
  tgid); another one forgets the owner of its pfn. A BIO_READ that is not the first access since the fault forgets the
  owner of that first pfn: it is unclear which of the pages read is whose. WRITE_FOLIO of a pfn with an owner has its va
  and owner_tgid, inferred.
* HANDLE_ALLOC and HANDLE_FREE: a WRITE_FOLIO with a bio of as many pages as the task allocated handles since that bio,
  handles of which nothing more was seen until now, makes the i-th of them stand for slot + i. A HANDLE_FREE of a handle
  that stands for a slot: a row ``slot_free``, cause zs_handle. After a HANDLE_FREE or HANDLE_ALLOC, of any task, the
  handle stands for nothing. (A page that one word fills is stored without a handle.)
* BIO_DISCARD: one row ``discard`` per slot. EXEC, EXIT, LOST: one row each. SWAPON, SWAPOFF: one row each, of the
  area; a bio before the one or after the other is outside it.
* A folio of 2**order pages is that many rows, with ``sub``; slot and pfn count up from the bio's and the event's; va
  from the address rounded down to the folio's size.

Rows come in the order of their events; a writeback has the time and place of its bio. Results do not depend on chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.devices import MAX_FOLIO_PAGES, SlotMap
from swaptrace.ingest.handles import Frees, Handles
from swaptrace.ingest.latest import Latest
from swaptrace.ingest.major_faults import MajorFaults
from swaptrace.ingest.memcg_items import Item, ItemCodes
from swaptrace.ingest.owners import PageOwners
from swaptrace.ingest.placed import Placed, Placer
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, empty
from swaptrace.ingest.rows import Rows
from swaptrace.ingest.slot_pages import SlotPages
from swaptrace.model.events import Backend, Cause, Confidence, Kind

__all__ = ["PAIR_NS", "Reconstruction"]

Array = NDArray[Any]
PAIR_NS = 1_000_000_000  # a bio and its write_folio are microseconds apart, unless the task is preempted between them
_PAGE = np.uint64(12)
_STORED = np.full(len(Item), Backend.UNKNOWN, np.uint8)  # by item: where the page is that no bio moved
_STORED[[Item.SWPIN_ZERO, Item.SWPOUT_ZERO]] = Backend.ZERO
_STORED[[Item.ZSWPIN, Item.ZSWPOUT]] = Backend.ZSWAP


class Reconstruction:
    """Feed raw events in time order; take rows in NumPy form, sorted by time, as far as they are decided.

    ``faults``: the recording has FAULT events at all; ``majors``: only MAJOR_FAULT events, which become such
    (:class:`MajorFaults`), so that the address of each is inferred; ``inferred``: the devices were guessed, so every
    slot is marked. ``seen`` counts the rows that have a slot, those that have an owner, and frees.
    """

    def __init__(
        self,
        slots: SlotMap,
        vmstat: Mapping[str, int],
        findings: Findings,
        *,
        faults: bool,
        majors: bool = False,
        inferred: bool = False,
    ) -> None:
        self._slots = slots
        self._items = ItemCodes(vmstat)
        self._placer = Placer(slots, self._items, findings)
        self._findings = findings
        self._majors = MajorFaults(self._placer.is_access, PAIR_NS) if majors else None
        self._no_fault = Cause.NOFAULT if faults or majors else Cause.NONE
        self._inferred = inferred
        self._owners = PageOwners()
        self._handles = Handles()
        self._slot_pages = SlotPages()
        self._alone = np.array([d.kind == "zram" for d in slots.devices], np.bool_)  # no readahead: SWP_SYNCHRONOUS_IO
        self._carry = self._placer(empty())[0]
        self._held = Rows.none()
        self.seen = {"slots": 0, "owners": 0, "frees": 0}

    def feed(self, chunk: RawChunk) -> Rows:
        """Take the next events; return the rows that are decided now."""
        if self._majors is not None and len(chunk):
            chunk = self._majors.feed(chunk)
        return self._step(chunk, int(chunk.ts[-1]) - PAIR_NS) if len(chunk) else Rows.none()

    def finish(self) -> Rows:
        """Return the remaining rows: what still waits for its write_folio was a writeback."""
        rest = empty() if self._majors is None else self._majors.finish()
        return self._step(rest, np.iinfo(np.int64).max)

    def _step(self, chunk: RawChunk, horizon: int) -> Rows:
        """Take a chunk; bios before ``horizon`` wait no longer."""
        placed, keep = self._placer(chunk)
        x = placed.after(self._carry, keep)
        fresh = np.ones(len(x.seq), np.bool_)
        fresh[: len(self._carry.seq)] = False
        find = Latest(x.events, self._items)
        fresh = fresh[find.order]
        find.name_memcg(x.events, fresh, fresh | x.open[find.order])
        outs = np.flatnonzero(find.out)
        earlier = find.before(find.latest_out, outs)
        bios = self._pair(find, outs, earlier, x.events.ts)

        alone = find.plain.copy()
        alone[bios[np.flatnonzero(bios >= 0)]] = False
        last = find.latest_plain[find.ends]  # the bio that may still wait, at the end of each life
        waits = last[(last >= find.start[find.ends]) & (last > find.latest_out[find.ends]) & ~find.ended[find.ends]]
        waits = waits[x.events.ts[find.order[waits]] >= horizon]
        backs = (alone | find.announced) & (fresh | x.open[find.order])
        backs[waits] = False

        source = find.order[np.maximum(bios, 0)]
        still = np.zeros(len(find.order), np.bool_)
        still[waits] = True
        frees, storing = self._handles.feed(
            find, x.events, fresh, outs, bios, still, x.device[source], x.slot[source], x.pages[source]
        )
        self._findings.skip("objects of zsmalloc freed that hold no page stored while recording", frees.unknown)
        self.seen["frees"] += len(frees.at)
        rows = self._rows(find, x, fresh, outs, earlier, bios, np.flatnonzero(backs), frees)
        waiting = np.zeros(len(x.seq), np.bool_)
        waiting[find.order[waits]] = True
        kept, reigning = find.live()
        kept[storing] = True
        carry = Placed(x.events, x.seq, x.device, x.slot, x.pages, waiting | reigning)
        self._carry = carry.take(kept | reigning | waiting)
        return self._release(rows)

    def _pair(self, find: Latest, outs: Array, earlier: Array, ts: Array) -> Array:
        """Return the position of the bio of each write_folio, -1 where it has none; ``earlier``: of the one before."""
        bio = find.latest_plain[outs]
        good = (bio > earlier) & (find.latest_out_item[outs] < bio)
        good &= ts[find.order[outs]] - ts[find.order[np.maximum(bio, 0)]] <= PAIR_NS
        return np.where(good, bio, -1)

    def _rows(
        self,
        find: Latest,
        x: Placed,
        fresh: Array,
        outs: Array,
        earlier: Array,
        bios: Array,
        backs: Array,
        frees: Frees,
    ) -> Rows:
        mine = np.flatnonzero(fresh[outs])
        outs, earlier, bios = outs[mine], earlier[mine], bios[mine]
        ins = np.flatnonzero(find.access & fresh)
        others = np.flatnonzero(find.other & fresh)
        emit = np.zeros(len(x.seq), np.bool_)
        for part in (outs, ins, backs, others):
            emit[find.order[part]] = True
        emit[frees.at] = True
        rank = np.cumsum(emit) - 1
        rows = Rows.of(x.events, x.seq, np.flatnonzero(emit))
        va, owner = self._owner(find, x, fresh, ins, outs)
        self._outs(rows, rank, find, x, outs, earlier, bios, va, owner)
        paired = np.flatnonzero(bios >= 0)
        bio, at = find.order[bios[paired]], find.order[ins]
        written = x.device[bio], x.slot[bio], x.pages[bio], va[paired], owner[paired]
        reads = np.flatnonzero(x.device[at] >= 0)
        known = np.full(len(ins), -1, np.int64), np.full(len(ins), -1, np.int64)
        known[0][reads], known[1][reads] = self._slot_pages.resolve(
            written, find.order[outs[paired]], (x.device[at[reads]], x.slot[at[reads]]), at[reads]
        )
        self._ins(rows, rank, find, x, ins, *known)
        where = find.order[backs]
        at = rank[where]
        rows.fill(at, kind=Kind.WRITEBACK, cause=Cause.ZSWAP, backend=Backend.DISK, memcg=x.events.extra[where])
        self._locate(rows, at, where, x)
        self._others(rows, rank, find.order[others], x)
        rows.fill(rank[frees.at], kind=Kind.SLOT_FREE, cause=Cause.ZS_HANDLE)
        self._place_rows(rows, rank[frees.at], frees.device, frees.slot)
        return rows.expand()

    def _outs(
        self,
        rows: Rows,
        rank: Array,
        find: Latest,
        x: Placed,
        outs: Array,
        earlier: Array,
        bios: Array,
        va: Array,
        owner: Array,
    ) -> None:
        where = find.order[outs]
        at, e = rank[where], x.events
        rows.fill(
            at,
            kind=Kind.SWAP_OUT,
            cause=Cause.RECLAIM,
            backend=Backend.UNKNOWN,
            pfn=e.value[where].view(np.int64),
        )
        item = find.latest_out_item[outs]
        some = np.flatnonzero(item > earlier)
        item = item[some]
        said = find.order[item]
        size = np.clip(e.count[said], 1, MAX_FOLIO_PAGES)
        rows.fill(at[some], backend=_STORED.take(find.item[item]), memcg=e.extra[said], pages=size)
        if bool((va >= 0).any()):
            rows.fill(at, va=va, owner_tgid=owner, conf=np.where(va >= 0, Confidence.VA, 0))
            self.seen["owners"] += int((va >= 0).sum())
        paired = np.flatnonzero(bios >= 0)
        rows.fill(at[paired], backend=Backend.DISK)
        self._locate(rows, at[paired], find.order[bios[paired]], x)

    def _ins(self, rows: Rows, rank: Array, find: Latest, x: Placed, ins: Array, known: Array, tgid: Array) -> None:
        where = find.order[ins]
        at, e = rank[where], x.events
        read = e.kind[where] == RawKind.BIO_READ
        fault, first = find.fault_of(ins)
        some = fault >= find.start[ins]
        source = find.order[np.maximum(fault, 0)]
        page = np.where(e.value[source] == 0, -1, _page(e.value[source]))  # perf without -d: no address
        size = np.where(read, x.pages[where], 1) * 4096
        told = known >= 0
        caused = some & np.where(told, (known <= page) & (page < known + size), first)
        alone = np.where(read, np.append(self._alone, False)[x.device[where]], self._alone.all())
        elsewhere = ~caused & told
        rows.fill(
            at,
            kind=Kind.SWAP_IN,
            cause=np.where(caused, Cause.FAULT, np.where(some, Cause.READAHEAD, self._no_fault)),
            backend=Backend.DISK,
            va=np.where(caused, page, np.where(elsewhere, known, -1)),
            write=caused & (e.count[source] == 1),
            owner_tgid=np.where(caused, e.tgid[where], np.where(elsewhere, tgid, 0)),
            conf=np.where(elsewhere | (caused & ~told & ~(alone & (self._majors is None))), Confidence.VA, 0),
        )
        if find.memcg:
            rows.fill(at, memcg=e.extra[where])
        bio, other = np.flatnonzero(read), np.flatnonzero(~read)
        rows.fill(
            at[other],
            backend=_STORED.take(find.item[ins[other]]),
            pages=np.clip(e.count[where[other]], 1, MAX_FOLIO_PAGES),
        )
        self._locate(rows, at[bio], where[bio], x)

    def _others(self, rows: Rows, rank: Array, where: Array, x: Placed) -> None:
        at, kind = rank[where], x.events.kind[where]
        for raw, name in (
            (RawKind.BIO_DISCARD, Kind.DISCARD),
            (RawKind.EXEC, Kind.PROC_EXEC),
            (RawKind.EXIT, Kind.PROC_EXIT),
            (RawKind.LOST, Kind.LOST),
            (RawKind.SWAPON, Kind.SWAPON),
            (RawKind.SWAPOFF, Kind.SWAPOFF),
        ):
            rows.fill(at[kind == raw], kind=name)
        lost, gone = kind == RawKind.LOST, kind == RawKind.BIO_DISCARD
        rows.fill(at[lost], csize=np.minimum(x.events.value[where[lost]], 0xFFFFFFFF))
        self._locate(rows, at[gone], where[gone], x)
        area = kind >= RawKind.SWAPON
        which = x.events.value[where[area]].astype(np.int64)
        rows.fill(at[area], dev=self._slots.devs[which], swap_type=self._slots.types[which])

    def _locate(self, rows: Rows, at: Array, bio: Array, x: Placed) -> None:
        """Give rows the place and the size of their bios."""
        if not len(at):
            return
        rows.fill(at, pages=x.pages[bio])
        self._place_rows(rows, at, x.device[bio], x.slot[bio])

    def _place_rows(self, rows: Rows, at: Array, device: Array, slot: Array) -> None:
        if not len(at):
            return
        rows.fill(at, dev=self._slots.devs[device], swap_type=self._slots.types[device], slot=slot)
        if self._inferred:
            rows.flag(at, Confidence.SLOT)
        self.seen["slots"] += len(at)

    def _owner(self, find: Latest, x: Placed, fresh: Array, ins: Array, outs: Array) -> tuple[Array, Array]:
        """Tell the map of page frames what was allocated, and ask it for the owners of ``outs``."""
        order, e = find.order, x.events
        allocs = np.flatnonzero(find.alloc & fresh)
        if not len(allocs) and not self._owners.any:
            return np.full(len(outs), -1, np.int64), np.zeros(len(outs), np.uint32)
        fault = find.latest_fault[allocs]
        inside = fault >= find.start[allocs]
        allocs, fault = allocs[inside], fault[inside]
        va = np.where(find.first_alloc[allocs], _page(e.value[order[fault]]), -1)
        reads = ins[e.kind[order[ins]] == RawKind.BIO_READ]
        fault, first = find.fault_of(reads)
        reads, fault = (
            reads[~first & (fault >= find.start[reads])],
            fault[~first & (fault >= find.start[reads])],
        )
        origin = find.latest_first_alloc[reads]
        reads, origin = reads[origin > fault], origin[origin > fault]
        none = np.full(len(reads), -1, np.int64)
        return self._owners.resolve(
            e.value[np.concatenate([order[allocs], order[origin]])],
            np.concatenate([order[allocs], order[reads]]),
            np.concatenate([np.maximum(va, -1), none]),
            e.tgid[np.concatenate([order[allocs], order[reads]])],
            e.value[order[outs]],
            order[outs],
        )

    def _release(self, rows: Rows) -> Rows:
        """Return the rows before the first bio that still waits, in order; hold the others."""
        rows = self._held.join(rows)
        waiting = self._carry.seq[self._carry.open & (self._carry.events.kind == RawKind.BIO_WRITE)]
        cut = int(np.searchsorted(rows.seq, waiting.min())) if len(waiting) else len(rows)
        self._held = rows.part(cut, len(rows))
        return rows.part(0, cut)


def _page(address: Array) -> NDArray[np.int64]:
    return (address >> _PAGE << _PAGE).view(np.int64)
