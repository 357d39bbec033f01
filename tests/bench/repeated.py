"""Long traces for benchmarks: a real one repeated, its time going on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import COLUMNS, Backend, Kind
from swaptrace.model.trace import Trace
from swaptrace.model.writer import TraceWriter

__all__ = ["repeat"]

Rows = tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]  # columns, and their masks


def repeat(source: Path, out: Path, rows: int) -> Path:
    """Write ``source`` to ``out`` again and again until it has ``rows`` rows (``comm`` is left out).

    Behind each round all slots that are still in use are freed, as when the recorded processes end: a round that began
    on slots in use would prove the end of an object at nearly every writeout, which no kernel's trace does.
    """
    trace = Trace(source)
    names = [c.name for c in COLUMNS if not c.text]
    whole: list[Rows] = [(batch.columns, batch.valid) for batch in trace.batches(names, 1 << 18)]
    first, last = int(whole[0][0]["ts"][0]), int(whole[-1][0]["ts"][-1])
    whole += _frees_behind(whole)
    done, shift = 0, 0
    with TraceWriter(out) as writer:
        while done < rows:
            for columns, valid in whole:
                n = min(len(columns["ts"]), rows - done)
                part = {name: values[:n] for name, values in columns.items()}
                part["ts"] = part["ts"] + np.int64(shift)
                writer.write(part, {name: mask[:n] for name, mask in valid.items()})
                done += n
                if done == rows:
                    break
            shift += last - first + 1000
        writer.finish(trace.meta)
    return out


def _frees_behind(whole: list[Rows]) -> Iterator[Rows]:
    """Yield the frees of slots that a round leaves in use: the rows of their writeouts, without content, at its end."""

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([columns[name] for columns, _ in whole])

    kind, slot = column("kind"), column("slot")
    rows = np.flatnonzero((slot >= 0) & ((kind == Kind.SWAP_OUT) | (kind == Kind.SLOT_FREE)))[::-1]
    key = column("swap_type")[rows].astype(np.int64) << 48 | slot[rows]
    latest = rows[np.unique(key, return_index=True)[1]]
    left = np.sort(latest[kind[latest] == Kind.SWAP_OUT])
    if len(left):
        columns = {name: column(name)[left] for name in whole[0][0]}
        columns["kind"] = np.full(len(left), Kind.SLOT_FREE, columns["kind"].dtype)
        columns["ts"] = np.full(len(left), column("ts")[-1])
        columns["backend"] = np.full(len(left), Backend.NONE, columns["backend"].dtype)
        yield columns, {name: np.zeros(len(left), np.bool_) for name in whole[0][1]}
