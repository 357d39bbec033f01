"""From recorded events to ops on objects: which life of which slot each event belongs to.

Rules, event by event, per key (device, slot); an event without a slot uses the key
(owner, va), and has no key where either is unknown (a read that names no owner is its faulting process's):

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

from swaptrace.kernels.lives import Lived, new_lives
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.pick import Pick
from swaptrace.kernels.slotted import slotted_rows
from swaptrace.model.events import Backend, EventBatch, Kind
from swaptrace.model.ops import CARRIED, Op, Ops
from swaptrace.replay.handles import PageHandles, SlotHandles
from swaptrace.replay.rows import Rows, page_keys

__all__ = ["NEEDED_COLUMNS", "RARE_COLUMNS", "ObjectCounts", "Objects"]

NEEDED_COLUMNS = ("ts", "kind", "backend", "cpu", "owner_tgid", "swap_type", "slot", "va", "sub")
RARE_COLUMNS = ("cause", "tgid", "dev")  # looked at where events have no slot, or no swap type
_NO_OP = 255
_BACKEND_BITS = 3
_OP_OF = np.full(len(Kind) << _BACKEND_BITS, _NO_OP, np.uint8)  # by kind << _BACKEND_BITS | backend
for _backend in Backend:
    for _kind, _op in (Kind.SWAP_OUT, Op.OUT), (Kind.SWAP_IN, Op.IN), (Kind.SLOT_FREE, Op.FREE):
        _OP_OF[_kind << _BACKEND_BITS | _backend] = _op
_OP_OF[Kind.SWAP_IN << _BACKEND_BITS | Backend.CACHE] = Op.HIT
_OP_OF[Kind.SWAP_OUT << _BACKEND_BITS | Backend.FREED] = Op.FREE
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
        if (usual := self._usual_rows(events)) is not None:
            return usual
        op = self._codes(events)
        slot = events["slot"]
        slotted = slot >= 0
        is_op = op != _NO_OP
        pages = page_keys(events, ~slotted & is_op)
        rows = Rows.chosen(is_op, op)
        if (slotted | ~is_op).all():
            rows.handle = self._slots.of(self._devices(events, rows.pick), rows.of(slot))
        else:
            rows = self._with_slotless(events, rows, slot, pages)
        if len(self._pages):
            rows = self._ended_pages(rows, slot, pages)
        if self.last_access is not None:
            rows = self._with_early_frees(rows, events.first)
        self._lives.grow(self._slots.count)
        return rows.of(pages), rows

    def _usual_rows(self, events: EventBatch) -> tuple[NDArray[np.int64], Rows] | None:
        """Return the rows of a batch as most are, by one loop where it is compiled; None: take the general way."""
        if engine_name() != "numba" or self.keep_writebacks or len(self._pages) or self.last_access is not None:
            return None
        device = int(events["swap_type"].min())
        found = slotted_rows(events, _OP_OF, device, self._slots.runs(device))
        if found is None:
            return None
        op, handle, page, source = found
        self._lives.grow(self._slots.count)
        return page, Rows(op, handle, None if len(op) == len(events) else Pick(source))

    def _codes(self, events: EventBatch) -> NDArray[np.uint8]:
        """Return the op code of each event, _NO_OP for those that are no op."""
        kind = events["kind"]
        op = np.take(_OP_OF, (kind << np.uint8(_BACKEND_BITS)) | events["backend"])
        if self.keep_writebacks:
            op[kind == Kind.WRITEBACK] = Op.WRITEBACK
        return op

    def _devices(self, events: EventBatch, pick: Pick | None) -> NDArray[Any]:
        """Return a small integer per picked event that names its swap device: the swap type, else by block device."""
        kind = events["swap_type"] if pick is None else pick.of(events["swap_type"])
        if (unknown := kind == 255).any():
            kind = kind.astype(np.int64)
            dev = events["dev"] if pick is None else pick.of(events["dev"])
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
        handle[slotted] = self._slots.of(self._devices(events, Pick(chosen[slotted])), slot[slotted])
        if keyed.any():
            self._lives.grow(self._slots.count)
            self._pages.forget(self._lives.live)
            handle[keyed] = self._pages.of(pages[keyed])
        return Rows(op[keep], handle[keep], Pick(chosen[keep]))

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

    def _ops(self, events: EventBatch, rows: Rows, lived: Lived) -> Ops:
        self._count(rows, lived)
        pick = rows.again(lived.source)

        def of(values: NDArray[Any]) -> NDArray[Any]:
            return values if pick is None else pick.of(values)

        columns: dict[str, NDArray[Any]] = {}
        for name in self.extra:
            columns[name] = of(events[name])
            if name in events.valid:
                columns[f"has_{name}"] = of(events.valid[name])
        ts, cpu, sub = of(events["ts"]), of(events["cpu"]), of(events["sub"])
        return Ops(ts, lived.op, cpu, lived.handle, lived.new, lived.prev, lived.birth, sub, columns)

    def _count(self, rows: Rows, lived: Lived) -> None:
        counts = self.counts
        seen = np.bincount(lived.op, minlength=len(Op))
        counts.objects += int(np.count_nonzero(lived.new))
        counts.writeouts += int(seen[Op.OUT])
        counts.reads += int(seen[Op.IN])
        counts.cache_hits += int(seen[Op.HIT])
        counts.frees += int(seen[Op.FREE])
        counts.inferred_frees += lived.stale
        dropped = len(rows.op) - (len(lived.op) - lived.stale)
        if rows.unseen is not None:
            unseen = rows.unseen if lived.source is None else rows.unseen[lived.source]
            kept = int(np.count_nonzero(unseen))
            counts.inferred_frees += kept
            dropped -= int(np.count_nonzero(rows.unseen)) - kept  # an end of nothing is no orphan
        counts.orphans += dropped

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
