"""Parquet with the columns of a trace, by name -> rows; also traces of swaptrace itself, which are sorted if
need be.

A recording has ``NAME.meta.json`` beside ``NAME.parquet``: ``swaps`` (the text of /proc/swaps), ``kernel``,
``t_mono``, ``t_real``, ``drops``, ``boot_id``. Two things are completed here:

* ``dev`` of a row without it comes from its ``swap_type``, through the rows where both are known.
* ``zswap_drop``, the release of a zswap entry, is no kind of the schema. If the next row of the same slot is a
  writeback, or the previous one a swap_in from zswap, the entry left because of that row, and the drop is dropped and
  counted. Else the entry was invalidated: a ``slot_free`` with cause zswap_entry.

Memory: a few bytes per row for those two decisions; an unsorted file is sorted in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from swaptrace.ingest.devices import parse_swaps
from swaptrace.ingest.raw import Findings
from swaptrace.ingest.seen import SeenRows
from swaptrace.model.errors import InputError
from swaptrace.model.events import COLUMNS, Column, Kind
from swaptrace.model.meta import HashInfo, SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from swaptrace.model.writer import META_KEY

__all__ = ["ParquetRows"]

Array = NDArray[Any]
_BATCH = 1 << 18
_DROP = "zswap_drop"
_REQUIRED = ("ts", "kind", "cpu", "swap_type", "slot")


class ParquetRows:
    """The rows of a Parquet recording in NumPy form. ``meta`` is complete once all batches have been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings = Findings()
        self.size = path.stat().st_size
        self.done = 0
        with _readable(path):
            self._file = pq.ParquetFile(path)
            missing = [n for n in _REQUIRED if n not in self._file.schema_arrow.names]
            if missing:
                raise InputError(
                    f"{path} lacks the columns {', '.join(missing)}.", "Parquet with swap events has them."
                )
            self._ours = META_KEY in (self._file.metadata.metadata or {})
            keys = self._columns("ts", "kind", "swap_type", "slot")
            if not keys.height:
                raise InputError(f"{path} holds no rows.", "Nothing was recorded, or a filter left nothing.")
            if keys["ts"].null_count():
                raise InputError(
                    f"{path} has {keys['ts'].null_count():,} rows without a time (ts).", "", "Remove them."
                )
            self._sorted = bool(keys["ts"].is_sorted())
            if not self._sorted:
                self.findings.notes.append("The rows were not sorted by time; they are now.")
            self._drops = self._resolve_drops(keys)
            self._dev = self._devices_by_type()
        self.meta = Trace(path).meta if self._ours else self._foreign_meta()
        self._seen = SeenRows()

    def batches(self) -> Iterator[tuple[dict[str, Array], dict[str, NDArray[np.bool_]], list[str]]]:
        """Yield ``(columns, masks, words of comm)`` in time order."""
        at = 0
        with _readable(self.path):
            for batch in self._arrow():
                fate = self._drops[at : at + len(batch)] if self._drops is not None else None
                at += len(batch)
                yield self._convert(batch, fate)
                self.done = self.size * at // max(self._file.metadata.num_rows, 1)
        if not self._ours:
            self.meta = replace(self.meta, capabilities={**self._seen.capabilities})

    def _columns(self, *names: str) -> pl.DataFrame:
        """Return whole columns, read by pyarrow: it checks damaged pages more carefully.

        Without the metadata of the file: polars panics where it is not UTF-8.
        """
        table = self._file.read(columns=list(names), use_threads=False).replace_schema_metadata(None)
        table.validate(full=True)  # damaged pages may hold codes beyond their dictionary
        return pl.DataFrame(pl.from_arrow(table))

    def _arrow(self) -> Iterator[pa.RecordBatch]:
        names = [c.name for c in COLUMNS if c.name in self._file.schema_arrow.names]
        if self._sorted:
            for batch in self._file.iter_batches(batch_size=_BATCH, columns=names, use_threads=False):
                batch.validate(full=True)
                yield batch
        else:
            frame = self._columns(*names).sort("ts", maintain_order=True)
            yield from frame.to_arrow().to_batches(max_chunksize=_BATCH)

    def _resolve_drops(self, keys: pl.DataFrame) -> NDArray[np.uint8] | None:
        """Return for each row, in time order: 0 keep, 1 part of a writeback, 2 part of a load, 3 a slot_free."""
        kinds = keys["kind"].cast(pl.String)
        if not (kinds == _DROP).any():
            return None
        backends = self._columns("backend")["backend"].cast(pl.String)
        frame = keys.with_columns(kind=kinds, backend=backends).sort("ts", maintain_order=True)
        slot = ["swap_type", "slot"]
        frame = frame.with_columns(
            after=pl.col("kind").shift(-1).over(slot),
            before=pl.concat_str("kind", pl.col("backend").fill_null("")).shift(1).over(slot),
        )
        fate = (
            pl.when(pl.col("kind") != _DROP)
            .then(0)
            .when(pl.col("after") == "writeback")
            .then(1)
            .when(pl.col("before") == "swap_inzswap")
            .then(2)
            .otherwise(3)
        )
        out = frame.select(fate.cast(pl.UInt8).alias("fate"))["fate"].to_numpy()
        self.findings.skip("zswap_drop: part of the writeback that follows", int((out == 1).sum()))
        self.findings.skip("zswap_drop: part of the swap_in before it", int((out == 2).sum()))
        return out

    def _devices_by_type(self) -> NDArray[np.uint32]:
        table = np.zeros(256, np.uint32)
        if "dev" in self._file.schema_arrow.names:
            frame = self._columns("swap_type", "dev").drop_nulls().unique()
            for swap_type, dev in frame.rows():
                if 0 <= swap_type < 255 and 0 <= dev < 1 << 32:
                    table[swap_type] = dev
        return table

    def _foreign_meta(self) -> TraceMeta:
        beside = self.path.with_suffix(".meta.json")
        try:
            info = json.loads(beside.read_text()) if beside.is_file() else {}
            devices = parse_swaps(str(info.get("swaps", "")))
            meta = TraceMeta(
                kernel=str(info.get("kernel", "")),
                boot_id=str(info.get("boot_id", "")),
                mono_ns=int(info.get("t_mono", 0)),
                real_ns=int(info.get("t_real", 0)),
                lost={"ring": n} if (n := sum(info.get("drops", []))) else {},
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{beside} is damaged.", str(error), "Remove it to import without it.") from error
        if not beside.is_file():
            self.findings.notes.append(f"{beside.name} is missing: kernel, device sizes and losses are unknown.")
        known = [replace(d, dev=int(self._dev[d.swap_type])) for d in devices if d.swap_type < 255]
        listed = {d.swap_type for d in known}
        known += [SwapDevice(int(t), int(self._dev[t])) for t in np.flatnonzero(self._dev) if int(t) not in listed]
        hashed = "hash" in self._file.schema_arrow.names
        return replace(meta, devices=tuple(known), hash=HashInfo("xxh64" if hashed else ""), tier="T2")

    def _convert(
        self, batch: pa.RecordBatch, fate: NDArray[np.uint8] | None
    ) -> tuple[dict[str, Array], dict[str, NDArray[np.bool_]], list[str]]:
        columns: dict[str, Array] = {}
        masks: dict[str, NDArray[np.bool_]] = {}
        words: list[str] = []
        keep = np.ones(len(batch), np.bool_)
        for column in COLUMNS:
            if column.name not in batch.schema.names:
                continue
            array = batch.column(column.name)
            if column.text or column.names is not None:
                codes, texts = _codes(array)
                if column.text:
                    columns[column.name], words = codes, texts
                else:
                    columns[column.name] = self._named(column, codes, texts, keep)
            else:
                columns[column.name] = _numbers(column, array)
            if column.null is None:
                masks[column.name] = array.is_valid().to_numpy(zero_copy_only=False)
        if fate is not None:
            free = fate == 3
            columns["kind"] = np.where(free, np.uint8(Kind.SLOT_FREE), columns["kind"])
            keep &= (fate == 0) | free
        if "dev" in columns:
            known = columns["swap_type"] < 255
            filled = self._dev[np.where(known, columns["swap_type"], 255)]
            columns["dev"] = np.where((columns["dev"] == 0) & known, filled, columns["dev"])
        if "va" in columns:  # the recordings have the faulting address in swap_in rows, not that of its page
            columns["va"] = np.where(columns["va"] >= 0, columns["va"] & ~4095, -1)
        if not keep.all():
            columns = {n: v[keep] for n, v in columns.items()}
            masks = {n: v[keep] for n, v in masks.items()}
        self._seen.look(columns, masks)
        return columns, masks, words

    def _named(self, column: Column, codes: NDArray[np.int32], texts: list[str], keep: NDArray[np.bool_]) -> Array:
        """Return the codes of a column of names; rows of an unknown kind are dropped and counted."""
        assert column.names is not None
        known = {n.name.lower(): int(n) for n in column.names}
        table = np.array([known.get(t, 255) for t in texts] + [0], np.uint8)  # the last entry is the missing value
        values = table[codes]
        unknown = values == 255
        if column.name == "kind":
            for code in np.unique(codes[unknown]).tolist():
                if texts[code] != _DROP:
                    self.findings.skip(f"kind {texts[code]!r} is unknown", int((codes == code).sum()))
                    keep &= codes != code
            if bool((codes < 0).any()):
                self.findings.skip("rows without a kind", int((codes < 0).sum()))
                keep &= codes >= 0
        return np.where(unknown, 0, values).astype(np.uint8)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the Parquet readers raise for damaged files into an :class:`InputError`."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        why = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path} is not a readable Parquet file.", why, "Copy it again.") from error


def _codes(array: pa.Array) -> tuple[NDArray[np.int32], list[str]]:
    """Return a string column as codes (-1: missing) into a list of words."""
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = array.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, [str(word) for word in array.dictionary.to_pylist()]


def _numbers(column: Column, array: pa.Array) -> Array:
    if pa.types.is_boolean(array.type):
        return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False))
    filled = array.cast(column.arrow()).fill_null(0 if column.null is None else column.null)
    return np.asarray(filled.to_numpy(zero_copy_only=False))
