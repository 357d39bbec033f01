"""Write a trace: Parquet, streamed in row groups, to a temporary file that is renamed when it is whole."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from swaptrace.model.digest import ContentDigest
from swaptrace.model.errors import InputError, PermissionDenied, WriteError
from swaptrace.model.events import COLUMNS, Column
from swaptrace.model.meta import TraceMeta

__all__ = ["META_KEY", "ROW_GROUP", "TraceWriter", "trace_schema"]

META_KEY = b"swaptrace"
_NAMES = {c.name: pa.array([n.name.lower() for n in c.names], pa.string()) for c in COLUMNS if c.names}
ROW_GROUP = 1 << 18  # 256 Ki to 1 Mi rows were read equally fast; small groups bound memory


@cache
def trace_schema() -> pa.Schema:
    """Return the Arrow schema of a trace, made from the table of columns."""
    return pa.schema([pa.field(c.name, c.arrow(), nullable=c.nullable) for c in COLUMNS])


class TraceWriter:
    """Streaming writer of schema version 1.

    ``write`` takes columns in NumPy form (see :mod:`swaptrace.model.events`); missing columns are null. Rows must
    come sorted by ``ts``. Used as a context manager: an exception inside the block leaves no file behind.

    Errors: :class:`InputError` if rows go back in time, :class:`PermissionDenied` if the path cannot be written,
    :class:`WriteError` if there is no room for all of it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._digest = ContentDigest()
        self._rows = 0
        self._last_ts = np.iinfo(np.int64).min
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        encodings = {c.name: c.encoding for c in COLUMNS if c.encoding != "dictionary"}
        try:
            self._parquet = pq.ParquetWriter(
                self._temporary,
                trace_schema(),
                compression="lz4",  # zstd for ts: 0.13 B per event less, 2 ns more to read
                use_dictionary=[c.name for c in COLUMNS if c.name not in encodings],
                column_encoding=encodings,
                write_statistics=True,  # readers need not decode a column that has one value in a row group
            )
        except OSError as error:
            raise PermissionDenied(
                f"cannot write {self.path}.", error.strerror or str(error), "Choose another place with -o."
            ) from error

    def write(
        self,
        columns: Mapping[str, NDArray[Any]],
        valid: Mapping[str, NDArray[np.bool_]] | None = None,
        words: list[str] | None = None,
    ) -> None:
        """Append rows. ``valid`` holds masks of ``hash`` and ``fill``; ``words`` is what codes of ``comm`` index."""
        ts = np.asarray(columns["ts"], np.int64)
        if len(ts) == 0:
            return
        if ts[0] < self._last_ts or bool((ts[1:] < ts[:-1]).any()):
            raise InputError(
                "the events are not sorted by time.",
                f"Around row {self._rows:,} the time goes back.",
                "Sort the input by ts, or import the original recording.",
            )
        self._last_ts = int(ts[-1])
        masks = valid or {}
        arrays = [self._array(c, len(ts), columns.get(c.name), masks.get(c.name), words or []) for c in COLUMNS]
        self._pending.append(pa.RecordBatch.from_arrays(arrays, schema=trace_schema()))
        self._rows += len(ts)
        self._pending_rows += len(ts)
        if self._pending_rows >= ROW_GROUP:
            self._flush(whole_groups_only=True)

    def _array(
        self,
        column: Column,
        rows: int,
        values: NDArray[Any] | None,
        mask: NDArray[np.bool_] | None,
        words: list[str],
    ) -> pa.Array:
        """Return one column in Arrow form, and feed the digest with its canonical form."""
        if values is None:
            if column.required:
                raise ValueError(f"the required column {column.name} was not given")
            values = np.zeros(rows, np.uint8) if column.names is not None else None
        if values is None:
            self._digest.update_absent(column.name, rows)
            return pa.nulls(rows, trace_schema().field(column.name).type)
        values = np.ascontiguousarray(values, column.dtype)
        present = self._present(column, values, mask)
        kind = trace_schema().field(column.name).type
        if column.text:
            self._digest.update_text(column.name, values, words, present)
            codes = _primitive(values, pa.int32(), present)
            return pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string()))
        self._digest.update(column.name, values, present)
        if column.names is not None:
            codes = _primitive(values.view(np.int8), pa.int8(), present)
            return pa.DictionaryArray.from_arrays(codes, _NAMES[column.name])
        return _primitive(values, kind, present)

    @staticmethod
    def _present(column: Column, values: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return which values are present, None for all."""
        if not column.nullable:
            return None
        present = mask if column.null is None else values != column.null
        return None if present is None or bool(present.all()) else present

    def _flush(self, whole_groups_only: bool) -> None:
        table = pa.Table.from_batches(self._pending).unify_dictionaries()
        at = 0
        while len(table) - at >= ROW_GROUP or (at < len(table) and not whole_groups_only):
            with self._writing():
                self._parquet.write_table(table.slice(at, ROW_GROUP), row_group_size=ROW_GROUP)
            at += ROW_GROUP
        rest = table.slice(at)
        self._pending = rest.to_batches() if len(rest) else []
        self._pending_rows = len(rest)

    def finish(self, meta: TraceMeta) -> TraceMeta:
        """Write what is pending and the header, rename the file into place, and return the completed header."""
        if self._pending:
            self._flush(whole_groups_only=False)
        whole = dataclasses.replace(meta, rows=self._rows, digest=self._digest.hexdigest())
        self._parquet.add_key_value_metadata({META_KEY: _header(whole)})
        with self._writing():
            self._parquet.close()
            os.replace(self._temporary, self.path)
        return whole

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise WriteError(f"{self.path} could not be written.", f"{why}.", "Choose a place with more room.") from (
                error
            )

    def abandon(self) -> None:
        """Drop the temporary file."""
        with suppress(OSError):  # closing writes the footer: no room for it, maybe
            self._parquet.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary.exists():  # finish() renamed it away
            self.abandon()


def _primitive(values: NDArray[Any], kind: pa.DataType, present: NDArray[np.bool_] | None) -> pa.Array:
    """Return an Arrow array on the memory of ``values``: pyarrow.array would copy them to put nulls in."""
    rows = len(values)
    if pa.types.is_boolean(kind):
        values = np.packbits(values, bitorder="little")
    valid = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, rows, [valid, pa.py_buffer(values)])


def _header(meta: TraceMeta) -> bytes:
    """Return the header as JSON; a byte of a file's name that is no UTF-8 becomes a question mark."""
    from pydantic import TypeAdapter

    data = TypeAdapter(TraceMeta).dump_python(meta, mode="json")
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
