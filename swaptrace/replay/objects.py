"""From recorded events to ops on objects: which life of which slot each event belongs to.

Rules, event by event, per key (device, slot); an event without a slot uses the key
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

Keys become dense handles (replay/handles.py), and :mod:`swaptrace.kernels.lives` follows the life of each handle
from batch to batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.lives import Fates, new_lives
from swaptrace.model.events import Backend, EventBatch, Kind
from swaptrace.model.ops import CARRIED, NOTHING, Op, Ops
from swaptrace.replay.handles import PageHandles, SlotHandles
from swaptrace.replay.rows import Rows, page_keys, picked, pieces_of

__all__ = ["NEEDED_COLUMNS", "RARE_COLUMNS", "ObjectCounts", "Objects"]

NEEDED_COLUMNS = ("ts", "kind", "backend", "cpu", "owner_tgid", "swap_type", "slot", "va", "sub")
RARE_COLUMNS = ("cause", "tgid", "dev")  # looked at where events have no slot, or no swap type
_NO_OP = 255
_OP_OF_KIND = np.full(256, _NO_OP, np.uint8)
_OP_OF_KIND[[Kind.SWAP_OUT, Kind.SWAP_IN, Kind.SLOT_FREE]] = [Op.OUT, Op.IN, Op.FREE]
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
        self._lives = new_lives()

    def feed(self, events: EventBatch) -> Iterator[Ops]:
        """Yield the ops of ``events`` (none, one, or several batches: a swapoff ends a batch)."""
        for part, is_off in _cut_at_swapoffs(events):
            self.counts.events += len(part)
            ops = self._swapoff(part) if is_off else self._resolve(part)
            if ops:
                yield ops

    def find_last_accesses(self, batches: Iterator[EventBatch], rows: int) -> NDArray[np.uint8]:
        """Run the first pass of ``earliest``: return a bitmap (1 bit per event row, little-endian) of last accesses."""
        bitmap = np.zeros((rows + 7) // 8, np.uint8)
        for events in batches:
            for part, is_off in _cut_at_swapoffs(events):
                if is_off:
                    self._swapoff(part)
                    continue
                pages, chosen = self._rows(part)
                row = chosen.sources() + part.first
                found = self._lives.last_accesses(chosen.op, chosen.handle, pages, row)
                np.bitwise_or.at(bitmap, found >> 3, np.left_shift(1, found & 7).astype(np.uint8))
        return bitmap

    # -- one batch ---------------------------------------------------------------------------------------------

    def _resolve(self, events: EventBatch) -> Ops | None:
        pages, rows = self._rows(events)
        if len(rows.op) == 0:
            return None
        return self._ops(events, rows, self._lives.feed(rows.op, rows.handle, pages))

    def _rows(self, events: EventBatch) -> tuple[NDArray[np.int64], Rows]:
        """Select the events that are ops, and give each its handle; return the page of each, too."""
        op = self._codes(events)
        slot = events["slot"]
        slotted = slot >= 0
        is_op = op != _NO_OP
        pages = page_keys(events, is_op & ((op == Op.OUT) | ~slotted))
        rows = Rows.chosen(is_op, op)
        if (slotted | ~is_op).all():
            rows.handle = self._slots.of(self._devices(events, rows.source), rows.of(slot))
        else:
            rows = self._with_slotless(events, rows, slot, pages)
        if len(self._pages):
            rows = self._ended_pages(rows, slot, pages)
        if self.last_access is not None:
            rows = self._with_early_frees(rows, events.first)
        self._lives.grow(self._slots.count)
        return rows.of(pages), rows

    def _codes(self, events: EventBatch) -> NDArray[np.uint8]:
        """Return the op code of each event, _NO_OP for those that are no op."""
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
        return op

    def _devices(self, events: EventBatch, chosen: NDArray[np.int64] | None) -> NDArray[Any]:
        """Return a small integer per event that names its swap device: the swap type, else by block device."""
        kind = events["swap_type"] if chosen is None else events["swap_type"][chosen]
        if (unknown := kind == 255).any():
            kind = kind.astype(np.int64)
            dev = events["dev"] if chosen is None else events["dev"][chosen]
            for number in np.unique(dev[unknown]).tolist():
                code = self._dev_keys.setdefault(number, _DEVICE_KEY_BY_DEV + len(self._dev_keys))
                kind[unknown & (dev == number)] = code
        return kind

    def _with_slotless(self, events: EventBatch, rows: Rows, slot: NDArray[np.int64], pages: NDArray[np.int64]) -> Rows:
        """Give handles to events with a slot, and to those whose page is known; drop and count the others."""
        op, chosen = rows.op, rows.sources()
        slot, pages = slot[chosen], pages[chosen]
        slotted = slot >= 0
        keyed = ~slotted & (pages != 0)
        keep = slotted | keyed
        outs = int(np.count_nonzero(~keep & (op == Op.OUT)))
        self.counts.slotless += int(np.count_nonzero(~keep))
        self.counts.slotless_writeouts += outs
        self.counts.writeouts += outs
        handle = np.empty(len(op), np.int32)
        handle[slotted] = self._slots.of(self._devices(events, chosen[slotted]), slot[slotted])
        if keyed.any():
            self._lives.grow(self._slots.count)
            self._pages.forget(self._lives.live)
            handle[keyed] = self._pages.of(pages[keyed])
        return Rows(op[keep], handle[keep], chosen[keep])

    def _ended_pages(self, rows: Rows, slot: NDArray[np.int64], pages: NDArray[np.int64]) -> Rows:
        """Rule 2: put a free of the slotless object before each slotted OUT of its page."""
        source = rows.sources()
        out = np.flatnonzero((rows.op == Op.OUT) & (slot[source] >= 0))
        page = pages[source[out]]
        handle = self._pages.find(page)
        ends = np.flatnonzero((handle >= 0) & (page != 0))
        if len(ends) == 0:
            return rows
        return rows.with_frees(out[ends], handle[ends], source[out[ends]])

    def _with_early_frees(self, rows: Rows, first: int) -> Rows:
        assert self.last_access is not None
        source = rows.sources()
        row = source + first
        last = (self.last_access[row >> 3] >> (row & 7).astype(np.uint8)) & 1 == 1
        last &= rows.op != Op.FREE
        if not last.any():
            return rows
        at = np.flatnonzero(last)
        return rows.with_frees(at + 1, rows.handle[at], source[at])

    def _ops(self, events: EventBatch, rows: Rows, fate: Fates) -> Ops:
        op, handle = rows.op, rows.handle
        out = op == Op.OUT
        new = out & ~fate.live
        if fate.stale is not None:
            new |= fate.stale
        keep = out | fate.live
        kept = bool(keep.all())
        self._count(rows, fate, None if kept else keep, new)
        prev = np.where(new, np.int32(NOTHING), fate.prev)
        birth = prev if fate.birth is fate.prev else np.where(new, np.int32(NOTHING), fate.birth)
        if fate.stale is not None or not kept:
            edit = _Edit(keep, fate.stale)
            prev, birth = edit.links(prev, fate.prev), edit.links(birth, fate.birth)
            op, new, handle = edit.picked(op), edit.picked(new), edit.picked(handle)
            op[edit.frees], new[edit.frees] = Op.FREE, False
            source = edit.picked(rows.sources())
            return self._gathered(events, Rows(op, handle, source, pieces=pieces_of(source)), new, prev, birth)
        return self._gathered(events, rows, new, prev, birth)

    def _count(self, rows: Rows, fate: Fates, keep: NDArray[np.bool_] | None, new: NDArray[np.bool_]) -> None:
        """Count the rows; ``keep`` marks those that are not orphans (None: all)."""
        counts = self.counts
        seen = np.bincount(rows.op if keep is None else rows.op[keep], minlength=5)
        stale = 0 if fate.stale is None else int(np.count_nonzero(fate.stale))
        counts.objects += int(np.count_nonzero(new))
        counts.writeouts += int(seen[Op.OUT])
        counts.reads += int(seen[Op.IN])
        counts.cache_hits += int(seen[Op.HIT])
        counts.frees += int(seen[Op.FREE]) + stale
        counts.inferred_frees += stale
        if rows.unseen is not None:
            counts.inferred_frees += int(np.count_nonzero(rows.unseen if keep is None else rows.unseen & keep))
        if keep is not None:
            dropped = ~keep if rows.unseen is None else ~keep & ~rows.unseen
            counts.orphans += int(np.count_nonzero(dropped))

    def _gathered(
        self,
        events: EventBatch,
        rows: Rows,
        new: NDArray[np.bool_],
        prev: NDArray[np.int32],
        birth: NDArray[np.int32],
    ) -> Ops:
        columns: dict[str, NDArray[Any]] = {}
        for name in self.extra:
            columns[name] = rows.of(events[name])
            if name in events.valid:
                columns[f"has_{name}"] = rows.of(events.valid[name])
        of = rows.of
        return Ops(
            of(events["ts"]), rows.op, of(events["cpu"]), rows.handle, new, prev, birth, of(events["sub"]), columns
        )

    def _swapoff(self, event: EventBatch) -> Ops:
        """Rule 5: free every live object of the device."""
        handles = self._slots.on_device(int(self._devices(event, None)[0]))
        live = self._lives.live
        handles = handles[live[handles]]
        live[handles] = False
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


def _cut_at_swapoffs(events: EventBatch) -> Iterator[tuple[EventBatch, bool]]:
    """Yield the parts of ``events`` between its swapoffs, and each of these, marked, as a part of its own."""
    start = 0
    for off in np.flatnonzero(events["kind"] == Kind.SWAPOFF).tolist():
        if off > start:
            yield events.part(start, off), False
        yield events.part(off, off + 1), True
        start = off + 1
    if start < len(events):
        yield events.part(start, len(events)), False


class _Edit:
    """Drops orphans, and puts each free that was proved directly before the OUT that proved it."""

    def __init__(self, keep: NDArray[np.bool_], stale: NDArray[np.bool_] | None) -> None:
        self.place = np.cumsum(keep, dtype=np.int32) - np.int32(1)  # where each kept row ends up
        self.proving = np.empty(0, np.int64) if stale is None else np.flatnonzero(stale)
        if stale is not None:
            self.place += np.cumsum(stale, dtype=np.int32)
        self.frees = self.place[self.proving] - 1  # where the frees end up
        kept = np.flatnonzero(keep)
        self.pick = np.empty(len(kept) + len(self.proving), np.int64)  # the row that each op comes from
        self.pick[self.place[kept]] = kept
        self.pick[self.frees] = self.proving
        self._pieces = pieces_of(self.pick)

    def picked(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of the rows that the ops come from."""
        return picked(values, self.pick, self._pieces)

    def links(self, index: NDArray[np.int32], of_free: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return what rows (and ``of_free``, frees) point to, in the new order."""
        linked = self.picked(index)
        linked[self.frees] = of_free[self.proving]
        return np.where(linked >= 0, self.place[np.maximum(linked, 0)], linked)
