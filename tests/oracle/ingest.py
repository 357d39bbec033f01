"""The rules of swaptrace.ingest.reconstruct, event by event, written from its docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swaptrace.ingest.raw import RawKind

__all__ = ["Event", "move_major_faults", "reconstruct"]

PAIR_NS = 1_000_000_000
Device = Mapping[str, int]  # dev, swap_type, start, pages
Event = Mapping[str, Any]  # the columns of a raw event
Row = dict[str, Any]


@dataclass
class Task:
    fault: Event | None = None
    accessed: bool = False
    first_alloc: int | None = None  # pfn
    pending: tuple[int, Event, Row] | None = None  # (place in the output, bio, its row if it is a writeback)
    item: tuple[str, int] | None = None  # (name, memcg)
    item_pages: int = 1
    announced: bool = False
    memcg: int = 0
    handles: list[int] = field(default_factory=list)  # allocated since the pending bio, and still held


@dataclass
class State:
    tasks: dict[int, Task] = field(default_factory=dict)
    owners: dict[int, tuple[int, int]] = field(default_factory=dict)
    pages: dict[tuple[int, int, int], tuple[int, int]] = field(default_factory=dict)  # what lies in a slot
    handles: dict[int, Row] = field(default_factory=dict)
    out: list[list[Row]] = field(default_factory=list)  # the rows of each event; [] until a bio is decided


def reconstruct(
    events: Sequence[Event], devices: Sequence[Device], items: Mapping[int, str], faults: bool, exact: bool = True
) -> list[Row]:
    """Return the rows of ``events``. ``items`` names the memcg items by number; ``exact``: faults are no major
    faults."""
    state = State()
    for event in events:
        task = state.tasks.setdefault(event["tid"], Task())
        state.out.append([])
        if task.pending is not None and event["ts"] - task.pending[1]["ts"] > PAIR_NS:
            give_up(state, task)
        step(state, task, event, devices, items, faults, exact)
    for task in state.tasks.values():
        give_up(state, task)
    return [row for rows in state.out for row in rows]


def move_major_faults(
    events: Sequence[Event], devices: Sequence[Device], items: Mapping[int, str]
) -> list[dict[str, Any]]:
    """The rules of swaptrace.ingest.major_faults. ``taken`` holds the accesses of each task since its last end."""
    out: list[dict[str, Any]] = []
    taken: dict[int, list[dict[str, Any]]] = {}
    for event in map(dict, events):
        mine = taken.setdefault(event["tid"], [])
        if event["kind"] == RawKind.MAJOR_FAULT:
            mine[:] = [access for access in mine if event["ts"] - access["ts"] <= PAIR_NS]
            if mine:
                at = next(i for i, other in enumerate(out) if other is mine[0])
                blank = {"kind": RawKind.FAULT, "value": event["value"], "dev": 0, "count": 0, "extra": 0}
                out.insert(at, {**mine[0], **blank})
            mine.clear()
            event["kind"] = RawKind.FAULT_END
        if event["kind"] == RawKind.EXIT:
            mine.clear()
        read = event["kind"] == RawKind.BIO_READ and locate(event, devices) is not None
        item = event["kind"] == RawKind.MEMCG_EVENT and items.get(event["value"]) in ("swpin_zero", "zswpin")
        if read or item:
            mine.append(event)
        out.append(event)
    return out


def give_up(state: State, task: Task) -> None:
    if task.pending is not None:
        at, bio, row = task.pending
        state.out[at] = folio(row, pages_of(bio))
        task.pending = None


def step(
    state: State, task: Task, e: Event, devices: Sequence[Device], items: Mapping[int, str], faults: bool, exact: bool
) -> None:
    kind = e["kind"]
    base: Row = {name: e[name] for name in ("ts", "cpu", "tgid", "tid", "comm")}
    here = state.out[-1]
    if kind == RawKind.MEMCG_EVENT:
        name = items.get(e["value"])
        if name is None:
            return
        if name in ("pswpout", "swpout_zero", "zswpout"):
            task.item = (name, e["extra"])
            task.item_pages = min(max(e["count"], 1), 512)
        if name == "zswpwb":
            task.announced = True
        if name in ("swpin_zero", "zswpin"):
            sure = exact and all(device["zram"] for device in devices)
            row = {**base, **access(state, task, faults, None, sure), "memcg": e["extra"]}
            row["backend"] = "zero" if name == "swpin_zero" else "zswap"
            here += folio(row, min(max(e["count"], 1), 512))
        task.memcg = e["extra"]
    elif kind in (RawKind.BIO_WRITE, RawKind.BIO_READ, RawKind.BIO_DISCARD):
        place = locate(e, devices)
        if place is None:
            return
        base.update(place)
        if kind == RawKind.BIO_DISCARD:
            here += [{**base, "kind": "discard", "slot": base["slot"] + i} for i in range(e["count"] // 8)]
        elif kind == RawKind.BIO_READ:
            if task.fault is not None and task.accessed and task.first_alloc is not None:
                state.owners.pop(task.first_alloc, None)
            known = state.pages.get((place["dev"], place["swap_type"], place["slot"]))
            area = area_of(e, devices)
            sure = exact and area is not None and bool(area["zram"])
            row = access(state, task, faults, known, sure, pages_of(e))
            row = {**base, **row, "backend": "disk", "memcg": task.memcg}
            here += folio(row, pages_of(e))
            task.memcg = 0
        else:
            row = {**base, "kind": "writeback", "cause": "zswap", "backend": "disk", "memcg": task.memcg}
            task.memcg = 0
            if task.announced:
                task.announced = False
                here += folio(row, pages_of(e))
            else:
                give_up(state, task)
                task.pending = (len(state.out) - 1, e, row)
                task.handles = []
                task.item = (*task.item, "before") if task.item else None  # type: ignore[assignment]
    elif kind == RawKind.WRITE_FOLIO:
        here += swap_out(state, task, e, base, devices)
    elif kind == RawKind.FAULT:
        task.fault, task.accessed, task.first_alloc = e, False, None
    elif kind == RawKind.FAULT_END:
        task.fault = None
    elif kind == RawKind.PAGE_ALLOC:
        if task.fault is not None and task.first_alloc is None:
            task.first_alloc = e["value"]
            state.owners[e["value"]] = (task.fault["value"] >> 12 << 12, e["tgid"])
        elif task.fault is not None:
            state.owners.pop(e["value"], None)
    elif kind in (RawKind.HANDLE_ALLOC, RawKind.HANDLE_FREE):
        place = state.handles.pop(e["value"], None)
        for other in state.tasks.values():
            other.handles = [handle for handle in other.handles if handle != e["value"]]
        if kind == RawKind.HANDLE_ALLOC and task.pending is not None:
            task.handles.append(e["value"])
        if kind == RawKind.HANDLE_FREE and place is not None:
            here.append({**base, "kind": "slot_free", "cause": "zs_handle", **place})
    elif kind == RawKind.EXEC:
        here.append({**base, "kind": "proc_exec"})
    elif kind == RawKind.EXIT:
        give_up(state, task)
        here.append({**base, "kind": "proc_exit"})
        del state.tasks[e["tid"]]
    elif kind in (RawKind.SWAPON, RawKind.SWAPOFF):
        area = devices[e["value"]]
        name = "swapon" if kind == RawKind.SWAPON else "swapoff"
        here.append({**base, "kind": name, "dev": area["dev"], "swap_type": area["swap_type"]})
        for key in [key for key in state.pages if key[:2] == (area["dev"], area["swap_type"])]:
            del state.pages[key]
    elif kind == RawKind.LOST:
        here.append({**base, "kind": "lost", "csize": min(e["value"], 0xFFFFFFFF)})


def access(state: State, task: Task, faults: bool, known: tuple[int, int] | None, sure: bool, pages: int = 1) -> Row:
    """The cause of a swap_in, and what follows from it. ``known``: address and process of the page in its slot."""
    row: Row = {"kind": "swap_in", "cause": "nofault" if faults else "none"}
    own = False
    if task.fault is not None:
        page = task.fault["value"] >> 12 << 12
        own = not task.accessed if known is None else known[0] <= page < known[0] + 4096 * pages
        task.accessed = True
        row["cause"] = "fault" if own else "readahead"
    if own and task.fault is not None:
        row.update(va=page, write=task.fault["count"] == 1, owner_tgid="tgid")
        row["conf"] = 0 if known is not None or sure else 2
    elif known is not None:
        row.update(va=known[0], owner_tgid=known[1], conf=2)
    return row


def swap_out(state: State, task: Task, e: Event, base: Row, devices: Sequence[Device]) -> list[Row]:
    row = {**base, "kind": "swap_out", "cause": "reclaim", "pfn": e["value"], "backend": "unknown"}
    pages = 1
    item_is_newer = task.item is not None and len(task.item) == 2
    if task.item is not None:
        pages = task.item_pages
        row["memcg"] = task.item[1]
        row["backend"] = {"swpout_zero": "zero", "zswpout": "zswap"}.get(task.item[0], "unknown")
    if task.pending is not None and not item_is_newer:
        bio = task.pending[1]
        row.update(locate(bio, devices) or {}, backend="disk")
        pages = pages_of(bio)
        if len(task.handles) == pages:
            for sub, handle in enumerate(task.handles):
                place = {name: row[name] for name in ("dev", "swap_type", "slot")}
                state.handles[handle] = {**place, "slot": place["slot"] + sub}
        task.pending = None
    give_up(state, task)
    task.item, task.announced, task.memcg = None, False, 0
    if e["value"] in state.owners:
        row["va"], row["owner_tgid"] = state.owners[e["value"]]
        row["conf"] = 2
    rows = folio(row, pages)
    for page in rows:
        if "slot" in page:
            key = (page["dev"], page["swap_type"], page["slot"])
            state.pages.pop(key, None)
            if "va" in page:
                state.pages[key] = (page["va"], page["owner_tgid"])
    return rows


def pages_of(bio: Event) -> int:
    pages = bio["count"] // 8
    return pages if bio["count"] % 8 == 0 and 0 < pages <= 512 and pages & (pages - 1) == 0 else 0


def area_of(bio: Event, devices: Sequence[Device]) -> Device | None:
    """The swap area that a bio is in, at its time."""
    size = bio["count"] // 8 if bio["kind"] == RawKind.BIO_DISCARD else pages_of(bio)
    for device in devices:
        relative = bio["value"] - device["start"]
        slot = relative // 8
        if not device.get("since", bio["ts"]) <= bio["ts"] <= device.get("until", bio["ts"]):
            continue
        if bio["dev"] != device["dev"] or relative % 8 or slot < 1 or slot + size > device["pages"]:
            continue
        return device if 0 < size <= (4096 if bio["kind"] == RawKind.BIO_DISCARD else 512) else None
    return None


def locate(bio: Event, devices: Sequence[Device]) -> Row | None:
    device = area_of(bio, devices)
    if device is None:
        return None
    slot = (bio["value"] - device["start"]) // 8
    return {"dev": device["dev"], "swap_type": device["swap_type"], "slot": slot}


def folio(row: Row, pages: int) -> list[Row]:
    """One row for each page of a folio."""
    if row.get("owner_tgid") == "tgid":
        row["owner_tgid"] = row["tgid"]
    out = []
    for sub in range(pages):
        page = {**row, "sub": sub, "order": pages.bit_length() - 1}
        for name in ("slot", "pfn"):
            if name in page:
                page[name] += sub
        if "va" in page:
            page["va"] = page["va"] // (4096 * pages) * (4096 * pages) + 4096 * sub
        out.append(page)
    return out
