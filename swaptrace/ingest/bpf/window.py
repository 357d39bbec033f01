"""Records of the ring in time order, in windows that hold everything a record's meaning depends on.

CPUs reserve places in the ring and take the time a moment later, so neighbours may be out of order; the watermark of
each chunk says up to when everything is there. What a record means depends on records of its task at most
:data:`SPAN_NS` before or after it; so a window holds that much on both sides of the records that it decides, and the
result cannot depend on where chunks were cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.bpf.records import RECORD, Chunk, RecordKind
from swaptrace.ingest.tasks import Tasks

__all__ = ["LOST", "SPAN_NS", "Window", "windows"]

SPAN_NS = 1_000_000_000  # a fault and its read are microseconds apart, unless reclaim stalls the task between them
LOST = 255  # kind of a record that is put in where the ring lost records: ``aux`` of them
_BATCH_RECORDS = 1 << 19


@dataclass(frozen=True)
class Window:
    """Records sorted by their own time; ``ts`` is when they happened: pages of a folio share the time of its first.

    ``fresh`` marks the records to decide now; over all windows each record is fresh once, and their ``ts`` never
    decrease from window to window.
    """

    records: NDArray[Any]
    ts: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    tasks: Tasks


def windows(chunks: Iterable[Chunk], batch_records: int = _BATCH_RECORDS) -> Iterator[Window]:
    """Yield the windows over ``chunks``; each begins with at least ``batch_records`` new records, or is the last."""
    held = np.zeros(0, RECORD)
    new: list[NDArray[Any]] = []
    waiting = decided = watermark = lost = 0
    for chunk in chunks:
        if chunk.lost > lost:
            new.append(_lost_record(chunk, chunk.lost - lost))
            lost = chunk.lost
        new.append(chunk.records)
        waiting += len(chunk.records)
        watermark = max(watermark, chunk.watermark)
        if waiting >= batch_records and watermark - SPAN_NS > decided:
            until = watermark - SPAN_NS
            records = _sorted([held, *new])
            whole = int(np.searchsorted(records["ts"], watermark, "left"))
            yield _window(records[:whole], decided, until)
            held = records[int(np.searchsorted(records["ts"], max(until - SPAN_NS, 0), "left")) :]
            new, waiting, decided = [], 0, until
    yield _window(_sorted([held, *new]), decided, np.iinfo(np.int64).max)


def _lost_record(chunk: Chunk, count: int) -> NDArray[Any]:
    record = np.zeros(1, RECORD)
    record["kind"], record["aux"], record["ts"] = LOST, count, chunk.records["ts"][0]
    record["cpu"] = chunk.records["cpu"][0]
    return record


def _sorted(parts: list[NDArray[Any]]) -> NDArray[Any]:
    records = np.concatenate(parts)
    ts = records["ts"]
    return records if bool((ts[1:] >= ts[:-1]).all()) else records[np.argsort(ts, kind="stable")]


def _window(records: NDArray[Any], start: int, end: int) -> Window:
    tasks = Tasks(records["tid"], records["kind"] == RecordKind.EXIT)
    ts = _folio_times(records, tasks)
    return Window(records, ts, (ts >= start) & (ts < end), tasks)


def _folio_times(records: NDArray[Any], tasks: Tasks) -> NDArray[np.int64]:
    """Return the times, those of the pages of a folio replaced by that of its first page."""
    ts: NDArray[np.int64] = records["ts"].astype(np.int64)
    out = records["kind"] == RecordKind.OUT
    later = out & (records["sub"] > 0)
    if not later.any():
        return ts
    latest = tasks.latest((out & (records["sub"] == 0))[tasks.order])
    at = np.flatnonzero(later[tasks.order])
    first = latest[at]
    row, head = tasks.order[at], tasks.order[np.maximum(first, 0)]
    same = (first >= tasks.start[at]) & (records["pfn"][head] + records["sub"][row] == records["pfn"][row])
    same &= ts[row] - ts[head] <= SPAN_NS
    ts[row[same]] = ts[head[same]]
    return ts
