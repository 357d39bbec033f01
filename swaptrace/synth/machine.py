"""A small machine: pages are touched, memory holds so many of them, the least recently used ones are swapped out.

The rules, round by round (a round is a list of touched pages; a page that is listed twice counts once):

1. A touch of a page that never was makes it: that is always a write, and no event. A touch of a page that was
   swapped out is a ``swap_in``; a touch of a page in memory is no event.
2. A page that is written gets new content, and its slot is freed (``slot_free``): at the swap-in, or at a later
   write to a page that came in for a read. A page that is only read keeps its slot.
3. The pages of the round become the most recently used ones, in their order. Each page that comes in beyond the room
   of the memory is answered at once by the least recently used page, with its whole folio: written to a new slot
   (``swap_out``, by the task that needed the room: direct reclaim) if it has none, else dropped without an event.
4. Slots and page frames freed in a round are handed out again after it, those freed first before the others, from an
   area for each order.
5. An ending process frees the slots of its pages in address order, then comes its ``proc_exit``.

Time: between rows pass 1 to 2 * mean - 1 ns, uniform; the rows of a folio share their time. State is per page, so
memory depends on the number of pages, not on that of the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.synth.content import Mix
from swaptrace.synth.dice import Dice
from swaptrace.synth.runs import Runs

__all__ = ["Hardware", "Machine", "Pages", "Round", "Rows"]

Rows = dict[str, NDArray[Any]]
_FIRST_TGID = 1000
_FIRST_FRAME = 1 << 20


@dataclass(frozen=True)
class Pages:
    """All pages there can be, as columns: ``process`` that owns each, its address ``va``, and the ``order`` of its
    folio. Page numbers and addresses of a folio are aligned to its size."""

    process: NDArray[np.int32]
    va: NDArray[np.int64]
    order: NDArray[np.uint8]


@dataclass(frozen=True)
class Hardware:
    """``resident``: pages that memory holds; ``most``: touches in a round; ``gap``: mean time between rows in ns;
    ``split``: share of large folios that are split before they go out."""

    resident: int
    most: int
    cpus: int
    gap: int
    split: float = 0.0


@dataclass(frozen=True)
class Round:
    """What happens next. First ``exits`` and ``starts`` of processes and ``idle`` ns, then the touches:
    ``page``, whether it is a ``write``, the process that touches it (``task``; None: the owner), the ``cause`` of its
    swap-in (None: a fault), and the page whose content it copies (``copy_of``, -1: none; None: none of them)."""

    page: NDArray[np.int64]
    write: NDArray[np.bool_]
    task: NDArray[np.int64] | None = None
    cause: NDArray[np.uint8] | None = None
    copy_of: NDArray[np.int64] | None = None
    exits: Sequence[int] = ()
    starts: Sequence[int] = ()
    idle: int = 0


class Machine:
    """Plays rounds into rows. Its state: of every page the slot and frame it has, and its content."""

    def __init__(self, pages: Pages, hardware: Hardware, mix: Mix, dice: Dice) -> None:
        count = len(pages.va)
        self._pages, self._hardware, self._mix, self._dice = pages, hardware, mix, dice
        self._slot = np.full(count, -1, np.int64)
        self._frame = np.full(count, -1, np.int64)
        self._content = np.zeros(count, np.int64)
        self._stored = pages.order.copy()  # the order in which each page went out last
        self._seen = np.full(count, np.iinfo(np.int32).max, np.int32)  # scratch: place in the round
        self._used = np.empty(0, np.int64)  # the pages in memory, least recently used first
        self._tgid = _FIRST_TGID + np.arange(int(pages.process.max()) + 1)
        self._clock = 0
        by_order = {int(order): int((pages.order == order).sum()) for order in np.unique(pages.order)}
        room = hardware.resident + hardware.most + 512
        self._frames = Runs(_FIRST_FRAME, {order: min(room, of) for order, of in by_order.items()})
        # Every page may have a slot while those that the round frees are not yet handed out again.
        stored = {**by_order, 0: count} if hardware.split else by_order  # any page may go out alone
        self._slots = Runs(1, {order: of + hardware.most for order, of in stored.items()})

    @property
    def slots(self) -> int:
        """Slots of the device, the header page included."""
        return self._slots.end

    def play(self, step: Round) -> Iterator[Rows]:
        """Yield the rows of one round, in time order; the columns are those of :meth:`_rows`."""
        for process in step.exits:
            yield self._exit(process)
        for process in step.starts:
            yield self._mark(process, Kind.PROC_EXEC)
        self._clock += step.idle
        if len(step.page):
            yield self._touch(step)

    # -- processes ---------------------------------------------------------------------------------------------

    def _exit(self, process: int) -> Rows:
        page = np.flatnonzero(self._pages.process == process)
        self._forget(page)
        page = page[self._slot[page] >= 0]
        slot = self._slot[page]
        self._slots.give(slot, self._stored[page])
        self._slot[page] = -1
        rows = self._rows(page, Kind.SLOT_FREE)
        rows["slot"] = slot
        self._at_once(rows, process)
        end = self._mark(process, Kind.PROC_EXIT)
        self._tgid[process] = self._tgid.max() + 1
        return {name: np.concatenate([rows[name], end[name]]) for name in rows}

    def _mark(self, process: int, kind: Kind) -> Rows:
        """Return one row that is about a process, not about a page."""
        rows = self._rows(np.array([-1]), kind)
        self._at_once(rows, process)
        return rows

    def _at_once(self, rows: Rows, process: int) -> None:
        """Let ``process`` run all ``rows`` on one CPU."""
        count = len(rows["kind"])
        self._run_by(rows, np.full(count, process), np.repeat(self._dice.below(1, self._hardware.cpus), count))
        self._stamp(rows)

    def _forget(self, page: NDArray[np.int64]) -> None:
        """Drop pages from memory."""
        resident = page[self._frame[page] >= 0]
        self._frames.give(self._frame[resident], self._pages.order[resident])
        self._frame[resident] = -1
        self._used = self._used[self._frame[self._used] >= 0]

    # -- touches -----------------------------------------------------------------------------------------------

    def _touch(self, step: Round) -> Rows:
        step = self._once(step)
        page, count = step.page, len(step.page)
        order = self._pages.order[page]
        lead = np.arange(count) - _sub(page, order)  # place of the folio's first page
        slot = self._slot[page]
        fault, swapped = self._frame[page] < 0, slot >= 0
        write = step.write | (fault & ~swapped)
        comes = np.flatnonzero(fault & swapped)
        into = self._rows(page[comes], Kind.SWAP_IN, self._stored)  # before a write changes what the page holds
        self._write(page[write], None if step.copy_of is None else step.copy_of[write])
        frees = np.flatnonzero(write & swapped)
        self._slot[page[frees]] = -1
        self._frame[page[fault]] = self._frames.take(order[fault])
        gone, needed_by = self._reclaim(page, lead[np.flatnonzero(fault)])
        free, out = self._rows(page[frees], Kind.SLOT_FREE), self._rows(gone, Kind.SWAP_OUT, self._stored)
        into["slot"], into["pfn"], into["write"] = slot[comes], self._frame[page[comes]], write[comes]
        into["cause"] = np.full(len(comes), Cause.FAULT, np.uint8) if step.cause is None else step.cause[comes]
        free["slot"] = slot[frees]
        out["slot"], out["pfn"] = self._slot[gone], self._frame[gone]
        out["cause"] = np.full(len(gone), Cause.RECLAIM, np.uint8)
        self._slots.give(slot[frees], self._stored[page[frees]])
        self._drop_frames()
        by = (comes, frees, needed_by)  # the touch that each row comes from
        task = self._pages.process[page].astype(np.int64) if step.task is None else step.task
        cpu = self._dice.below(count, self._hardware.cpus)[lead]
        for rows, touch in zip((into, free, out), by, strict=True):
            self._run_by(rows, task[touch], cpu[touch])
        rows = _merged((into, free, out), [lead[touch] for touch in by], count)
        self._stamp(rows)
        return rows

    def _once(self, step: Round) -> Round:
        """Keep the first touch of every page."""
        place = np.arange(len(step.page), dtype=np.int32)
        np.minimum.at(self._seen, step.page, place)
        first = self._seen[step.page] == place
        self._seen[step.page] = np.iinfo(np.int32).max
        if first.all():
            return step
        kept: dict[str, Any] = {
            name: None if values is None else values[first]
            for name, values in (("task", step.task), ("cause", step.cause), ("copy_of", step.copy_of))
        }
        return Round(step.page[first], step.write[first], **kept)

    def _write(self, page: NDArray[np.int64], copy_of: NDArray[np.int64] | None) -> None:
        content = self._mix.draw(self._dice, len(page))
        if copy_of is not None:
            content = np.where(copy_of >= 0, self._content[np.maximum(copy_of, 0)], content)
        self._content[page] = content

    def _reclaim(
        self, touched: NDArray[np.int64], faults: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Make ``touched`` the most recently used pages and shrink memory to its size. Return the pages that are
        written out, and for each the fault that needed the room; ``faults`` are the places of the faulting folios."""
        self._seen[touched] = 0
        used = np.concatenate([self._used[self._seen[self._used] != 0], touched])
        self._seen[touched] = np.iinfo(np.int32).max
        beyond = max(0, len(used) - self._hardware.resident)
        end = beyond
        if beyond:
            last = int(used[beyond - 1])
            size = 1 << int(self._pages.order[last])
            end += size - 1 - last % size
        self._gone, self._used = used[:end], used[end:]
        place = np.arange(end) - _sub(self._gone, self._pages.order[self._gone])
        needed_by = faults[len(faults) - beyond + place] if end else place
        dirty = self._slot[self._gone] < 0
        gone, needed_by, place = self._gone[dirty], needed_by[dirty], place[dirty]
        stored = self._pages.order[gone]
        if self._hardware.split:
            stored = np.where(self._dice.share(end, self._hardware.split)[place], np.uint8(0), stored)
        self._slot[gone], self._stored[gone] = self._slots.take(stored), stored
        return gone, needed_by

    def _drop_frames(self) -> None:
        """Give back the frames of the pages that went, once the rows have their numbers."""
        self._frames.give(self._frame[self._gone], self._pages.order[self._gone])
        self._frame[self._gone] = -1

    # -- rows --------------------------------------------------------------------------------------------------

    def _rows(self, page: NDArray[np.int64], kind: Kind, stored: NDArray[np.uint8] | None = None) -> Rows:
        """Return rows about ``page`` (-1: about none); ``stored`` holds the orders if folios move."""
        count, about = len(page), page >= 0
        order = np.zeros(count, np.uint8) if stored is None else stored[page]
        content, process = self._content[page], self._pages.process[page]
        held = np.where(content == 0, np.uint8(Backend.ZERO), np.uint8(Backend.DISK))
        return {
            "kind": np.full(count, kind, np.uint8),
            "cause": np.full(count, Cause.NONE, np.uint8),
            "backend": np.full(count, Backend.NONE, np.uint8) if stored is None else held,
            "owner": np.where(about, process, -1),
            "owner_tgid": np.where(about, self._tgid[process], 0).astype(np.uint32),
            "slot": np.full(count, -1, np.int64),
            "va": np.where(about, self._pages.va[page], -1),
            "pfn": np.full(count, -1, np.int64),
            "order": order,
            "sub": _sub(page, order).astype(np.uint16),
            "write": np.zeros(count, np.bool_),
            "content": content,
        }

    def _run_by(self, rows: Rows, task: NDArray[np.int64], cpu: NDArray[np.int64]) -> None:
        """Say which process on which CPU ran what the rows tell."""
        rows["task"], rows["cpu"] = task, cpu.astype(np.uint16)
        rows["tgid"] = self._tgid[task].astype(np.uint32)

    def _stamp(self, rows: Rows) -> None:
        """Give the rows, now in their order, their times."""
        count = len(rows["kind"])
        gaps = 1 + self._dice.below(count, 2 * self._hardware.gap - 1)
        gaps[rows["sub"] > 0] = 0
        times = self._clock + np.cumsum(gaps)
        self._clock = int(times[-1]) if count else self._clock
        rows["ts"] = times


def _sub(page: NDArray[np.int64], order: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the index of each page in its folio."""
    return page & ((np.int64(1) << order.astype(np.int64)) - 1)


def _merged(parts: Sequence[Rows], leads: Sequence[NDArray[np.int64]], count: int) -> Rows:
    """Return the rows of all ``parts`` by their place in the round, rows of one place part by part.

    Each of ``leads`` ascends and is below ``count``.
    """
    sizes = np.stack([np.bincount(lead, minlength=count) for lead in leads], axis=1)
    start = (np.cumsum(sizes.ravel()) - sizes.ravel()).reshape(sizes.shape)
    before = np.cumsum(sizes, axis=0) - sizes
    shift = start - before
    place = np.concatenate([shift[lead, part] + np.arange(len(lead)) for part, lead in enumerate(leads)])
    out: Rows = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        out[name] = np.empty_like(values)
        out[name][place] = values
    return out
