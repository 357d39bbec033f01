"""From recorded events to ops on objects: which life of which slot each event belongs to.

Rules (design/policies.md 8.2), event by event, per key (device, slot); an event without a slot uses the key
(owner, va), and has no key where either is unknown:

1. A ``swap_out`` on a key without a live object begins one. On a live object of the same known owner and va it
   rewrites it; otherwise it proves that the slot was freed in between: an *inferred* free, then a new object.
2. A ``swap_out`` with a slot, owner and va also ends (inferred) a live slotless object of that (owner, va).
3. A ``swap_in`` reads its live object; with backend ``cache`` it is a swap-cache hit and reads nothing.
4. ``slot_free``, and ``swap_out`` with backend ``freed``, end the live object.
5. ``swapoff`` ends every live object of its device (inferred), in slot order, at its own time.
6. Reads and frees without a live object are orphans, events without a key are slotless: counted, not replayed.

``latest`` places the inferred free of rule 1 directly before the swap_out that proved it; ``earliest`` directly
after the object's last access: the two bound every figure that depends on it.

Vectorised as in design/performance.md: one packed-key sort per batch groups events by key in time order, and
tables by handle carry each key's state from batch to batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.model.events import Backend, Cause, EventBatch, Kind
from swaptrace.model.ops import CARRIED, NOTHING, Op, Ops
from swaptrace.replay.handles import PageHandles, SlotHandles

__all__ = ["NEEDED_COLUMNS", "ObjectCounts", "Objects"]

NEEDED_COLUMNS = (
    "ts",
    "kind",
    "cause",
    "backend",
    "cpu",
    "tgid",
    "owner_tgid",
    "swap_type",
    "dev",
    "slot",
    "va",
    "sub",
)
_NO_OP = 255
_OP_OF_KIND = np.full(256, _NO_OP, np.uint8)
_OP_OF_KIND[[Kind.SWAP_OUT, Kind.SWAP_IN, Kind.SLOT_FREE]] = [Op.OUT, Op.IN, Op.FREE]
# What an op does to the liveness of its key, as it is packed into sort keys and running states.
_KEEPS, _ENDS, _BEGINS = 0, 1, 2
_EFFECT = np.array([_BEGINS, _KEEPS, _ENDS, _KEEPS, _KEEPS], np.uint64)
_STATE_BITS = np.array([0b00, 0b10, 0b11], np.int32)
_DEVICE_KEY_BY_DEV = 256  # device keys below are swap types, above are indices of `dev` numbers


@dataclass
class ObjectCounts:
    """What became of the events so far."""

    events: int = 0
    objects: int = 0
    writeouts: int = 0
    slotless_writeouts: int = 0
    reads: int = 0
    cache_hits: int = 0
    frees: int = 0
    inferred_frees: int = 0
    orphans: int = 0
    slotless: int = 0  # any kind, slotless_writeouts included


@dataclass
class _Rows:
    """Events that are ops, in time order: op code, handle, the event that each came from.

    ``unseen`` marks frees that no event showed, put in by rule 2 or by ``earliest``.
    """

    op: NDArray[np.uint8]
    handle: NDArray[np.int32]
    source: NDArray[np.int64]
    unseen: NDArray[np.bool_] | None = None


@dataclass
class _Fate:
    """What each row of :class:`_Rows` turned out to be."""

    live: NDArray[np.bool_]  # its object was live before it
    stale: NDArray[np.bool_] | None  # an OUT that proves an unseen free; None: none in this batch
    prev: NDArray[np.int32]  # the OUT before it, meaningful where live
    birth: NDArray[np.int32] | None  # the OUT that began its object; None: the same as prev


@dataclass
class Objects:
    """Resolver with state carried from batch to batch, bounded by touched slots.

    ``last_access`` is a bitmap over event rows: an object freed (inferred) directly after that row. It is made by
    :meth:`find_last_accesses` in a first pass and is what ``earliest`` means. ``extra`` names further columns that
    ops carry along.
    """

    extra: Sequence[str] = ()
    keep_writebacks: bool = False
    last_access: NDArray[np.uint8] | None = None
    counts: ObjectCounts = field(default_factory=ObjectCounts)

    def __post_init__(self) -> None:
        self._slots = SlotHandles()
        self._pages = PageHandles(self._slots)
        self._dev_keys: dict[int, int] = {}
        self._live = np.zeros(0, np.bool_)
        self._page = np.zeros(0, np.uint64)  # (owner, va) of the last OUT, 0 unknown
        self._last_row = np.zeros(0, np.int64)  # event row of the last access
        self._proofs: list[NDArray[np.int64]] | None = None
        self._first_row = 0

    def feed(self, events: EventBatch) -> Iterator[Ops]:
        """Yield the ops of ``events`` (none, one, or several batches: a swapoff ends a batch)."""
        offs = np.flatnonzero(events["kind"] == Kind.SWAPOFF)
        start = 0
        for off in [*offs.tolist(), len(events)]:
            part = _slice(events, start, off)
            self.counts.events += len(part)
            if len(part) and (ops := self._resolve(part)):
                yield ops
            if off < len(events):
                self.counts.events += 1
                if ops := self._swapoff(_slice(events, off, off + 1)):
                    yield ops
            start = off + 1

    def find_last_accesses(self, batches: Iterator[EventBatch], rows: int) -> NDArray[np.uint8]:
        """Run the first pass of ``earliest``: return a bitmap (1 bit per event row, little-endian) of last accesses."""
        bitmap = np.zeros((rows + 7) // 8, np.uint8)
        self._proofs = []
        for events in batches:
            for _ in self.feed(events):
                pass
            for found in self._proofs:
                np.bitwise_or.at(bitmap, found >> 3, np.left_shift(1, found & 7).astype(np.uint8))
            self._proofs.clear()
        return bitmap

    # -- one batch ---------------------------------------------------------------------------------------------

    def _resolve(self, events: EventBatch) -> Ops | None:
        self._first_row = events.first
        rows = self._rows(events)
        if self.last_access is not None:
            rows = self._with_early_frees(rows, events.first)
        n = len(rows.op)
        if n == 0:
            return None
        self._grow()
        return self._ops(events, rows, self._fate(events, rows))

    def _rows(self, events: EventBatch) -> _Rows:
        """Select the events that are ops, and give each its handle."""
        kind, backend = events["kind"], events["backend"]
        op = _OP_OF_KIND[kind]
        if self.keep_writebacks:
            op[kind == Kind.WRITEBACK] = Op.WRITEBACK
        cached = backend == Backend.CACHE
        if cached.any():
            op[cached & (op == Op.IN)] = Op.HIT
        freed = backend == Backend.FREED
        if freed.any():
            op[freed & (op == Op.OUT)] = Op.FREE
        chosen = np.flatnonzero(op != _NO_OP)
        whole = len(chosen) == len(op)
        op = op if whole else op[chosen]
        slot = events["slot"] if whole else events["slot"][chosen]
        if len(slot) == 0:
            return _Rows(op, np.empty(0, np.int32), chosen)
        slotted = slot >= 0
        if slotted.all():
            rows = _Rows(op, self._slots.of(self._devices(events, chosen), slot), chosen)
        else:
            rows = self._with_slotless(events, op, chosen, slot, slotted)
        return self._ended_pages(events, rows) if len(self._pages) else rows

    def _devices(self, events: EventBatch, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a small integer per event that names its swap device: the swap type, else by block device."""
        kind = events["swap_type"][chosen].astype(np.int64)
        if (unknown := kind == 255).any():
            for dev in np.unique(events["dev"][chosen][unknown]).tolist():
                code = self._dev_keys.setdefault(dev, _DEVICE_KEY_BY_DEV + len(self._dev_keys))
                kind[unknown & (events["dev"][chosen] == dev)] = code
        return kind

    def _with_slotless(
        self,
        events: EventBatch,
        op: NDArray[np.uint8],
        chosen: NDArray[np.int64],
        slot: NDArray[np.int64],
        slotted: NDArray[np.bool_],
    ) -> _Rows:
        pages = _page_key(events, chosen)
        keyed = ~slotted & (pages != 0)
        lost = ~slotted & ~keyed
        self.counts.slotless += int(np.count_nonzero(lost))
        outs = int(np.count_nonzero(lost & (op == Op.OUT)))
        self.counts.slotless_writeouts += outs
        self.counts.writeouts += outs
        handle = np.empty(len(op), np.int32)
        handle[slotted] = self._slots.of(self._devices(events, chosen[slotted]), slot[slotted])
        if keyed.any():
            self._grow()
            self._pages.forget(self._live)
            handle[keyed] = self._pages.of(pages[keyed])
        keep = ~lost
        return _Rows(op[keep], handle[keep], chosen[keep])

    def _ended_pages(self, events: EventBatch, rows: _Rows) -> _Rows:
        """Rule 2: put a free of the slotless object before each slotted OUT of its page."""
        out = np.flatnonzero((rows.op == Op.OUT) & (events["slot"][rows.source] >= 0))
        pages = _page_key(events, rows.source[out])
        handle = self._pages.find(pages)
        ends = np.flatnonzero((handle >= 0) & (pages != 0))
        if len(ends) == 0:
            return rows
        return _inserted(rows, out[ends], handle[ends], rows.source[out[ends]])

    def _with_early_frees(self, rows: _Rows, first: int) -> _Rows:
        assert self.last_access is not None
        row = rows.source + first
        last = (self.last_access[row >> 3] >> (row & 7).astype(np.uint8)) & 1 == 1
        last &= rows.op != Op.FREE
        if not last.any():
            return rows
        at = np.flatnonzero(last)
        return _inserted(rows, at + 1, rows.handle[at], rows.source[at])

    def _grow(self) -> None:
        size = self._slots.count
        self._live = grown(self._live, size, 0)
        self._page = grown(self._page, size, 0)
        if self._proofs is not None:
            self._last_row = grown(self._last_row, size, 0)

    def _fate(self, events: EventBatch, rows: _Rows) -> _Fate:
        """Decide for each row whether its object was live, which OUT came before, and which began the object."""
        n = len(rows.op)
        order, handle, sets = _grouped(rows)
        first = np.empty(n, np.bool_)
        first[:1] = True
        np.not_equal(handle[1:], handle[:-1], out=first[1:])
        firsts = np.flatnonzero(first)
        carried = self._live[handle[firsts]]
        # A running maximum carries the key's latest state along its rows: position << 2 | set here << 1 | live.
        state = np.arange(0, 4 * n, 4, dtype=np.int32)
        state += _STATE_BITS[sets]
        state[firsts] |= carried & (sets[firsts] == _KEEPS)
        state *= (sets != _KEEPS) | first
        np.maximum.accumulate(state, out=state)
        before = np.empty(n, np.int32)
        before[1:] = state[:-1]
        before[firsts] = carried
        live = (before & 1) != 0
        was_set = (before & 2) != 0
        prev = np.where(was_set, order[before >> 2], np.int32(CARRIED))
        outs = np.flatnonzero(rows.op == Op.OUT)
        pages = _page_key(events, rows.source[outs])
        # an OUT on a live object rewrites it if owner and va are known and the same, else proves an unseen free
        birth, stale = prev, None
        again = np.flatnonzero((sets == _BEGINS) & live)
        if len(again):
            page = np.zeros(n, np.uint64)
            page[outs] = pages
            page_now = page[order[again]]
            page_then = np.where(was_set[again], page[prev[again]], self._page[handle[again]])
            stale = np.zeros(n, np.bool_)
            stale[again] = (page_now == 0) | (page_now != page_then)
            birth = _births(order, (sets == _BEGINS) & ~(live & ~stale), first)
        if self._proofs is not None:
            self._note_accesses(rows, order, handle, sets, first, live, stale)
        last = np.append(firsts[1:], n) - 1
        self._live[handle[last]] = (state[last] & 1) == 1
        self._page[rows.handle[outs]] = pages  # in time order: the last one of a key stays
        return _Fate(
            _scattered(live, order),
            None if stale is None else _scattered(stale, order),
            _scattered(prev, order),
            None if birth is prev else _scattered(birth, order),
        )

    def _note_accesses(
        self,
        rows: _Rows,
        order: NDArray[np.int32],
        handle: NDArray[np.int32],
        sets: NDArray[np.uint8],
        first: NDArray[np.bool_],
        live: NDArray[np.bool_],
        stale: NDArray[np.bool_] | None,
    ) -> None:
        """First pass of ``earliest``: where an unseen free is proved, note the event row of the last access before."""
        assert self._proofs is not None
        row = rows.source[order] + self._first_row
        access = (sets == _BEGINS) | (live & (sets == _KEEPS))
        if stale is not None:
            last = np.maximum.accumulate(np.where(access | first, np.arange(len(order)), 0))
            proved = np.flatnonzero(stale)
            before = np.maximum(proved - 1, 0)
            inside = ~first[proved] & access[last[before]]
            self._proofs.append(np.where(inside, row[last[before]], self._last_row[handle[proved]]))
        touched = np.flatnonzero(access)
        self._last_row[handle[touched]] = row[touched]

    def _ops(self, events: EventBatch, rows: _Rows, fate: _Fate) -> Ops:
        op, source, handle = rows.op, rows.source, rows.handle
        out = op == Op.OUT
        new = out & ~fate.live
        if fate.stale is not None:
            new |= fate.stale
        keep = out | fate.live
        self._count(rows, fate, keep, new)
        prev = np.where(new, np.int32(NOTHING), fate.prev)
        birth = prev if fate.birth is None else np.where(new, np.int32(NOTHING), fate.birth)
        if fate.stale is not None or not keep.all():
            # drop orphans, and put each proved free directly before the OUT that proved it
            stale = np.zeros(len(op), np.bool_) if fate.stale is None else fate.stale
            place = np.cumsum(keep) - 1 + np.cumsum(stale)  # where each kept row ends up
            pick = np.repeat(np.arange(len(op)), keep.astype(np.int64) + stale)
            is_free = np.zeros(len(pick), np.bool_)
            is_free[place[stale] - 1] = True
            old_birth = fate.prev if fate.birth is None else fate.birth
            prev = np.where(is_free, _moved(fate.prev, place)[pick], _moved(prev, place)[pick])
            birth = np.where(is_free, _moved(old_birth, place)[pick], _moved(birth, place)[pick])
            op = np.where(is_free, np.uint8(Op.FREE), op[pick])
            new = new[pick] & ~is_free
            handle, source = handle[pick], source[pick]
        return self._gathered(events, source, op, handle, new, prev, birth)

    def _count(self, rows: _Rows, fate: _Fate, keep: NDArray[np.bool_], new: NDArray[np.bool_]) -> None:
        counts = self.counts
        seen = np.bincount(rows.op if keep.all() else rows.op[keep], minlength=5)
        stale = 0 if fate.stale is None else int(np.count_nonzero(fate.stale))
        dropped = ~keep if rows.unseen is None else ~keep & ~rows.unseen
        counts.objects += int(np.count_nonzero(new))
        counts.writeouts += int(seen[Op.OUT])
        counts.reads += int(seen[Op.IN])
        counts.cache_hits += int(seen[Op.HIT])
        counts.frees += int(seen[Op.FREE]) + stale
        counts.inferred_frees += stale
        if rows.unseen is not None:
            counts.inferred_frees += int(np.count_nonzero(rows.unseen & keep))
        counts.orphans += int(np.count_nonzero(dropped))

    def _gathered(
        self,
        events: EventBatch,
        source: NDArray[np.int64],
        op: NDArray[np.uint8],
        handle: NDArray[np.int32],
        new: NDArray[np.bool_],
        prev: NDArray[np.int32],
        birth: NDArray[np.int32],
    ) -> Ops:
        whole = len(source) == len(events) and bool((source == np.arange(len(events))).all())

        def take(name: str) -> NDArray[Any]:
            values = events[name]
            return values if whole else values[source]

        columns: dict[str, NDArray[Any]] = {}
        for name in self.extra:
            columns[name] = take(name)
            if name in events.valid:
                columns[f"has_{name}"] = events.valid[name] if whole else events.valid[name][source]
        return Ops(take("ts"), op, take("cpu"), handle, new, prev, birth, take("sub"), columns)

    def _swapoff(self, event: EventBatch) -> Ops:
        """Rule 5: free every live object of the device."""
        device = int(self._devices(event, np.zeros(1, np.int64))[0])
        handles = self._slots.on_device(device)
        self._grow()
        handles = handles[self._live[handles]]
        self._live[handles] = False
        n = len(handles)
        self.counts.frees += n
        self.counts.inferred_frees += n
        columns: dict[str, NDArray[Any]] = {}
        for name in self.extra:
            columns[name] = np.repeat(event[name], n)
            if name in event.valid:
                columns[f"has_{name}"] = np.zeros(n, np.bool_)
        return Ops(
            np.repeat(event["ts"], n),
            np.full(n, Op.FREE, np.uint8),
            np.repeat(event["cpu"], n),
            handles,
            np.zeros(n, np.bool_),
            np.full(n, CARRIED, np.int32),
            np.full(n, CARRIED, np.int32),
            np.zeros(n, np.uint16),
            columns,
        )


def _page_key(events: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one number per row for its (owner, page), 0 where either is unknown.

    A swap-in's owner is its faulting process where the recorder named no other.
    """
    owner = events["owner_tgid"][rows].astype(np.uint64)
    faulting = (events["cause"][rows] == Cause.FAULT) & (owner == 0)
    owner = np.where(faulting, events["tgid"][rows], owner)
    va = events["va"][rows]
    known = (owner != 0) & (va >= 0)
    return np.where(known, (owner << np.uint64(36)) | (va.astype(np.uint64) >> np.uint64(12)), np.uint64(0))


def _slice(events: EventBatch, start: int, end: int) -> EventBatch:
    if start == 0 and end == len(events):
        return events
    return EventBatch(
        {name: values[start:end] for name, values in events.columns.items()},
        events.first + start,
        {name: mask[start:end] for name, mask in events.valid.items()},
    )


def _inserted(rows: _Rows, before: NDArray[np.int64], handle: NDArray[np.int32], source: NDArray[np.int64]) -> _Rows:
    """Return ``rows`` with unseen frees of ``handle`` inserted before the positions ``before``."""
    unseen = np.zeros(len(rows.op), np.bool_) if rows.unseen is None else rows.unseen
    return _Rows(
        np.insert(rows.op, before, np.uint8(Op.FREE)),
        np.insert(rows.handle, before, handle),
        np.insert(rows.source, before, source),
        np.insert(unseen, before, True),
    )


def _grouped(rows: _Rows) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
    """Sort rows by handle, then time: return each row's index, handle and effect on liveness, in that order.

    One sort of packed unique keys (handle, row, effect) does it without a gather.
    """
    n = len(rows.op)
    shift = max(1, (n - 1).bit_length())
    key = rows.handle.astype(np.uint64)
    key <<= np.uint64(shift)
    key |= np.arange(n, dtype=np.uint64)
    key <<= np.uint64(2)
    key |= _EFFECT[rows.op]
    key.sort()
    low = key.astype(np.uint32)  # shift + 2 <= 32
    order = ((low >> np.uint32(2)) & np.uint32((1 << shift) - 1)).view(np.int32)
    return order, (key >> np.uint64(shift + 2)).astype(np.int32), (low & np.uint32(3)).astype(np.uint8)


def _scattered(values: NDArray[Any], order: NDArray[np.int32]) -> NDArray[Any]:
    out = np.empty_like(values)
    out[order] = values
    return out


def _births(order: NDArray[np.int32], begins: NDArray[np.bool_], first: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return for each row the OUT of this batch that began its object before it, or CARRIED."""
    at = np.arange(len(order))
    last = np.maximum.accumulate(np.where(begins | first, at, 0))
    before = np.zeros(len(order), np.int64)
    before[1:] = last[:-1]
    return np.where(begins[before] & ~first, order[before], np.int32(CARRIED))


def _moved(index: NDArray[np.int32], place: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.where(index >= 0, place[np.maximum(index, 0)], index).astype(np.int32)
