"""Lines of event text -> raw events: the fields that the kernel prints after ``event:`` are the same in perf and
ftrace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from swaptrace.ingest.comms import intern
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, concat, empty

__all__ = ["TextDecoder", "number"]

_N = r"(0x[0-9a-fA-F]+|\d+)"
_WRITE = rf"pfn={_N}(?: \(\d+\))? (?:reclaim_)?flags=(\S+)"
_BIO = r"^\s*(\d+),(\d+) ([A-Z]+) (\d+) \+ (\d+)"
_BIO_FIELDS = rf"dev={_N}(?: \(\d+\))? sector={_N}(?: \(\d+\))? nr_sector={_N}(?: \(\d+\))? rwbs=([A-Z]+)"
_FAULT = rf"address={_N}(?: .*?)? error_code={_N}"
_ALLOC = rf"pfn={_N}(?: .*?)? order={_N}(?: .*?)? migratetype={_N}"
_MEMCG = rf"id={_N}(?: \(\d+\))? item={_N}(?: \(\d+\))? val={_N}"
# The last 60 bits: more than a pointer needs, and a number that fits. Hashed or not, it tells objects apart.
_POINTER = r"ptr=(?:0x)?[0-9a-fA-F]*?([0-9a-fA-F]{1,15})(?: |$)"
_HANDLE = rf"{_POINTER}(?:.*? )??bytes_req=([1-8])(?: |$)"  # larger objects are no handles
_OPERATIONS = {"W": int(RawKind.BIO_WRITE), "R": int(RawKind.BIO_READ), "D": int(RawKind.BIO_DISCARD)}


def number(text: pl.Expr) -> pl.Expr:
    """Parse ``0x1f`` and ``31``; null for what is no number below 2**63."""
    hexadecimal = text.str.starts_with("0x")
    return (
        pl.when(hexadecimal)
        .then(text.str.strip_prefix("0x").str.to_integer(base=16, strict=False))
        .otherwise(text.str.to_integer(base=10, strict=False))
    )


class TextDecoder:
    """Frames of parsed line heads -> raw events, in the order of the lines.

    A frame has ``row`` (line number), ``comm``, ``tid``, ``tgid``, ``cpu``, ``ts``, ``event`` (without its system) and
    ``rest`` (what follows the event's name).
    """

    def __init__(self, findings: Findings) -> None:
        self.words: list[str] = []
        self._index: dict[str, int] = {}
        self._findings = findings
        self._last = np.iinfo(np.int64).min
        self._readers: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
            "mm_vmscan_write_folio": self._write,
            "mm_vmscan_writepage": self._write,
            "block_bio_queue": self._bio,
            "page_fault_user": self._fault,
            "page_fault_kernel": self._fault,
            "mm_page_alloc": self._alloc,
            "count_memcg_events": self._memcg,
            "kmem_cache_alloc": partial(self._handle, kind=RawKind.HANDLE_ALLOC, pattern=_HANDLE),
            "kmem_cache_free": partial(self._handle, kind=RawKind.HANDLE_FREE, pattern=_POINTER),
            "sched_process_exec": partial(self._plain, kind=RawKind.EXEC),
            "sched_process_exit": partial(self._plain, kind=RawKind.EXIT),
        }

    def __call__(self, frame: pl.DataFrame, lost: list[tuple[int, int, int]]) -> RawChunk:
        """Return the raw events of ``frame``; ``lost`` holds ``(line number, events, cpu)`` of loss reports between
        them."""
        parts, rows = [], []
        for (name,), group in frame.partition_by("event", as_dict=True).items():
            reader = self._readers.get(str(name))
            if reader is None:
                self._findings.skip(f"{name}: not needed", group.height)
                continue
            fields = reader(group)
            good = fields.drop_nulls()
            self._findings.skip(f"{name}: fields not understood, or not about swap", group.height - good.height)
            parts.append(self._chunk(good))
            rows.append(good["row"].to_numpy())
        times = frame.select("row", "ts")
        for row, events, cpu in lost:
            one = empty(1)
            later = times.filter(pl.col("row") > row)
            one.ts[0] = later["ts"][0] if later.height else max(self._last, int(times["ts"].max() or 0))  # type: ignore[arg-type]
            one.kind[0], one.value[0], one.cpu[0] = RawKind.LOST, events, cpu
            parts.append(one)
            rows.append(np.array([row]))
        if not parts:
            return empty()
        chunk = concat(parts).take(np.argsort(np.concatenate(rows), kind="stable"))
        return self._ordered(chunk)

    def _ordered(self, chunk: RawChunk) -> RawChunk:
        if len(chunk):
            forward = np.maximum.accumulate(np.maximum(chunk.ts, self._last))
            self._findings.skip("events moved forward in time to keep the order", int((forward != chunk.ts).sum()))
            chunk.ts[:] = forward
            self._last = int(chunk.ts[-1])
        return chunk

    def _chunk(self, fields: pl.DataFrame) -> RawChunk:
        chunk = empty(fields.height)
        for name in ("ts", "cpu", "tgid", "tid", "kind", "value", "dev", "count", "extra"):
            if name in fields.columns:
                getattr(chunk, name)[:] = _unsigned(fields[name], getattr(chunk, name).dtype)
        names = fields["comm"]
        for word in names.unique().to_list():
            code = intern(self.words, self._index, word) if word not in ("", "<...>") else -1
            chunk.comm[(names == word).to_numpy()] = code
        return chunk

    def _plain(self, frame: pl.DataFrame, kind: RawKind) -> pl.DataFrame:
        return frame.drop("rest").with_columns(kind=pl.lit(int(kind)))

    def _groups(self, frame: pl.DataFrame, pattern: str, names: list[str]) -> pl.DataFrame:
        groups = pl.col("rest").str.extract_groups(pattern).struct.rename_fields(names)
        return frame.with_columns(groups.alias("g")).unnest("g").drop("rest")

    def _write(self, frame: pl.DataFrame) -> pl.DataFrame:
        f = self._groups(frame, _WRITE, ["pfn", "flags"])
        anonymous = pl.col("flags").str.contains("RECLAIM_WB_ANON") | (number(pl.col("flags")) % 2 == 1)
        f = f.filter(anonymous.fill_null(False) | pl.col("pfn").is_null())
        return f.with_columns(kind=pl.lit(int(RawKind.WRITE_FOLIO)), value=number(pl.col("pfn"))).drop("pfn", "flags")

    def _bio(self, frame: pl.DataFrame) -> pl.DataFrame:
        fields = bool(frame["rest"].str.contains("nr_sector=", literal=True).any())
        if fields:
            f = self._groups(frame, _BIO_FIELDS, ["d", "s", "n", "op"]).with_columns(dev=number(pl.col("d")))
            f = f.with_columns(value=number(pl.col("s")), count=number(pl.col("n"))).drop("d", "s", "n")
        else:
            f = self._groups(frame, _BIO, ["major", "minor", "op", "s", "n"])
            f = f.with_columns(dev=number(pl.col("major")) * (1 << 20) + number(pl.col("minor")))
            f = f.with_columns(value=number(pl.col("s")), count=number(pl.col("n"))).drop("major", "minor", "s", "n")
        kind = pl.col("op").str.slice(0, 1).replace_strict(_OPERATIONS, default=None, return_dtype=pl.Int64)
        return f.with_columns(kind=kind).drop("op")

    def _fault(self, frame: pl.DataFrame) -> pl.DataFrame:
        f = self._groups(frame, _FAULT, ["a", "e"])
        write = number(pl.col("e")) // 2 % 2  # X86_PF_WRITE
        return f.with_columns(kind=pl.lit(int(RawKind.FAULT)), value=number(pl.col("a")), count=write).drop("a", "e")

    def _alloc(self, frame: pl.DataFrame) -> pl.DataFrame:
        f = self._groups(frame, _ALLOC, ["p", "o", "m"]).filter(number(pl.col("m")) == 1)
        out = f.with_columns(kind=pl.lit(int(RawKind.PAGE_ALLOC)), value=number(pl.col("p")), count=number(pl.col("o")))
        return out.drop("p", "o", "m")

    def _memcg(self, frame: pl.DataFrame) -> pl.DataFrame:
        f = self._groups(frame, _MEMCG, ["i", "item", "v"])
        columns = {
            "value": number(pl.col("item")),
            "count": number(pl.col("v")),
            "extra": number(pl.col("i")),
        }
        return f.with_columns(kind=pl.lit(int(RawKind.MEMCG_EVENT)), **columns).drop("i", "item", "v")

    def _handle(self, frame: pl.DataFrame, kind: RawKind, pattern: str) -> pl.DataFrame:
        names = ["p", "size"] if pattern == _HANDLE else ["p"]
        f = self._groups(frame, pattern, names)
        pointer = pl.col("p").str.to_integer(base=16, strict=False)
        return f.with_columns(kind=pl.lit(int(kind)), value=pointer).drop(names)


def _unsigned(values: pl.Series, dtype: Any) -> NDArray[Any]:
    """Return ``values`` in ``dtype``, clipped to what it can hold."""
    top = min(np.iinfo(dtype).max, np.iinfo(np.int64).max)
    return values.cast(pl.Int64).clip(0, int(top)).to_numpy().astype(dtype)
