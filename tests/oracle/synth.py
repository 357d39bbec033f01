"""The synthetic machine and its streams, one page at a time, written from the rules in swaptrace/synth/machine.py."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.synth.content import Mix
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Hardware, Pages, Round, Rows


class SlowRuns:
    """Areas by order, one behind the other, each aligned to its order; queues of free runs."""

    def __init__(self, first: int, pages: dict[int, int]) -> None:
        self.free: dict[int, deque[int]] = {}
        for order in sorted(pages):
            size = 1 << order
            while first % size:
                first += 1
            runs = -(-pages[order] // size)
            self.free[order] = deque(first + run * size for run in range(runs))
            first += runs * size


class SlowMachine:
    def __init__(self, pages: Pages, hardware: Hardware, mix: Mix, dice: Dice) -> None:
        self.process, self.va = pages.process.tolist(), pages.va.tolist()
        self.order: list[int] = pages.order.tolist()
        self.hardware, self.mix, self.dice = hardware, mix, dice
        self.slot: dict[int, int] = {}  # page -> slot
        self.stored: dict[int, int] = {}  # page -> order in which it went out last
        self.frame: dict[int, int] = {}  # page in memory -> frame; the order of the keys says nothing
        self.content: dict[int, int] = {}
        self.used: list[int] = []  # folios by their first page, least recently used first
        self.tgid = [1000 + process for process in range(max(self.process) + 1)]
        self.clock = 0
        count = {order: self.order.count(order) for order in set(self.order)}
        room = hardware.resident + hardware.most + 512
        self.frames = SlowRuns(1 << 20, {order: min(room, of) for order, of in count.items()})
        stored = dict(count)
        if hardware.split:
            stored[0] = len(self.order)  # any page may go out alone
        self.slots = SlowRuns(1, {order: of + hardware.most for order, of in stored.items()})

    def folio(self, first: int) -> list[int]:
        return list(range(first, first + (1 << self.order[first])))

    def play(self, step: Round) -> list[dict[str, Any]]:
        rows = []
        for process in step.exits:
            rows += self.exit(process)
        for process in step.starts:
            rows += self.stamped([self.about_process(Kind.PROC_EXEC, process)], self.one_cpu())
        self.clock += step.idle
        return rows + (self.touch(step) if len(step.page) else [])

    def one_cpu(self) -> int:
        return int(self.dice.below(1, self.hardware.cpus)[0])

    def stamped(self, rows: list[dict[str, Any]], cpu: int | None = None) -> list[dict[str, Any]]:
        gaps = self.dice.below(len(rows), 2 * self.hardware.gap - 1).tolist()
        for row, gap in zip(rows, gaps, strict=True):
            self.clock += 0 if row["sub"] else 1 + gap
            row["ts"] = self.clock
            row["cpu"] = row["cpu"] if cpu is None else cpu
        return rows

    def about_process(self, kind: Kind, process: int) -> dict[str, Any]:
        return self.row(kind, None, process)

    def row(self, kind: Kind, page: int | None, task: int, **more: Any) -> dict[str, Any]:
        return {
            "kind": kind,
            "cause": Cause.NONE,
            "backend": Backend.NONE,
            "cpu": 0,
            "tgid": self.tgid[task],
            "owner_tgid": 0 if page is None else self.tgid[self.process[page]],
            "va": -1 if page is None else self.va[page],
            "slot": -1,
            "pfn": -1,
            "order": 0,
            "sub": 0,
            "write": False,
            **more,
        }

    def exit(self, process: int) -> list[dict[str, Any]]:
        rows = []
        mine = [page for page, of in enumerate(self.process) if of == process]
        for page in mine:
            if page in self.frame:
                self.give(self.frames, self.frame.pop(page), page, self.order[page])
        self.used = [first for first in self.used if first in self.frame]
        for page in mine:
            if page in self.slot:
                slot = self.slot.pop(page)
                rows.append(self.row(Kind.SLOT_FREE, page, process, slot=slot))
                self.give(self.slots, slot, page, self.stored[page])
        rows = self.stamped(rows, self.one_cpu())
        rows += self.stamped([self.about_process(Kind.PROC_EXIT, process)], self.one_cpu())
        self.tgid[process] = max(self.tgid) + 1
        return rows

    @staticmethod
    def give(runs: SlowRuns, number: int, page: int, order: int) -> None:
        if page % (1 << order) == 0:  # the first page of a folio brings its run back
            runs.free[order].append(number)

    def touch(self, step: Round) -> list[dict[str, Any]]:
        touches: dict[int, int] = {}  # page -> place in the lists
        for at, page in enumerate(step.page.tolist()):
            touches.setdefault(page, at)
        write = {
            page: bool(step.write[at]) or (page not in self.frame and page not in self.slot)
            for page, at in touches.items()
        }
        before = dict(self.content)
        written = [page for page in touches if write[page]]
        for page, content in zip(written, self.mix.draw(self.dice, len(written)).tolist(), strict=True):
            of = -1 if step.copy_of is None else int(step.copy_of[touches[page]])
            self.content[page] = content if of < 0 else -1 - of
        for page in written:  # copies after all draws: what a page holds may be drawn in the same round
            if self.content[page] < 0:
                self.content[page] = before.get(-1 - self.content[page], 0)
        firsts = [page for page in touches if page % (1 << self.order[page]) == 0]
        self.used = [first for first in self.used if first not in touches]
        resident = sum(len(self.folio(first)) for first in self.used)
        resident += sum(len(self.folio(first)) for first in firsts if first in self.frame)
        freed: list[tuple[int, int, int]] = []
        gone: list[int] = []
        rows: list[dict[str, Any]] = []
        outs: list[tuple[int, list[int]]] = []  # folios written out, with the place of their rows
        for first in firsts:
            at = touches[first]
            task = self.process[first] if step.task is None else int(step.task[at])
            fault = first not in self.frame
            folio = self.folio(first)
            if fault:
                run = self.frames.free[self.order[first]].popleft()
                for page in folio:
                    self.frame[page] = run + page - first
                resident += len(folio)
            for page in folio:
                if fault and page in self.slot:
                    order = self.stored[page]
                    held = Backend.DISK if before[page] else Backend.ZERO
                    cause = Cause.FAULT if step.cause is None else Cause(int(step.cause[touches[page]]))
                    rows.append(
                        self.row(
                            Kind.SWAP_IN, page, task, slot=self.slot[page], pfn=self.frame[page], cause=cause,
                            order=order, sub=page % (1 << order), backend=held, write=write[page], touch=first,
                        )
                    )  # fmt: skip
            for page in folio:
                if write[page] and page in self.slot:
                    slot = self.slot.pop(page)
                    freed.append((slot, page, self.stored[page]))
                    rows.append(self.row(Kind.SLOT_FREE, page, task, slot=slot, touch=first))
            while resident > self.hardware.resident:
                victim = self.used.pop(0)
                gone.append(victim)
                resident -= len(self.folio(victim))
                if victim not in self.slot:
                    places = []
                    for page in self.folio(victim):
                        places.append(len(rows))
                        held = Backend.DISK if self.content[page] else Backend.ZERO
                        rows.append(
                            self.row(
                                Kind.SWAP_OUT, page, task, pfn=self.frame[page], cause=Cause.RECLAIM, touch=first,
                                backend=held, content=self.content[page],
                            )
                        )  # fmt: skip
                    outs.append((victim, places))
        self.used += firsts
        self.store(gone, outs, rows)
        for slot, page, order in freed:
            self.give(self.slots, slot, page, order)
        for victim in gone:
            for page in self.folio(victim):
                self.give(self.frames, self.frame.pop(page), page, self.order[page])
        cpus = self.dice.below(len(touches), self.hardware.cpus).tolist()
        of_touch = {page: cpus[place] for place, page in enumerate(touches)}
        for row in rows:
            row["cpu"] = of_touch[row.pop("touch")]
        return self.stamped(rows)

    def store(self, gone: list[int], outs: list[tuple[int, list[int]]], rows: list[dict[str, Any]]) -> None:
        """Choose which folios are split, and give them slots in the order in which they go."""
        split = dict.fromkeys(gone, False)
        if self.hardware.split:
            drawn = self.dice.share(sum(len(self.folio(each)) for each in gone), self.hardware.split).tolist()
            at = 0
            for victim in gone:
                split[victim] = drawn[at]
                at += len(self.folio(victim))
        for victim, places in outs:
            order = 0 if split[victim] else self.order[victim]
            for page, place in zip(self.folio(victim), places, strict=True):
                sub = page % (1 << order)
                self.slot[page] = self.slots.free[order].popleft() if sub == 0 else self.slot[page - 1] + 1
                self.stored[page] = order
                rows[place] |= {"slot": self.slot[page], "order": order, "sub": sub}


def referee(columns: Rows, valid: Rows, slots: int) -> None:
    """Follow a stream event by event and assert that no rule of a real machine is broken."""
    live: dict[int, tuple[int, int]] = {}  # slot -> the page that is in it
    swapped: set[tuple[int, int]] = set()  # pages that are not in memory
    frames: dict[int, tuple[int, int]] = {}  # pfn -> page
    frame_of: dict[tuple[int, int], int] = {}
    slot_of: dict[tuple[int, int], int] = {}
    dirty: set[tuple[int, int]] = set()  # pages whose slot was freed while they are in memory
    sizes: dict[int, int] = {}
    fills: dict[int, bool] = {}
    ended: set[int] = set()
    previous: dict[str, Any] = {"ts": -1, "order": 0, "sub": 0, "kind": -1}
    names = list(columns)
    for number, values in enumerate(zip(*(columns[name].tolist() for name in names), strict=True)):
        row = dict(zip(names, values, strict=True))
        kind = Kind(row["kind"])
        if row["sub"]:
            assert (row["ts"], row["sub"], row["slot"]) == (
                previous["ts"], previous["sub"] + 1, previous["slot"] + 1,
            )  # fmt: skip
            assert row["va"] == previous["va"] + 4096
            assert row["pfn"] == previous["pfn"] + 1
        else:
            assert row["ts"] > previous["ts"]
            assert previous["sub"] in (0, (1 << previous["order"]) - 1)
            if row["order"]:
                assert row["slot"] % (1 << row["order"]) == row["va"] // 4096 % (1 << row["order"]) == 0
        previous = row
        if kind in (Kind.PROC_EXEC, Kind.PROC_EXIT):
            assert row["slot"] == -1
            assert row["tgid"] not in ended
            if kind == Kind.PROC_EXIT:
                ended.add(row["tgid"])
                for page in [page for page in frame_of if page[0] == row["tgid"]]:
                    del frames[frame_of.pop(page)]
                assert not [page for page in live.values() if page[0] == row["tgid"]]
            continue
        page = row["owner_tgid"], row["va"]
        assert page[0] not in ended
        assert page[0]
        assert 1 <= row["slot"] < slots
        assert valid["hash"][number] == (kind == Kind.SWAP_OUT)
        if kind == Kind.SWAP_OUT:
            assert row["slot"] not in live
            assert page not in slot_of
            assert page not in swapped
            if page in frame_of:
                assert frame_of[page] == row["pfn"]
            live[row["slot"]], slot_of[page] = page, row["slot"]
            swapped.add(page)
            dirty.discard(page)
            if page in frame_of:
                del frames[frame_of.pop(page)]
            filled = bool(valid["fill"][number])
            assert sizes.setdefault(row["hash"], row["csize"]) == row["csize"]
            assert fills.setdefault(row["hash"], filled) == filled
            assert (row["csize"] == 0) == filled
            assert row["incompressible"] == (row["csize"] == 4096)
            assert (row["backend"] == Backend.ZERO) == (filled and row["fill"] == 0)
        elif kind == Kind.SWAP_IN:
            assert live[row["slot"]] == page
            if page in frame_of:  # it was dropped clean meanwhile: nothing shows that
                del frames[frame_of.pop(page)]
            swapped.discard(page)
            other = frames.get(row["pfn"])
            if other is not None:  # a clean page that was dropped: it still has its slot
                assert other in slot_of
                del frame_of[other]
            frames[row["pfn"]], frame_of[page] = page, row["pfn"]
        else:
            assert kind == Kind.SLOT_FREE
            assert live.pop(row["slot"]) == page
            assert slot_of.pop(page) == row["slot"]
            swapped.discard(page)
            dirty.add(page)
    distinct = np.unique(columns["hash"][valid["hash"]])
    assert len(distinct) == len(sizes)
