"""What the sources that read text have in common: their input, its size, lines that are not understood, the decoder of
event fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.raw import Findings, RawChunk
from swaptrace.ingest.text_events import TextDecoder
from swaptrace.ingest.text_input import TextInput
from swaptrace.model.errors import InputError

__all__ = ["TextSource"]


class TextSource(ABC):
    """A text input with its findings and its decoder.

    ``stop``: a line that cannot be read is an error, instead of being counted and left out.
    """

    def __init__(self, text: TextInput, stop: bool = False) -> None:
        self._text = text
        self._stop = stop
        self.findings = Findings()
        self._decoder = TextDecoder(self.findings, self._unreadable)
        self.words = self._decoder.words
        self._before = 0  # lines before the current block
        self._lines = pl.Series("line", [], pl.String)
        self._understood = False
        self._sample = ""  # the first line that was not understood

    @abstractmethod
    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order."""

    @property
    def size(self) -> int:
        """Bytes of input; 0 for standard input."""
        return self._text.size

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._text.done

    def _match(self, lines: list[str], pattern: str, key: str, other: str) -> pl.DataFrame:
        """Return the lines that match ``pattern``: ``row`` (line number in the block) and its named groups.

        Lines whose group ``key`` is missing are not understood, unless they are blank or match ``other``.
        """
        self._before += self._lines.len()
        self._lines = pl.Series("line", lines, pl.String)
        frame = pl.DataFrame({"line": self._lines}).with_row_index("row").lazy()
        frame = frame.with_columns(pl.col("row").cast(pl.Int64), g=pl.col("line").str.extract_groups(pattern))
        parts = frame.unnest("g").collect()
        good = parts[key].is_not_null()
        self._understood |= bool(good.any())
        if not good.all():
            blank = pl.col("line").str.strip_chars() == ""
            strange = parts.lazy().filter(pl.col(key).is_null(), ~blank, ~pl.col("line").str.contains(other))
            self._unreadable(strange.select("row").collect()["row"], "lines that are not understood")
            parts = parts.filter(good)
        return parts.drop("line")

    def _unreadable(self, rows: pl.Series, reason: str) -> None:
        """Count lines that cannot be read, or stop at the first."""
        if not rows.len():
            return
        first = int(rows.min())  # type: ignore[arg-type]
        self._sample = self._sample or self._lines[first]
        if self._stop:
            raise InputError(
                f"line {self._before + first + 1:,} of {self._text.name} cannot be read.",
                f"It says {self._lines[first].strip()[:80]!r}.",
                "Leave such lines out: --errors skip",
            )
        self.findings.skip(reason, rows.len())

    def _nothing(self) -> InputError:
        """Return the error for an input without any event."""
        return InputError(
            f"{self._text.name} holds no events.",
            f"Its first line is {self._sample[:60]!r}." if self._sample else "It has comments only.",
        )
