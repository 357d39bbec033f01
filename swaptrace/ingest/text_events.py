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
_HANDLE = rf"{_POINTER}(?:.*? )??bytes_req=(\d+)(?: |$)"
_HANDLE_BYTES = 8
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
    ``rest`` (what follows the event's name). ``unreadable(rows, reason)`` is told of lines whose fields are not
    understood. Without ``ordered``, the events keep the times of their lines, even where these go back.
    """

    def __init__(self, findings: Findings, unreadable: Callable[[pl.Series, str], None], ordered: bool = True) -> None:
        self._unreadable = unreadable
        self.ordered = ordered
        self.words: list[str] = []
        self._index: dict[str, int] = {}
        self._findings = findings
        self._last = np.iinfo(np.int64).min
        self._readers: dict[str, Callable[[pl.DataFrame], pl.LazyFrame]] = {
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
            fields = reader(group).collect()
            good = fields.drop_nulls()
            self._findings.skip(f"{name}: not about swap", group.height - fields.height)
            if good.height < fields.height:
                self._unreadable(fields.join(good, on="row", how="anti")["row"], f"{name}: fields not understood")
            parts.append(self._chunk(good))
            rows.append(good["row"].to_numpy())
        if lost:
            parts.append(self._losses(frame, lost))
            rows.append(np.array([row for row, _, _ in lost]))
        if not parts:
            return empty()
        chunk = concat(parts).take(np.argsort(np.concatenate(rows), kind="stable"))
        return self._forward(chunk) if self.ordered else chunk

    def _losses(self, frame: pl.DataFrame, lost: list[tuple[int, int, int]]) -> RawChunk:
        """Return LOST events at the time of the next line."""
        chunk = empty(len(lost))
        row, chunk.value[:], chunk.cpu[:] = np.array(lost, np.uint64).T
        times = np.append(frame["ts"].to_numpy(), max(self._last, int(frame["ts"].max() or 0)))  # type: ignore[arg-type]
        chunk.ts[:] = times[np.searchsorted(frame["row"].to_numpy(), row.astype(np.int64), "right")]
        chunk.kind[:] = RawKind.LOST
        return chunk

    def _forward(self, chunk: RawChunk) -> RawChunk:
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
        names = fields["comm"].unique(maintain_order=True).to_list()
        codes = {w: -1 if w in ("", "<...>") else intern(self.words, self._index, w) for w in names}
        if names:
            chunk.comm[:] = fields["comm"].replace_strict(codes, return_dtype=pl.Int32).to_numpy()
        return chunk

    def _plain(self, frame: pl.DataFrame, kind: RawKind) -> pl.LazyFrame:
        return frame.lazy().drop("rest").with_columns(kind=pl.lit(int(kind)))

    def _groups(self, frame: pl.DataFrame, pattern: str, names: list[str]) -> pl.LazyFrame:
        groups = pl.col("rest").str.extract_groups(pattern).struct.rename_fields(names)
        return frame.lazy().with_columns(groups.alias("g")).unnest("g").drop("rest")

    def _write(self, frame: pl.DataFrame) -> pl.LazyFrame:
        f = self._groups(frame, _WRITE, ["pfn", "flags"])
        anonymous = pl.col("flags").str.contains("RECLAIM_WB_ANON") | (number(pl.col("flags")) % 2 == 1)
        f = f.filter(anonymous.fill_null(False) | pl.col("pfn").is_null())
        return f.with_columns(kind=pl.lit(int(RawKind.WRITE_FOLIO)), value=number(pl.col("pfn"))).drop("pfn", "flags")

    def _bio(self, frame: pl.DataFrame) -> pl.LazyFrame:
        if bool(frame["rest"].str.contains("nr_sector=", literal=True).any()):
            f = self._groups(frame, _BIO_FIELDS, ["d", "s", "n", "op"])
            dev = number(pl.col("d"))
        else:
            f = self._groups(frame, _BIO, ["d", "minor", "op", "s", "n"])
            dev = number(pl.col("d")) * (1 << 20) + number(pl.col("minor"))
        f = f.filter(pl.col("op").is_null() | pl.col("op").str.contains("^[WRD]"))
        kind = pl.col("op").str.slice(0, 1).replace_strict(_OPERATIONS, default=None, return_dtype=pl.Int64)
        columns = {"kind": kind, "dev": dev, "value": number(pl.col("s")), "count": number(pl.col("n"))}
        return f.with_columns(**columns).drop("d", "minor", "s", "n", "op", strict=False)

    def _fault(self, frame: pl.DataFrame) -> pl.LazyFrame:
        f = self._groups(frame, _FAULT, ["a", "e"])
        write = number(pl.col("e")) // 2 % 2  # X86_PF_WRITE
        return f.with_columns(kind=pl.lit(int(RawKind.FAULT)), value=number(pl.col("a")), count=write).drop("a", "e")

    def _alloc(self, frame: pl.DataFrame) -> pl.LazyFrame:
        f = self._groups(frame, _ALLOC, ["p", "o", "m"]).filter((number(pl.col("m")) == 1) | pl.col("m").is_null())
        out = f.with_columns(kind=pl.lit(int(RawKind.PAGE_ALLOC)), value=number(pl.col("p")), count=number(pl.col("o")))
        return out.drop("p", "o", "m")

    def _memcg(self, frame: pl.DataFrame) -> pl.LazyFrame:
        f = self._groups(frame, _MEMCG, ["i", "item", "v"])
        columns = {
            "value": number(pl.col("item")),
            "count": number(pl.col("v")),
            "extra": number(pl.col("i")),
        }
        return f.with_columns(kind=pl.lit(int(RawKind.MEMCG_EVENT)), **columns).drop("i", "item", "v")

    def _handle(self, frame: pl.DataFrame, kind: RawKind, pattern: str) -> pl.LazyFrame:
        names = ["p", "size"] if pattern == _HANDLE else ["p"]
        f = self._groups(frame, pattern, names)
        if pattern == _HANDLE:  # larger objects are no handles
            f = f.filter((number(pl.col("size")) <= _HANDLE_BYTES) | pl.col("size").is_null())
        pointer = pl.col("p").str.to_integer(base=16, strict=False)
        return f.with_columns(kind=pl.lit(int(kind)), value=pointer).drop(names)


def _unsigned(values: pl.Series, dtype: Any) -> NDArray[Any]:
    """Return ``values`` in ``dtype``, clipped to what it can hold."""
    top = min(np.iinfo(dtype).max, np.iinfo(np.int64).max)
    return values.cast(pl.Int64).clip(0, int(top)).to_numpy().astype(dtype)
