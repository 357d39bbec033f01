"""Cut the sample traces of this folder out of the full recordings, at a clean point, and write MANIFEST.toml.

All start where their recording starts, with nothing swapped out, and end where the machine was idle: at the widest
gap between two events among the last tenth of the rows asked for. Run `make traces RECORDINGS=folder`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import numpy as np

from swaptrace import __version__
from swaptrace.ingest.convert import convert
from swaptrace.model.events import COLUMNS
from swaptrace.model.meta import TraceMeta
from swaptrace.model.trace import Trace
from swaptrace.model.writer import TraceWriter

CUTS = {"redis_zram": 72_000, "sqlite_zram": 90_000, "synthetic_zswap_writeback": 90_000}
ORIGIN = {
    "redis_zram": (
        "redis-server with JSON values under get, set, incr, lpush, hset in an 80 MB memory cgroup; swap on zram lz4"
    ),
    "sqlite_zram": (
        "sqlite3 :memory: with 900,000 rows, indexes, joins, updates in a 70 MB memory cgroup; swap on zram lz4"
    ),
    "synthetic_zswap_writeback": (
        "a loop touching 200 MB in a 64 MB memory cgroup, the zswap pool limit forced to 0 for a second; "
        "zswap lzo in front of a swap file on ext4"
    ),
}
HEADER = """\
# The sample traces: where they come from, and how to make them again. tests/unit/test_sample_traces.py checks them.
# Recorded on a 2-CPU virtual machine by a BPF recorder that lost no event; page contents are hashed (XXH64, seed 0).
"""


def cut(name: str, source: Path, out: Path, rows: int) -> TraceMeta:
    """Write the first rows of the trace ``source``, about ``rows`` of them, to ``out``; return its header."""
    trace = Trace(source)
    batch = next(trace.batches([c.name for c in COLUMNS if not c.text], rows + 1))
    codes, words = next(trace.comms(rows + 1))
    gaps = np.diff(batch["ts"][int(rows * 0.9) : rows + 1])
    end = int(rows * 0.9) + int(gaps.argmax()) + 1
    columns = {column: values[:end] for column, values in batch.columns.items()}
    columns["comm"] = codes[:end].astype(np.int32)
    idle = int(gaps.max()) / 1e6
    note = f"the first {end:,} of {trace.rows:,} events of {name}, cut before an idle {idle:.1f} ms"
    with TraceWriter(out) as writer:
        writer.write(columns, {column: mask[:end] for column, mask in batch.valid.items()}, words)
        return writer.finish(
            dataclasses.replace(trace.meta, tool=f"swaptrace {__version__}", notes=(*trace.meta.notes, note))
        )


def entry(name: str, path: Path, meta: TraceMeta) -> str:
    """Return the manifest entry of one trace."""
    return f"""
["{path.name}"]
origin = "{ORIGIN[name]}"
kernel = "{meta.kernel}"
made = "make traces: {meta.notes[-1]}"
events = {meta.rows}
content_sha256 = "{meta.digest}"
file_sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"
"""


if __name__ == "__main__":
    recordings, here = Path(sys.argv[1]), Path(__file__).parent
    manifest = HEADER
    for name, rows in CUTS.items():
        whole, out = here / f".{name}.whole.parquet", here / f"{name}.parquet"
        try:
            convert([recordings / f"{name}.parquet"], whole)
            manifest += entry(name, out, cut(name, whole, out, rows))
        finally:
            whole.unlink(missing_ok=True)
    (here / "MANIFEST.toml").write_text(manifest)
