"""Sort a stream whose events are a little out of order, holding back only as much as can still be overtaken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swaptrace.ingest.raw import Findings, RawChunk, concat, empty

__all__ = ["HOLD_NS", "reordered"]

HOLD_NS = 2_000_000_000  # a reader of per-CPU buffers comes round several times a second


def reordered(chunks: Iterator[RawChunk], findings: Findings, hold_ns: int = HOLD_NS) -> Iterator[RawChunk]:
    """Yield the events sorted by time. One that is more than ``hold_ns`` older than the newest before it may come too
    late: its time is then moved forward, and it is counted."""
    held, passed = empty(), np.iinfo(np.int64).min
    for chunk in chunks:
        late = chunk.ts < passed
        if bool(late.any()):
            findings.skip("events moved forward in time to keep the order", int(late.sum()))
            chunk.ts[late] = passed
        held = concat([held, chunk]).sorted()
        cut = int(np.searchsorted(held.ts, held.ts[-1] - hold_ns, "left")) if len(held) else 0
        if cut:
            passed = int(held.ts[cut - 1])
            yield held.take(slice(0, cut))
            held = held.take(slice(cut, None))
    if len(held):
        yield held
