"""The rules of swaptrace.ingest.bpf.rows, record by record, written from its docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swaptrace.ingest.bpf.records import RecordBackend, RecordFlag, RecordKind
from swaptrace.ingest.bpf.window import LOST, SPAN_NS
from swaptrace.model.events import COLUMNS, Backend, Cause, Confidence, Kind

__all__ = ["Record", "rows_of"]

Record = Mapping[str, int]
Row = dict[str, Any]
ACCESSES = (RecordKind.READ, RecordKind.ZSWAP_IN, RecordKind.ZERO_IN)
BACKENDS = {
    RecordBackend.DISK: Backend.DISK,
    RecordBackend.ZERO: Backend.ZERO,
    RecordBackend.ZSWAP: Backend.ZSWAP,
    RecordBackend.FREED: Backend.FREED,
}


def rows_of(
    records: Sequence[Record],
    devs: Mapping[int, int],
    zero_events: bool,
    bypassed: Sequence[int] = (),
    synchronous: Sequence[int] = (),
) -> list[Row]:
    """Return the rows of ``records``, which are in the order of the ring."""
    records = sorted(records, key=lambda r: r["ts"])
    times = folio_times(records)
    answers, taken, in_fault = answers_of(records)
    handles: dict[int, int] = {}
    silent: dict[int, Backend] = {}
    keyed: list[tuple[int, int, Row]] = []
    for at in sorted(range(len(records)), key=lambda i: (times[i], i)):
        r = records[at]
        kind = r["kind"]
        rows: list[Row] = []
        if kind == RecordKind.OUT:
            rows = [out_row(r, devs)]
            silent.pop(r["swp"], None)
            if r["backend"] == RecordBackend.ZERO and (not zero_events or r["flags"] & RecordFlag.ROOT_MEMCG):
                silent[r["swp"]] = Backend.ZERO
            if r["backend"] == RecordBackend.ZSWAP and r["swp"] >> 58 in synchronous:
                silent[r["swp"]] = Backend.ZSWAP
            if r["flags"] & RecordFlag.HANDLE:
                handles[r["aux"]] = r["swp"]
        elif kind == RecordKind.FAULT:
            rows = fault_rows(r, records[answers[at]] if at in answers else None, silent.get(r["swp"]), devs)
            if rows[0]["backend"] == Backend.CACHE and r["swp"] >> 58 in bypassed:
                rows[0]["backend"] = Backend.UNKNOWN
        elif kind in ACCESSES and at not in taken:
            cause = Cause.READAHEAD if in_fault[at] else Cause.NOFAULT
            rows = access_rows(r, cause, devs)
        elif kind == RecordKind.WRITEBACK:
            rows = folio(r, r["swp"], devs, kind=Kind.WRITEBACK, cause=Cause.ZSWAP, backend=Backend.DISK)
        elif kind in (RecordKind.ZSWAP_FREE, RecordKind.SLOT_FREE):
            cause = Cause.ZSWAP_ENTRY if kind == RecordKind.ZSWAP_FREE else Cause.NONE
            for page in range(pages_of(r)):
                row = placed(r, r["swp"] + page, devs, kind=Kind.SLOT_FREE, cause=cause)
                row["pfn"] = r["pfn"] + page if r["pfn"] else -1
                rows.append(row)
        elif kind == RecordKind.HANDLE_FREE:
            slot = handles.pop(r["aux"], 0)
            if slot and not r["swp"] <= slot < r["swp"] + r["pages"]:
                rows = [placed(r, slot, devs, kind=Kind.SLOT_FREE, cause=Cause.ZS_HANDLE)]
        elif kind in (RecordKind.EXEC, RecordKind.EXIT):
            rows = [base(r, kind=Kind.PROC_EXEC if kind == RecordKind.EXEC else Kind.PROC_EXIT)]
        elif kind == LOST:
            rows = [base(r, kind=Kind.LOST, csize=r["aux"])]
        if kind in (RecordKind.ZSWAP_IN, RecordKind.ZSWAP_FREE, RecordKind.WRITEBACK):
            silent.pop(r["swp"], None)
        for row in rows:
            row["ts"] = times[at]
            keyed.append((times[at], at, row))
    return [row for _, _, row in sorted(keyed, key=lambda k: k[:2])]


def folio_times(records: Sequence[Record]) -> list[int]:
    heads: dict[int, Record] = {}
    times = []
    for r in records:
        time = r["ts"]
        if r["kind"] == RecordKind.EXIT:
            heads.pop(r["tid"], None)
        elif r["kind"] == RecordKind.OUT:
            if r["sub"] == 0:
                heads[r["tid"]] = r
            head = heads.get(r["tid"])
            if head and head["pfn"] + r["sub"] == r["pfn"] and time - head["ts"] <= SPAN_NS:
                time = head["ts"]
        times.append(time)
    return times


def answers_of(records: Sequence[Record]) -> tuple[dict[int, int], set[int], dict[int, bool]]:
    """Return the access that answers each fault, the accesses that answer one, and whether each is in a fault."""
    current: dict[int, int] = {}
    answers: dict[int, int] = {}
    zeros: dict[int, list[int]] = {}
    in_fault: dict[int, bool] = {}
    for at, r in enumerate(records):
        if r["kind"] == RecordKind.EXIT:
            current.pop(r["tid"], None)
        elif r["kind"] == RecordKind.FAULT:
            current[r["tid"]] = at
        elif r["kind"] in ACCESSES:
            fault = current.get(r["tid"])
            in_fault[at] = fault is not None and r["ts"] - records[fault]["ts"] <= SPAN_NS
            if fault is None or not in_fault[at]:
                continue
            if r["kind"] == RecordKind.ZERO_IN:
                zeros.setdefault(fault, []).append(at)
            elif r["swp"] <= records[fault]["swp"] < r["swp"] + pages_of(r):
                answers.setdefault(fault, at)
    for fault, found in zeros.items():
        answers.setdefault(fault, found[0])
    return answers, set(answers.values()), in_fault


def pages_of(r: Record) -> int:
    return min(max(r["pages"], 1), 512)


def base(r: Record, **values: int) -> Row:
    row: Row = {c.name: c.null or 0 for c in COLUMNS if not c.text}
    row |= {"has_hash": False, "has_fill": False}
    return row | {name: r[name] for name in ("cpu", "tgid", "tid")} | values


def placed(r: Record, swp: int, devs: Mapping[int, int], **values: int) -> Row:
    row = base(r, memcg=r["memcg"], pfn=r["pfn"] or -1, **values)
    if swp % (1 << 58):
        row |= {"swap_type": swp >> 58, "slot": swp % (1 << 58), "dev": devs.get(swp >> 58, 0)}
    return row


def folio(r: Record, swp: int, devs: Mapping[int, int], pages: int | None = None, **values: int) -> list[Row]:
    rows = []
    pages = pages or pages_of(r)
    for page in range(pages):
        row = placed(r, swp, devs, **values)
        row |= {"order": pages.bit_length() - 1, "sub": page}
        for name, step in (("slot", 1), ("pfn", 1), ("va", 4096)):
            row[name] += page * step if row[name] >= 0 else 0
        rows.append(row)
    return rows


def out_row(r: Record, devs: Mapping[int, int]) -> Row:
    row = placed(r, r["swp"], devs, kind=Kind.SWAP_OUT, cause=Cause.RECLAIM)
    flags = r["flags"]
    row["backend"] = BACKENDS[RecordBackend(r["backend"])]
    filled = bool(flags & RecordFlag.FILLED)
    if r["backend"] == RecordBackend.ZERO and flags & RecordFlag.HASHED and not (filled and r["aux"] == 0):
        row["backend"] = Backend.UNKNOWN
    row |= {"va": -1 if flags & RecordFlag.UNMAPPED else r["va"], "owner_tgid": r["owner"]}
    row |= {name: r[name] for name in ("order", "sub", "hash", "csize")}
    row |= {"fill": r["aux"] if filled else 0, "incompressible": r["csize"] == 4096}
    row |= {"shmem": bool(flags & RecordFlag.SHMEM)}
    return row | {"has_hash": bool(flags & RecordFlag.HASHED), "has_fill": filled}


def fault_rows(r: Record, answer: Record | None, silent: Backend | None, devs: Mapping[int, int]) -> list[Row]:
    page = r["va"] & ~4095
    common = {"kind": Kind.SWAP_IN, "cause": Cause.FAULT, "owner_tgid": r["tgid"]}
    common["write"] = bool(r["flags"] & RecordFlag.WRITE)
    if answer is None:
        state = {"backend": silent, "conf": Confidence.BACKEND} if silent else {"backend": Backend.CACHE}
        rows = folio(r, r["swp"], devs, 1, **common, **state, va=page)
        return [row | {"memcg": 0, "pfn": -1} for row in rows]
    pages = pages_of(answer)
    if answer["kind"] == RecordKind.READ:
        into = r["swp"] - answer["swp"]
        state = {"backend": Backend.DISK}
    else:
        into = r["swp"] % (1 << 58) % pages if answer["kind"] == RecordKind.ZERO_IN or pages > 1 else 0
        state = {"backend": Backend.ZERO if answer["kind"] == RecordKind.ZERO_IN else Backend.ZSWAP}
    rows = folio(r, r["swp"] - into, devs, pages, **common, **state, va=page - 4096 * into)
    for sub, row in enumerate(rows):
        row["memcg"] = answer["memcg"]
        row["csize"] = answer["csize"] if answer["kind"] == RecordKind.ZSWAP_IN else 0
        row["pfn"] = answer["pfn"] + sub if answer["kind"] == RecordKind.READ and answer["pfn"] else -1
    return rows


def access_rows(r: Record, cause: Cause, devs: Mapping[int, int]) -> list[Row]:
    backend = {RecordKind.READ: Backend.DISK, RecordKind.ZSWAP_IN: Backend.ZSWAP, RecordKind.ZERO_IN: Backend.ZERO}
    rows = folio(r, r["swp"], devs, kind=Kind.SWAP_IN, cause=cause, backend=backend[RecordKind(r["kind"])])
    for row in rows:
        row["csize"] = r["csize"] if r["kind"] == RecordKind.ZSWAP_IN else 0
    return rows
