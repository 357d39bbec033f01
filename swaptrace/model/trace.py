"""Read a trace: immutable Parquet with a header that declares what it can and cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from swaptrace.model.errors import InputError, closest
from swaptrace.model.events import COLUMN_BY_NAME, SCHEMA_VERSION, Column, EventBatch
from swaptrace.model.meta import TraceMeta
from swaptrace.model.statistics import GroupStatistics, SingleValue
from swaptrace.model.writer import META_KEY

__all__ = ["BATCH_ROWS", "Trace"]

BATCH_ROWS = 1 << 18


class Trace:
    """A trace file, opened: its header, and its rows as :class:`EventBatch` es of any size.

    Errors: :class:`InputError` for a missing, truncated, foreign, or newer file; the message names the next step.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self.meta = _header(self.path, self._file)
        _check_columns(self.path, self._file.schema_arrow)

    @property
    def rows(self) -> int:
        """Number of events in the file."""
        return int(self._file.metadata.num_rows)

    def batches(
        self,
        columns: Sequence[str],
        batch_rows: int = BATCH_ROWS,
        *,
        rare: Sequence[str] = (),
        check_order: bool = True,
    ) -> Iterator[EventBatch]:
        """Yield the rows in time order, ``batch_rows`` at a time, with just ``columns`` decoded.

        ``rare`` columns are decoded where somebody looks at them, a row group at a time.
        A batch ends where a row group of the file ends. Columns that a row group's statistics show to have one value
        only, or none, are not decoded.

        Raises :class:`InputError` where ``ts`` was asked for and goes back (unless ``check_order`` is off: validate
        lists that), or a page of the file is corrupt.
        """
        _check_types(self.path, self._file.schema_arrow, [*columns, *rare])
        last_ts = None
        for events in self._events(columns, batch_rows, frozenset(rare)):
            first = events.first
            if check_order and "ts" in events.columns and len(events):
                ts = events["ts"]
                if (last_ts is not None and ts[0] < last_ts) or bool((ts[1:] < ts[:-1]).any()):
                    raise InputError(
                        f"{self.path} is not sorted by time.",
                        f"The time goes back between rows {first:,} and {first + len(ts):,}.",
                        f"Sort it: swaptrace record {self.path} -o sorted.parquet",
                    )
                last_ts = ts[-1]
            yield events

    def _events(self, columns: Sequence[str], batch_rows: int, rare: frozenset[str]) -> Iterator[EventBatch]:
        first = 0
        statistics = GroupStatistics(self._file.metadata)
        for group in range(self._file.num_row_groups):
            single = statistics.single(group, columns)
            decoded = [name for name in columns if name not in single] or ["ts"]
            start, whole = first, _RareColumns(self._file, group)
            for batch in self._arrow(decoded, batch_rows, first, [group]):
                events = _decode(batch, columns, first, single)
                yield replace(events, later=whole.later(first - start, len(batch), rare)) if rare else events
                first += len(batch)

    def arrow_batches(self, columns: Sequence[str], batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rows as the file has them; raises :class:`InputError` where a page of it is corrupt."""
        yield from self._arrow(columns, batch_rows, 0, list(range(self._file.num_row_groups)))

    def _arrow(self, columns: Sequence[str], batch_rows: int, rows: int, groups: list[int]) -> Iterator[pa.RecordBatch]:
        """Decode row groups, of which the first begins at row ``rows``."""
        stream = self._file.iter_batches(batch_rows, groups, list(columns), use_threads=False)
        while True:
            try:
                batch = next(stream, None)
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{self.path} is corrupt after row {rows:,}.",
                    str(error).splitlines()[0],
                    "Record or copy it again.",
                ) from error
            if batch is None:
                return
            yield batch
            rows += len(batch)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that the file has."""
        return self._file.schema_arrow

    def comms(self, batch_rows: int = BATCH_ROWS) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
        """Yield ``comm`` as codes into a list of words (code -1: missing), batch by batch."""
        _check_types(self.path, self._file.schema_arrow, ["comm"])
        for batch in self.arrow_batches(["comm"], batch_rows):
            array = batch.column(0)
            codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            yield codes, array.dictionary.to_pylist()


class _RareColumns:
    """Columns of one row group that are decoded only when they are looked at, once each."""

    def __init__(self, file: pq.ParquetFile, group: int) -> None:
        self._file, self._group = file, group
        self._decoded: dict[str, NDArray[Any]] = {}

    def later(self, start: int, rows: int, names: frozenset[str]) -> Callable[[str], NDArray[Any]]:
        """Return what decodes a column for ``rows`` rows from row ``start`` of the group."""

        def column(name: str) -> NDArray[Any]:
            if name not in names:
                raise KeyError(name)
            if name not in self._decoded:
                self._decoded[name] = self._decode(name)
            return self._decoded[name][start : start + rows]

        return column

    def _decode(self, name: str) -> NDArray[Any]:
        present = name in self._file.schema_arrow.names
        table = self._file.read_row_group(self._group, columns=[name if present else "ts"], use_threads=False)
        parts = [_numpy(COLUMN_BY_NAME[name], a if present else None, len(a))[0] for a in table.column(0).chunks]
        return np.concatenate(parts)


def _open(path: Path) -> pq.ParquetFile:
    if not path.exists():
        raise InputError(f"{path} does not exist.", "", "Record one: swaptrace record -o T.parquet -- COMMAND")
    if not path.is_file():
        what = "a directory" if path.is_dir() else "not a regular file"
        raise InputError(f"{path} is {what}.", "A trace is one Parquet file, read from its end.")
    try:
        return pq.ParquetFile(path, pre_buffer=False)  # with it, memory would grow with the file
    except PermissionError as error:
        raise InputError(f"cannot read {path}.", "Permission denied.") from error
    except (pa.ArrowException, OSError) as error:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4)
        ours = head == b"PAR1"
        if size == 0:
            why = "The file is empty."
        elif ours:
            why = "It begins like Parquet but its end is missing or damaged: the copy or the recording was cut short."
        else:
            why = "It is not a Parquet file."
        if ours:
            step = "Copy it again."
        elif head.startswith(b"{"):
            step = f"If it is a report: swaptrace report {path}"
        else:
            step = f"If it is a recording of perf or ftrace: swaptrace record {path} -o T.parquet"
        raise InputError(f"{path} is not a swaptrace trace.", why, step) from error


def _header(path: Path, file: pq.ParquetFile) -> TraceMeta:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import from_json

    raw = (file.metadata.metadata or {}).get(META_KEY)
    if raw is None:
        raise InputError(
            f"{path} is Parquet, but not a swaptrace trace.",
            "Its footer has no swaptrace header.",
            f"If it holds swap events: swaptrace record {path} -o T.parquet",
        )
    try:
        header: Any = from_json(raw)
        version = int(header["schema_version"])
        if version < 1:
            raise ValueError(f"schema version {version}")
        if version > SCHEMA_VERSION:
            raise InputError(
                f"{path} has schema version {version}; this swaptrace reads up to {SCHEMA_VERSION}.",
                f"It was written by {header.get('tool') or 'a newer swaptrace'}.",
                "Upgrade: pip install -U linux-swaptrace",
            )
        return TypeAdapter(TraceMeta).validate_python(header)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(f"the header of {path} is damaged.", str(error).splitlines()[0], "Record it again.") from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    missing = [c.name for c in COLUMN_BY_NAME.values() if c.required and c.name not in schema.names]
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(missing)}.", "They are required in every schema version."
        )


def _check_types(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise :class:`InputError` if a column that is asked for has another type than the schema's."""
    for name in columns:
        wanted = COLUMN_BY_NAME[name].arrow()
        if name not in schema.names:
            continue
        found = schema.field(name).type
        words = COLUMN_BY_NAME[name].is_words and pa.types.is_dictionary(found)
        if (found.value_type != pa.string()) if words else (found != wanted):
            raise InputError(
                f"the column {name} of {path} has the type {found}.",
                f"Schema version {SCHEMA_VERSION} has {wanted}.",
                f"Import it: swaptrace record {path} -o T.parquet",
            )


def _decode(batch: pa.RecordBatch, columns: Sequence[str], first: int, single: dict[str, SingleValue]) -> EventBatch:
    out: dict[str, NDArray[Any]] = {}
    valid: dict[str, NDArray[np.bool_]] = {}
    for name in columns:
        column = COLUMN_BY_NAME[name]
        if name in single:
            out[name] = single[name].values(len(batch))
            if column.null is None:
                valid[name] = single[name].present(len(batch))
            continue
        array = batch.column(name) if name in batch.schema.names else None
        out[name], mask = _numpy(column, array, len(batch))
        if mask is not None:
            valid[name] = mask
    return EventBatch(out, first, valid)


def _numpy(column: Column, array: pa.Array | None, rows: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return one column in NumPy form, and its mask if the column has no null value (then undefined where missing)."""
    null = 0 if column.null is None else column.null
    if array is None:  # an older schema without this column
        absent = np.zeros(rows, np.bool_) if column.null is None else None
        return np.full(rows, null, column.dtype), absent
    if column.names is not None:
        return _codes(column.names, array, _validity(array)), None
    if pa.types.is_boolean(array.type):
        return _bits(array.fill_null(False), 1), None
    if column.null is not None:
        return _buffer(array.fill_null(null) if array.null_count else array), None
    present = _validity(array)
    return _buffer(array), np.ones(rows, np.bool_) if present is None else present


def _codes(names: type[IntEnum], array: pa.Array, present: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return names as the codes of ``names``; an unknown one (of another writer) is an :class:`InputError`."""
    known = [n.name.lower() for n in names]
    words = array.dictionary.to_pylist()
    index: NDArray[np.int64] = _buffer(array.indices)
    if words == known[: len(words)]:  # as our own writer leaves it: the index is the code
        return index.astype(np.uint8)
    if unknown := [word for word in words if word not in known]:
        raise InputError(
            f"the trace has the unknown {names.__name__.lower()} {unknown[0]!r}.", closest(unknown[0], known)
        )
    codes = np.array([known.index(w) for w in words] or [0], np.uint8)
    return codes[index if present is None else np.where(present, index, 0)]


def _buffer(array: pa.Array) -> NDArray[Any]:
    """View a primitive Arrow array as NumPy, nulls undefined, without a copy."""
    dtype = np.dtype(str(array.type))  # to_pandas_dtype() needs pandas before pyarrow 20
    return np.frombuffer(array.buffers()[1], dtype, len(array) + array.offset)[array.offset :]


def _validity(array: pa.Array) -> NDArray[np.bool_] | None:
    """Return the validity of ``array`` as a mask, or None where nothing is missing."""
    source = array.indices if pa.types.is_dictionary(array.type) else array
    return None if source.null_count == 0 else _bits(source, 0)


def _bits(array: pa.Array, buffer: int) -> NDArray[np.bool_]:
    """Return one of the buffers of an Arrow array that hold a bit per row."""
    bits = np.frombuffer(array.buffers()[buffer], np.uint8)
    unpacked = np.unpackbits(bits, count=len(array) + array.offset, bitorder="little")
    return unpacked[array.offset :].view(np.bool_)
