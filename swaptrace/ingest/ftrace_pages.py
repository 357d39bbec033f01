"""A directory of raw ring-buffer pages, one file per CPU, with the event formats beside them.

``raw.cpuN`` with ``formats/<system>.<event>.format`` (or ``*.format``, ``format.*`` beside it), and, where present,
``header_page``, ``saved_cmdlines``, ``saved_tgids`` and ``meta.json``: what ``swaptrace record`` keeps while it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.perf_fields import gather
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, concat, empty
from swaptrace.ingest.ring_pages import PageLayout, Records, decode_pages, parse_header_page
from swaptrace.ingest.tracepoints import PAYLOADS, EventFormat, parse_format
from swaptrace.model.errors import InputError

__all__ = ["FtracePages"]

_BATCH_PAGES = 2048
_TIDS = 1 << 22


class FtracePages:
    """Raw pages as a source of raw events. ``path`` is the directory, or one ``raw.cpuN`` in it. Without ``whole``, a
    file may end inside a page, which is left out and counted."""

    def __init__(self, path: Path, batch_pages: int = _BATCH_PAGES, whole: bool = True) -> None:
        self.path = path if path.is_dir() else path.parent
        self.files = sorted(self.path.glob("raw.cpu*"), key=_cpu) if path.is_dir() else [path]
        self.findings = Findings()
        self._formats = _read_formats(self.path)
        self._batch_pages = batch_pages
        self._whole = whole
        header = _first(self.path, "header_page", "header_page.txt")
        self._layout = parse_header_page(header) if header else PageLayout()
        self.words, self._comms = _read_comms(_first(self.path, "saved_cmdlines"))
        self._tgids = _table(_pairs(_first(self.path, "saved_tgids")), np.uint32, 0)
        self.size = sum(f.stat().st_size for f in self.files)
        self.done = 0
        if self.size == 0:
            raise InputError(f"{self.path} holds no events.", "Its raw.cpu files are empty.", "Record it again.")

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order, some thousand pages of each CPU at a time."""
        return merge_by_time([self._cpu(file) for file in self.files])

    def _cpu(self, file: Path) -> Iterator[RawChunk]:
        cpu, last = _cpu(file), np.iinfo(np.int64).min
        over = file.stat().st_size % self._layout.page
        if over and not self._whole:
            self.findings.skip("bytes of a ring-buffer page that was not written whole", over)
        elif over:
            raise InputError(
                f"{file} ends inside a page.",
                "The recording or a copy was cut short.",
                "Copy or record it again.",
            )
        left = file.stat().st_size - over
        with file.open("rb") as stream:
            while data := stream.read(min(left, self._batch_pages * self._layout.page)):
                left -= len(data)
                pages = np.frombuffer(data, np.uint8)
                records = decode_pages(pages, self._layout)
                self.findings.lose(f"cpu{cpu} buffer pages", int(np.maximum(records.lost, 1).sum()))
                chunk = self._decode(pages, records, cpu)
                self.done += len(data)
                if not len(chunk):
                    continue
                late = int((chunk.ts < np.maximum.accumulate(np.maximum(chunk.ts, last))).sum())
                if late:
                    self.findings.skip("events moved forward in time to keep the order", late)
                    np.maximum.accumulate(np.maximum(chunk.ts, last), out=chunk.ts)
                last = int(chunk.ts[-1])
                yield chunk

    def _decode(self, pages: NDArray[np.uint8], records: Records, cpu: int) -> RawChunk:
        words = pages.view(np.uint32)
        kind = words[records.at >> 2] & 0xFFFF  # common_type, the first field of every event
        known = np.zeros(len(kind), np.bool_)
        parts = []
        for number in np.unique(kind).tolist():
            form = self._formats.get(number)
            rows = np.flatnonzero(kind == number)
            if form is None or form.name not in PAYLOADS:
                self.findings.skip(f"{form.name if form else f'event type {number}'}: not needed", len(rows))
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
                f"a page of {self.path} has an impossible time.", "It is corrupt.", "Copy or record it again."
            )
        chunk.ts[:] = records.ts.astype(np.int64)
        chunk.cpu[:] = cpu
        self.findings.skip("events of another kind (file pages, flushes, page tables)", before - int(kept.sum()))
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


def _cpu(path: Path) -> int:
    digits = re.search(r"(\d+)$", path.name)
    return int(digits[1]) & 0xFFFF if digits else 0


def _first(folder: Path, *names: str) -> str:
    for name in names:
        if (folder / name).is_file():
            return (folder / name).read_text(errors="replace")
    return ""


def _read_formats(folder: Path) -> dict[int, EventFormat]:
    files = [*folder.glob("formats/*.format"), *folder.glob("*.format"), *folder.glob("format.*")]
    formats = [parse_format(file.read_text(errors="replace")) for file in sorted(files)]
    if not formats:
        raise InputError(
            f"{folder} has raw pages but no event formats.",
            "Their offsets differ between kernels.",
            "Copy formats/ as well.",
        )
    for form in formats:
        missing = [f for f in (*PAYLOADS.get(form.name, ((),))[0], "common_pid") if f not in form.fields]
        if missing:
            raise InputError(
                f"the format of {form.name} lacks {', '.join(missing)}.",
                "This kernel's event is not known yet.",
            )
    return {form.id: form for form in formats}


def _pairs(text: str) -> dict[int, str]:
    rows = (line.split(maxsplit=1) for line in text.splitlines())
    return {int(r[0]): r[1] for r in rows if len(r) == 2 and r[0].isdigit() and int(r[0]) < _TIDS}


def _table(pairs: dict[int, Any], dtype: Any, missing: int) -> NDArray[Any]:
    table = np.full(max(pairs, default=0) + 1, missing, dtype)
    for tid, value in pairs.items():
        table[tid] = int(value) if str(value).strip().isdigit() else missing
    return table


def _read_comms(text: str) -> tuple[list[str], NDArray[np.int32]]:
    names = {tid: name for tid, name in _pairs(text).items() if name != "<...>"}
    words = sorted(set(names.values()))
    code = {word: i for i, word in enumerate(words)}
    return words, _table({tid: code[name] for tid, name in names.items()}, np.int32, -1)
