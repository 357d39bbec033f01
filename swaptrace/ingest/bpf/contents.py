"""Compressed sizes of sampled contents: what the recorder appends to the raw recording, and the sidecar of a trace.

``T.content.parquet`` has one row per distinct content: ``hash`` as in the trace, ``lz4``, ``zstd1``, ``zstd3`` the
bytes that those compressors make of the 4 KiB page, ``zeros`` how many of its bytes are 0. No content is kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from swaptrace.model.errors import WriteError
from swaptrace.model.meta import Sidecar

__all__ = ["CONTENTS", "SIZES", "content_sizes", "sidecar_of"]

CONTENTS = "bpf.contents"
SIZES = np.dtype([("hash", "<u8"), ("lz4", "<u2"), ("zstd1", "<u2"), ("zstd3", "<u2"), ("zeros", "<u2")])


def sidecar_of(trace: Path) -> Path:
    """Return where the sidecar of ``trace`` is: ``T.parquet`` has ``T.content.parquet``."""
    return trace.with_name(f"{trace.name.removesuffix('.parquet')}.content.parquet")


@contextmanager
def content_sizes(folder: Path, trace: Path) -> Iterator[tuple[Sidecar, ...]]:
    """Write the sidecar of ``trace`` if the raw recording in ``folder`` has sizes; yield what the header says of it.

    A content that was sampled twice counts once; a cut last entry (the recorder was killed) is left out. If the block
    fails, so that there is no trace, the sidecar goes, too. Raises :class:`WriteError` where there is no room.
    """
    source = folder / CONTENTS
    if not source.exists():
        yield ()
        return
    whole = source.stat().st_size // SIZES.itemsize
    sizes = np.fromfile(source, SIZES, whole)
    _, first = np.unique(sizes["hash"], return_index=True)
    sizes = sizes[first]
    out = sidecar_of(trace)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        table = pa.table({name: np.ascontiguousarray(sizes[name]) for name in SIZES.names or ()})
        pq.write_table(table, temporary, compression="zstd")
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
        temporary.replace(out)
    except OSError as error:
        why = f"{os.strerror(error.errno)}." if error.errno else str(error)
        raise WriteError(f"{out} could not be written.", why) from error
    finally:
        temporary.unlink(missing_ok=True)
    try:
        yield (Sidecar(out.name, digest, {"": len(sizes)}),)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
