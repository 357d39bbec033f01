"""Merge streams that are each sorted by time into one, holding one chunk of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from swaptrace.ingest.raw import RawChunk, concat, empty

__all__ = ["merge_by_time"]


def merge_by_time(streams: Sequence[Iterator[RawChunk]]) -> Iterator[RawChunk]:
    """Yield the rows of all ``streams`` in time order.

    Rows of the same time come in the order of the streams, whatever the chunks are: only rows older than the
    last row of every unfinished stream are passed on, so that no later chunk can hold an older or equal one.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    held = [empty() for _ in streams]
    open_ = [True] * len(streams)
    while any(open_) or any(len(h) for h in held):
        for i, stream in enumerate(streams):
            while open_[i] and (len(held[i]) == 0 or held[i].ts[0] == held[i].ts[-1]):
                following = next(stream, None)
                open_[i] = following is not None
                if following is not None:
                    held[i] = concat([held[i], following]) if len(held[i]) else following
        limits = [h.ts[-1] for h, more in zip(held, open_, strict=True) if more]
        cuts = [int(np.searchsorted(h.ts, min(limits), "left")) if limits else len(h) for h in held]
        out = concat([h.take(slice(0, cut)) for h, cut in zip(held, cuts, strict=True)]).sorted()
        held = [h.take(slice(cut, None)) for h, cut in zip(held, cuts, strict=True)]
        if len(out):
            yield out
