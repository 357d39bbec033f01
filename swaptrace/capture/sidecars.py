"""Tables beside a trace: kept in the raw directory while it is recorded, named with their sha256 in its header."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from swaptrace.capture.snapshot import Snapshot
from swaptrace.model.errors import WriteError
from swaptrace.model.meta import Sidecar

__all__ = ["build_sidecars", "keep_snapshot", "remove_sidecars"]

_TABLES = ("snapshot", "processes")
_MOMENTS = ("start", "stop")


def keep_snapshot(snapshot: Snapshot, folder: Path, when: str) -> None:
    """Write the tables of ``snapshot`` into the raw directory ``folder``. Raises :class:`WriteError`."""
    import pyarrow.parquet as pq

    for name, table in (("snapshot", snapshot.pages), ("processes", snapshot.processes)):
        temporary = folder / f"{name}.tmp"
        try:
            pq.write_table(table, temporary, compression="zstd")
            os.replace(temporary, _kept(folder, name, when))
        except OSError as error:
            raise WriteError("the recording stopped.", f"{folder}: {os.strerror(error.errno or 0)}.") from error


def _kept(folder: Path, name: str, when: str) -> Path:
    return folder / f"{name}-{when}.parquet"


def build_sidecars(folder: Path, out: Path) -> tuple[Sidecar, ...]:
    """Write ``T.snapshot.parquet`` and ``T.processes.parquet`` beside the trace ``out`` = ``T.parquet``, each whole or
    not at all, from what the raw directory ``folder`` has; return what the header says of them.

    Raises :class:`WriteError` where there is no room.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    made: list[Sidecar] = []
    for name in _TABLES:
        parts = {when: _kept(folder, name, when) for when in _MOMENTS if _kept(folder, name, when).exists()}
        if not parts:
            continue
        target = out.with_name(f"{out.name.removesuffix('.parquet')}.{name}.parquet")
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            tables = {when: pq.read_table(path) for when, path in parts.items()}
            pq.write_table(pa.concat_tables(tables.values()).unify_dictionaries(), temporary, compression="zstd")
            with temporary.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            os.replace(temporary, target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            remove_sidecars(made, out)
            why = f"{os.strerror(error.errno)}." if error.errno else str(error)
            raise WriteError(f"{target} could not be written.", why) from error
        made.append(Sidecar(target.name, digest, {when: table.num_rows for when, table in tables.items()}))
    return tuple(made)


def remove_sidecars(sidecars: Sequence[Sidecar], out: Path) -> None:
    """Remove the files of a trace ``out`` that was not written."""
    for sidecar in sidecars:
        out.with_name(sidecar.name).unlink(missing_ok=True)
