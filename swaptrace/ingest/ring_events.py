"""Records of ring-buffer pages -> raw events, by the event formats that lie beside the pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.perf_fields import gather
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, concat, empty
from swaptrace.ingest.ring_pages import PageLayout, Records, decode_pages
from swaptrace.ingest.tracepoints import PAYLOADS, EventFormat, parse_format
from swaptrace.model.errors import InputError

__all__ = ["RingDecoder", "read_formats"]

_TIDS = 1 << 22  # PID_MAX_LIMIT


class RingDecoder:
    """Decodes the pages of all CPUs of one recording, called ``name`` in errors.

    ``cmdlines`` and ``tgids`` are the texts of tracefs ``saved_cmdlines`` and ``saved_tgids``: a line ``tid name``
    or ``tid tgid`` for each task. ``words`` are the names of tasks.
    """

    def __init__(
        self,
        name: str,
        formats: dict[int, EventFormat],
        findings: Findings,
        layout: PageLayout,
        cmdlines: str,
        tgids: str,
    ) -> None:
        self._name = name
        self._formats = formats
        self._findings = findings
        self._layout = layout
        self.words, self._comms = _read_comms(cmdlines)
        self._tgids = _table(_pairs(tgids), np.uint32, 0)
        self._last: dict[int, int] = {}

    def pages(self, data: bytes, cpu: int) -> RawChunk:
        """Return the raw events of the next whole pages of ``cpu``, in time order, with a LOST event for each page
        before which events were lost."""
        pages = np.frombuffer(data, np.uint8)
        records = decode_pages(pages, self._layout)
        self._findings.lose(f"cpu{cpu} buffer pages", int(np.maximum(records.lost, 1).sum()))
        chunk = self._decode(pages, records, cpu)
        if len(chunk):
            forward = np.maximum.accumulate(np.maximum(chunk.ts, self._last.get(cpu, np.iinfo(np.int64).min)))
            self._findings.skip("events moved forward in time to keep the order", int((chunk.ts < forward).sum()))
            chunk.ts[:] = forward
            self._last[cpu] = int(forward[-1])
        return chunk

    def _decode(self, pages: NDArray[np.uint8], records: Records, cpu: int) -> RawChunk:
        words = pages.view(np.uint32)
        kind = words[records.at >> 2] & 0xFFFF  # common_type, the first field of every event
        known = np.zeros(len(kind), np.bool_)
        parts = []
        for number in np.unique(kind).tolist():
            form = self._formats.get(number)
            rows = np.flatnonzero(kind == number)
            if form is None or form.name not in PAYLOADS:
                self._findings.skip(f"{form.name if form else f'event type {number}'}: not needed", len(rows))
                continue
            known[rows] = True
            parts.append((rows, self._event(words, form, records, rows)))
        chunk = empty(len(kind))
        kept, before = known, int(known.sum())
        for rows, (part, keep) in parts:
            for name in ("tid", "kind", "value", "dev", "count", "extra"):
                getattr(chunk, name)[rows] = getattr(part, name)
            kept[rows] &= keep
        if bool((records.ts >= 1 << 62).any() or (records.lost_ts >= 1 << 62).any()):
            raise InputError(
                f"a page of {self._name} has an impossible time.", "It is corrupt.", "Copy or record it again."
            )
        chunk.ts[:] = records.ts.astype(np.int64)
        chunk.cpu[:] = cpu
        self._findings.skip("events of another kind (file pages, flushes, page tables)", before - int(kept.sum()))
        chunk = concat([_losses(records, cpu), chunk.take(kept)]).sorted()
        for table, column, missing in ((self._comms, chunk.comm, -1), (self._tgids, chunk.tgid, 0)):
            inside = chunk.tid < len(table)
            column[:] = np.where(inside, table[np.where(inside, chunk.tid, 0)], missing)
        return chunk

    def _event(self, words: NDArray[np.uint32], form: EventFormat, records: Records, rows: NDArray[np.int64]) -> Any:
        at, size = records.at[rows] >> 2, records.size[rows]
        if bool((size < form.span).any()):
            raise InputError(
                f"an event {form.name} is shorter than its format.",
                "The page is corrupt, or the formats are another kernel's.",
            )

        def read(name: str, width: int) -> Any:
            return gather(words, at, form.fields[name].offset, width or form.fields[name].size)

        payload = PAYLOADS[form.name][1](read)
        part = empty(len(rows))
        part.tid[:] = read("common_pid", 0)
        for name in ("kind", "value", "dev", "count", "extra"):
            getattr(part, name)[:] = getattr(payload, name)
        return part, np.ones(len(rows), np.bool_) if payload.keep is None else payload.keep


def _losses(records: Records, cpu: int) -> RawChunk:
    """Return a LOST event for each page before which events were lost."""
    chunk = empty(len(records.lost))
    chunk.ts[:] = records.lost_ts.astype(np.int64)
    chunk.cpu[:], chunk.kind[:], chunk.value[:] = cpu, RawKind.LOST, records.lost
    return chunk


def read_formats(texts: Iterable[str], name: str) -> dict[int, EventFormat]:
    """Return the event formats by event number. Raises :class:`InputError` where there are none, or where one lacks a
    field that is needed."""
    formats = [parse_format(text) for text in texts]
    if not formats:
        raise InputError(
            f"{name} has raw pages but no event formats.",
            "Their offsets differ between kernels.",
            "Copy formats/ as well.",
        )
    for form in formats:
        missing = [f for f in (*PAYLOADS.get(form.name, ((),))[0], "common_pid") if f not in form.fields]
        if form.name in PAYLOADS and missing:
            raise InputError(
                f"the format of {form.name} lacks {', '.join(missing)}.",
                "This kernel's event is not known yet.",
            )
    return {form.id: form for form in formats}


def _pairs(text: str) -> dict[int, str]:
    rows = (line.split(maxsplit=1) for line in text.splitlines())
    return {int(r[0]): r[1] for r in rows if len(r) == 2 and r[0].isdecimal() and int(r[0][:9]) < _TIDS}


def _table(pairs: dict[int, Any], dtype: Any, missing: int) -> NDArray[Any]:
    table = np.full(max(pairs, default=0) + 1, missing, dtype)
    for tid, value in pairs.items():
        digits = str(value).strip()
        table[tid] = int(digits) if digits.isdecimal() and len(digits) < 10 else missing
    return table


def _read_comms(text: str) -> tuple[list[str], NDArray[np.int32]]:
    names = {tid: name for tid, name in _pairs(text).items() if name != "<...>"}
    words = sorted(set(names.values()))
    code = {word: i for i, word in enumerate(words)}
    return words, _table({tid: code[name] for tid, name in names.items()}, np.int32, -1)
