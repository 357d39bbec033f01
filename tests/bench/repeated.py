"""Long traces for benchmarks: a real one repeated, its time going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from swaptrace.model.events import COLUMNS
from swaptrace.model.trace import Trace
from swaptrace.model.writer import TraceWriter

__all__ = ["repeat"]


def repeat(source: Path, out: Path, rows: int) -> Path:
    """Write ``source`` to ``out`` again and again until it has ``rows`` rows (``comm`` is left out)."""
    trace = Trace(source)
    names = [c.name for c in COLUMNS if not c.text]
    whole = list(trace.batches(names, 1 << 18))
    first, last = int(whole[0]["ts"][0]), int(whole[-1]["ts"][-1])
    done, shift = 0, 0
    with TraceWriter(out) as writer:
        while done < rows:
            for batch in whole:
                n = min(len(batch), rows - done)
                columns = {name: values[:n] for name, values in batch.columns.items()}
                columns["ts"] = columns["ts"] + np.int64(shift)
                writer.write(columns, {name: mask[:n] for name, mask in batch.valid.items()})
                done += n
                if done == rows:
                    break
            shift += last - first + 1000
        writer.finish(trace.meta)
    return out
