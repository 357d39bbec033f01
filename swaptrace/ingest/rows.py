"""Rows under construction: columns of the schema that come into being when something is put into them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.raw import RawChunk
from swaptrace.model.events import COLUMN_BY_NAME, Kind

__all__ = ["Rows"]

Array = NDArray[Any]


class Rows:
    """Rows in NumPy form. ``seq`` is the number of the raw event that each came from: their order."""

    def __init__(self, columns: dict[str, Array], seq: NDArray[np.int64]) -> None:
        self.columns = columns
        self.seq = seq
        self._pages = np.ones(len(seq), np.int64)

    @classmethod
    def of(cls, events: RawChunk, seq: NDArray[np.int64], source: Array) -> Rows:
        """Return one row for each event index in ``source``, with its time, processor and task."""
        return cls({n: getattr(events, n)[source] for n in ("ts", "cpu", "tgid", "tid", "comm")}, seq[source])

    @classmethod
    def none(cls) -> Rows:
        """Return no rows."""
        return cls({"ts": np.zeros(0, np.int64)}, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.seq)

    def fill(self, at: Array, **values: Any) -> None:
        """Put ``values`` (scalars, or arrays as long as ``at``) into rows ``at``; ``pages`` is the size of their
        folio."""
        if not len(at):
            return
        for name, value in values.items():
            if name == "pages":
                self._pages[at] = value
            else:
                self._column(name)[at] = value

    def flag(self, at: Array, bit: int) -> None:
        """Set a bit of ``conf`` in rows ``at``."""
        self._column("conf")[at] |= np.uint8(bit)

    def _column(self, name: str) -> Array:
        if name not in self.columns:
            column = COLUMN_BY_NAME[name]
            self.columns[name] = np.full(len(self), column.null or 0, column.dtype)
        return self.columns[name]

    def expand(self) -> Rows:
        """Return one row per page: slot, pfn and address count up; an address starts at the folio's boundary."""
        pages = self._pages
        if not len(self) or int(pages.max()) == 1:
            return self
        source = np.repeat(np.arange(len(self)), pages)
        first = np.repeat(np.cumsum(pages) - pages, pages)
        sub = np.arange(len(source)) - first
        out = Rows({n: v[source] for n, v in self.columns.items()}, self.seq[source])
        for name, step in (("slot", 1), ("pfn", 1)):
            if name in out.columns:
                column = out.columns[name]
                out.columns[name] = np.where(column >= 0, column + sub * step, column)
        if "va" in out.columns:
            va, size = out.columns["va"], pages[source] * 4096
            out.columns["va"] = np.where(va >= 0, va // size * size + sub * 4096, va)
        folio = out.columns["kind"] != Kind.DISCARD
        orders = np.floor(np.log2(pages)).astype(np.uint8)[source]
        out.columns["order"] = np.where(folio, orders, 0).astype(np.uint8)
        out.columns["sub"] = np.where(folio, sub, 0).astype(np.uint16)
        return out

    def part(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop``."""
        return Rows({n: v[start:stop] for n, v in self.columns.items()}, self.seq[start:stop])

    def join(self, other: Rows) -> Rows:
        """Return the rows of both, in the order of their events."""
        if not len(self) or not len(other):
            return other if not len(self) else self
        for name in self.columns.keys() | other.columns.keys():
            self._column(name)
            other._column(name)
        seq = np.concatenate([self.seq, other.seq])
        order = np.argsort(seq, kind="stable")
        return Rows({n: np.concatenate([v, other.columns[n]])[order] for n, v in self.columns.items()}, seq[order])
