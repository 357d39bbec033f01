"""Fields of perf samples and of the other records, gathered column by column from the words of a block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.comms import CommTable
from swaptrace.ingest.perf_header import CALLCHAIN, RAW, READ, Attr, PerfHeader
from swaptrace.ingest.perf_records import Block
from swaptrace.ingest.raw import FIELDS, Findings, RawChunk, RawKind, empty
from swaptrace.ingest.tracepoints import PAYLOADS, FieldAt, Payload
from swaptrace.model.errors import InputError

__all__ = ["SampleDecoder", "gather", "other_events"]

Array = NDArray[Any]
_SOFTWARE, _TRACEPOINT, _MAJOR_FAULTS = 1, 2, 6  # enum perf_type_id, perf_sw_ids
_LOST, _COMM, _EXIT, _FORK, _LOST_SAMPLES = 2, 3, 4, 7, 13  # enum perf_event_type
_COMM_EXEC = 1 << 13


def gather(low: NDArray[np.uint32], at: Array, offset: int, size: int) -> Any:
    """Return the little-endian unsigned field of ``size`` bytes, ``offset`` bytes after each 4-byte word ``at``."""
    first, shift = at + offset // 4, offset % 4 * 8
    if size == 8 and shift == 0:
        return low[first].astype(np.uint64) | low[first + 1].astype(np.uint64) << np.uint64(32)
    value = low[first]
    if shift + size * 8 <= 32:
        value = value >> np.uint32(shift) if shift else value
        return value if size == 4 else value & np.uint32((1 << size * 8) - 1)
    if size > 4:
        raise InputError("an event format of the recording is damaged.", f"A field of {size} bytes at byte {offset}.")
    return (value >> np.uint32(shift) | low[first + 1] << np.uint32(32 - shift)) & np.uint32((1 << size * 8) - 1)


def _sample_field(words: NDArray[np.uint64], at: Array, offset: int, size: int) -> Array:
    """Return the field of ``size`` bytes, ``offset`` bytes after each word ``at``: :func:`gather` in one pass."""
    if size not in (1, 2, 4, 8):
        raise InputError("an event format of the recording is damaged.", f"A field of {size} bytes at byte {offset}.")
    rows = max(0, (words.nbytes - offset - size) // 8 + 1)
    if size == 8:  # opaque items may begin anywhere: numpy gathers unaligned numbers several times slower
        return np.ndarray(rows, "V8", words.data, offset).take(at).view(np.uint64)
    return np.ndarray(rows, f"u{size}", words.data, offset, strides=8)[at]


class SampleDecoder:
    """Samples of the events that matter -> raw events, in the order of the file."""

    def __init__(self, header: PerfHeader) -> None:
        self._attrs = header.attrs
        self._names: list[str] = []
        self._formats = []
        wanted = []
        for attr in header.attrs:
            form = header.formats.get(attr.config) if attr.type == _TRACEPOINT else None
            name = form.name if form is not None else f"event {attr.type}:{attr.config:#x}"
            if attr.type == _SOFTWARE and attr.config == _MAJOR_FAULTS:
                name = "major-faults"
            usable = name == "major-faults" or (name in PAYLOADS and _has(form, PAYLOADS[name][0]))
            if usable:
                _check(name, attr)
            self._names.append(name)
            self._formats.append(form)
            wanted.append(usable)
        self._wanted = np.array(wanted, np.bool_)
        self.names = {n for n, w in zip(self._names, wanted, strict=True) if w}

    def __call__(self, words: NDArray[np.uint64], block: Block) -> tuple[RawChunk, dict[str, int]]:
        """Return the raw events of a block, and how many samples of which other events it holds."""
        at, attr = block.at, block.attr
        counts = np.bincount(attr, minlength=len(self._attrs))
        unused = {self._names[i]: int(counts[i]) for i in np.flatnonzero(~self._wanted & (counts > 0))}
        if unused:
            keep = np.flatnonzero(self._wanted.take(attr))
            at, attr = at.take(keep), attr.take(keep)
        chunk = empty(len(at))
        kept = np.ones(len(at), np.bool_)
        events = np.flatnonzero(self._wanted & (counts > 0)).tolist()
        layouts = {tuple(self._attrs[i].words.get(n, 0) for n in ("TID", "TIME", "CPU")) for i in events}
        if len(layouts) == 1:
            self._common(words, at, layouts.pop(), chunk, slice(None))
        for i in events:
            rows = np.flatnonzero(attr == i)
            where = at.take(rows)
            if layouts:
                self._common(
                    words,
                    where,
                    tuple(self._attrs[i].words.get(n, 0) for n in ("TID", "TIME", "CPU")),
                    chunk,
                    rows,
                )
            payload = self._payload(words, i, where)
            for name in ("kind", "value", "dev", "count", "extra"):
                values = getattr(payload, name)
                if not (isinstance(values, int) and values == 0 and name != "kind"):
                    getattr(chunk, name)[rows] = values
            if payload.keep is not None and not payload.keep.all():
                kept[rows] = payload.keep
        if not kept.all():
            unused["events of another kind (file pages, flushes, page tables)"] = int(len(kept) - kept.sum())
            chunk = chunk.take(kept)
        return chunk, unused

    def _common(
        self,
        words: NDArray[np.uint64],
        at: Array,
        layout: tuple[int, ...],
        chunk: RawChunk,
        rows: Array | slice,
    ) -> None:
        tid, time, cpu = layout
        if len(at) and int(at[-1]) + max(layout) >= len(words):
            raise InputError("a sample of perf.data is too short for its event.")
        both = words[tid:].take(at).view(np.uint32)
        chunk.tgid[rows] = both[::2]
        chunk.tid[rows] = both[1::2]
        ts = words[time:].take(at).view(np.int64)
        if len(ts) and (int(ts.min()) < 0):
            raise InputError(
                "a sample of perf.data has an impossible time.",
                "The file is corrupt.",
                "Copy or record it again.",
            )
        chunk.ts[rows] = ts
        chunk.cpu[rows] = words[cpu:].take(at) if cpu else 0  # the low 16 bits

    def _payload(self, words: NDArray[np.uint64], event: int, at: Array) -> Payload:
        attr, form = self._attrs[event], self._formats[event]
        if form is None:
            address = words[attr.words["ADDR"] :].take(at) if "ADDR" in attr.words else 0
            return Payload(RawKind.MAJOR_FAULT, address)
        start: Array | int = attr.words["end"]  # words before the raw data
        size = words.take(at) >> np.uint64(48)
        if attr.sample_type & CALLCHAIN:
            depth = words[np.minimum(at + start, len(words) - 1)]
            if bool((depth > 8192).any()):
                raise InputError("a sample of perf.data has an impossible call chain.")
            start = start + 1 + depth.astype(np.int64)
        if bool((8 * start + 4 + form.span > size.view(np.int64)).any()):
            raise InputError(
                f"a sample of {form.name} is shorter than its format.",
                "The file is corrupt.",
                "Copy or record it again.",
            )

        def read(name: str, width: int) -> Any:
            field: FieldAt = form.fields[name]  # after the raw data's own size, 4 bytes
            if isinstance(start, int):
                return _sample_field(words, at, 8 * start + 4 + field.offset, width or field.size)
            return _sample_field(words, at + start, 4 + field.offset, width or field.size)

        return PAYLOADS[form.name][1](read)


def _has(form: Any, fields: tuple[str, ...]) -> bool:
    missing = [f for f in fields if f not in form.fields]
    if missing:
        raise InputError(
            f"the format of {form.name} lacks {', '.join(missing)}.", "This kernel's event is not known yet."
        )
    return True


def _check(name: str, attr: Attr) -> None:
    for needed in ("TID", "TIME"):
        if needed not in attr.words:
            raise InputError(
                f"{name} was recorded without {needed}.",
                "",
                "Record with perf's defaults, which sample both.",
            )
    if attr.type == _TRACEPOINT and not attr.sample_type & RAW:
        raise InputError(f"{name} was recorded without its fields.", "", "Record again with: perf record -R")
    if attr.sample_type & READ:
        raise InputError(
            f"{name} was recorded with group reads.",
            "Their layout is not supported.",
            "Record again without :S groups.",
        )


def other_events(
    words: NDArray[np.uint64],
    block: Block,
    attrs: tuple[Attr, ...],
    comms: CommTable,
    findings: Findings,
    traced: set[str],
) -> RawChunk:
    """Return LOST, exec and exit as raw events; tell ``comms`` about new names. A loop over the few other records.

    ``traced`` names the tracepoints of the file: where it has those of exec and exit, perf's records of them are
    left out.
    """
    rows: list[dict[str, int]] = []
    trailers = {i: a.trailer for a in attrs for i in a.ids}
    for at, kind, size in block.others:
        if kind not in (_LOST, _COMM, _EXIT, _FORK, _LOST_SAMPLES) or size < 3:
            continue
        body = words[at : at + size]
        trailer = trailers.get(int(body[-1]), attrs[0].trailer)
        tail = dict(zip(trailer, body[size - len(trailer) :].tolist(), strict=True)) if size > len(trailer) + 1 else {}
        time = min(int(tail.get("TIME", 0)), np.iinfo(np.int64).max)
        cpu = int(tail.get("CPU", 0)) & 0xFFFF
        pid, tid = int(body[1]) & 0xFFFFFFFF, int(body[1]) >> 32
        event = {"ts": time, "cpu": cpu}
        if kind == _COMM:
            name = body[2 : size - len(trailer)].tobytes().split(b"\0")[0].decode(errors="replace")
            comms.rename(time, tid, name)
            if int(body[0]) >> 32 & _COMM_EXEC and "sched_process_exec" not in traced:
                rows.append({**event, "tgid": pid, "tid": tid, "kind": RawKind.EXEC})
        elif kind == _FORK and size > 3:
            comms.fork(time, int(body[2]) & 0xFFFFFFFF, int(body[2]) >> 32)
        elif kind == _EXIT and size > 3 and "sched_process_exit" not in traced:
            rows.append({**event, "tgid": pid, "tid": int(body[2]) & 0xFFFFFFFF, "kind": RawKind.EXIT})
        elif kind in (_LOST, _LOST_SAMPLES):
            lost = int(body[2] if kind == _LOST else body[1])
            findings.lose("perf", lost)
            rows.append({**event, "kind": RawKind.LOST, "value": lost})
    chunk = empty(len(rows))
    for i, row in enumerate(rows):
        for name in row.keys() & FIELDS.keys():
            getattr(chunk, name)[i] = row[name]
    return chunk
