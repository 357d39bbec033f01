"""Compressed sizes of sampled contents: what the recorder appends to the raw recording, and the sidecar of a trace.

``T.content.parquet`` has one row per distinct content: ``hash`` as in the trace, ``lz4``, ``zstd1``, ``zstd3`` the
bytes that those compressors make of the 4 KiB page, ``zeros`` how many of its bytes are 0. No content is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["CONTENTS", "SIZES", "sidecar_of", "write_content_sizes"]

CONTENTS = "bpf.contents"
SIZES = np.dtype([("hash", "<u8"), ("lz4", "<u2"), ("zstd1", "<u2"), ("zstd3", "<u2"), ("zeros", "<u2")])


def sidecar_of(trace: Path) -> Path:
    """Return where the sidecar of ``trace`` is: ``T.parquet`` has ``T.content.parquet``."""
    return trace.with_name(f"{trace.name.removesuffix('.parquet')}.content.parquet")


def write_content_sizes(folder: Path, trace: Path) -> Path | None:
    """Write the sidecar of ``trace`` if the raw recording in ``folder`` has sizes; return where.

    A content that was sampled twice counts once; a cut last entry (the recorder was killed) is left out.
    """
    source = folder / CONTENTS
    if not source.exists():
        return None
    whole = source.stat().st_size // SIZES.itemsize
    sizes = np.fromfile(source, SIZES, whole)
    _, first = np.unique(sizes["hash"], return_index=True)
    sizes = sizes[first]
    out = sidecar_of(trace)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        table = pa.table({name: np.ascontiguousarray(sizes[name]) for name in SIZES.names or ()})
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out
