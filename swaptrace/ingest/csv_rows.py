"""CSV -> rows of the schema: a header line names the columns, each row is one event on one page.

A CSV column is that of the schema with the same name (docs/trace.md), or of the one that ``columns`` maps it to. Needed
are ``ts`` and ``kind``. The delimiter (comma, semicolon, tab, bar) is the one of the header line; fields may be quoted,
but end on their line. Rows must be sorted by time: they are read in blocks, in bounded memory.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from swaptrace.ingest.csv_columns import MEANINGS, convert_column
from swaptrace.ingest.raw import Findings
from swaptrace.ingest.seen import SeenRows
from swaptrace.ingest.text_input import TextInput
from swaptrace.model.errors import InputError, UsageError, closest
from swaptrace.model.events import COLUMN_BY_NAME, COLUMNS
from swaptrace.model.meta import HashInfo, SwapDevice, TraceMeta

__all__ = ["CsvRows", "parse_map", "sniff"]

Array = NDArray[Any]
_DELIMITERS = ",;\t|"
_MOST_COLUMNS = 1000
_REASON = "rows that cannot be read"


def parse_map(specs: list[str]) -> dict[str, str]:
    """Parse ``column=name`` arguments: column of the schema -> column of the CSV file."""
    out = {}
    for spec in specs:
        column, equals, name = spec.partition("=")
        if not equals or not name:
            raise UsageError(f"--map {spec}: no column=name.", "", "For example: --map slot=swap_offset")
        if column not in COLUMN_BY_NAME:
            raise UsageError(f"--map {spec}: the schema has no column {column!r}.", closest(column, COLUMN_BY_NAME))
        out[column] = name
    return out


def sniff(line: str) -> tuple[str, list[str]]:
    """Return the delimiter and the names of a header line."""
    delimiter = max(_DELIMITERS, key=line.count)
    return delimiter, [name.strip().strip('"') for name in line.rstrip("\r").split(delimiter)]


class CsvRows:
    """The rows of a CSV file in NumPy form. ``meta`` is complete once all batches have been read."""

    def __init__(self, text: TextInput, columns: Mapping[str, str], stop: bool = False) -> None:
        self._text = text
        self._stop = stop
        self.findings = Findings()
        self._seen = SeenRows()
        self._delimiter, self._header = sniff(text.head().removeprefix("\ufeff").split("\n", 1)[0])
        names = {c.name: columns.get(c.name, c.name) for c in COLUMNS}
        missing = [names[n] for n in names if names[n] not in self._header and (n in columns or n in ("ts", "kind"))]
        if missing or len(self._header) > _MOST_COLUMNS or len(set(self._header)) < len(self._header):
            shown = ", ".join(self._header[:20])
            raise InputError(
                f"the header of {text.name} has no column {missing[0]!r}."
                if missing
                else f"the header of {text.name} is none: its names must be distinct.",
                f"It names: {shown[:120]}.",
                "Say which column is which: --map ts=TIME --map kind=WHAT",
            )
        self._names = {n: name for n, name in names.items() if name in self._header}
        self._types: dict[int, int] = {}  # device number -> swap_type, in order of appearance
        self._bad, self._bad_at = 0, ""  # rows that cannot be read, and where the first is
        self.meta = TraceMeta(recorder="csv", clock="unknown")

    @property
    def size(self) -> int:
        """Bytes of input; 0 for standard input."""
        return self._text.size

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._text.done

    def batches(self) -> Iterator[tuple[dict[str, Array], dict[str, NDArray[np.bool_]], list[str]]]:
        """Yield ``(columns, masks, words of comm)`` in the order of the file."""
        line, last = 0, np.iinfo(np.int64).min
        for lines in self._text.blocks():
            frame = pl.DataFrame({"text": lines}).with_row_index("line", offset=line + 1)
            frame = frame.with_columns(pl.col("text").str.strip_suffix("\r"), pl.col("line").cast(pl.Int64))
            frame = frame.filter((pl.col("text") != "") & (pl.col("line") > 1))
            line += len(lines)
            columns, masks, words, numbers = self._rows(frame)
            if not len(numbers):
                continue
            ts = columns["ts"]
            back = np.flatnonzero(np.diff(ts, prepend=max(last, 0)) < 0)
            if len(back):
                raise InputError(
                    f"line {numbers[back[0]]:,} of {self._text.name} is older than the one before it.",
                    "The rows must be sorted by time.",
                    f"Sort by {self._names['ts']!r} first.",
                )
            last = int(ts[-1])
            self._seen.look(columns, masks)
            yield columns, masks, words
        if self._bad:
            self.findings.skip(f"{_REASON} (the first: {self._bad_at})", self._bad)
        devices = tuple(SwapDevice(swap_type, dev) for dev, swap_type in self._types.items())
        hashed = HashInfo("unknown") if "hash" in self._names else HashInfo()
        self.meta = replace(self.meta, devices=devices, hash=hashed, capabilities={**self._seen.capabilities})
        self.findings.notes.append("What the columns of this CSV file mean is taken from their names.")

    def _rows(self, frame: pl.DataFrame) -> tuple[dict[str, Array], dict[str, NDArray[np.bool_]], list[str], Array]:
        whole = self._whole(frame["text"])
        self._complain(frame.filter(~whole), f"a row has {len(self._header)} fields, and quotes end on its line")
        frame = frame.filter(whole)
        numbers = frame["line"].to_numpy()
        fields = self._split(frame["text"])
        columns: dict[str, Array] = {}
        present: dict[str, NDArray[np.bool_]] = {}
        keep = np.ones(len(numbers), np.bool_)
        for name, column_name in self._names.items():
            column, text = COLUMN_BY_NAME[name], fields[f"c{self._header.index(column_name)}"]
            if column.text:
                continue
            columns[name], present[name], bad = convert_column(column, text)
            if column.required:
                bad |= ~present[name]
            if bool((bad & keep).any()):
                meaning = self._meaning(name)
                wrong = frame.with_columns(text=text.fill_null("")).filter(pl.Series(bad & keep))
                self._complain(wrong, meaning, column_name)
                keep &= ~bad
        columns, numbers = {n: v[keep] for n, v in columns.items()}, numbers[keep]
        masks = {n: present[n][keep] for n in columns if COLUMN_BY_NAME[n].null is None}
        words: list[str] = []
        if "comm" in self._names:
            text = fields[f"c{self._header.index(self._names['comm'])}"].filter(pl.Series(keep)).fill_null("")
            words = sorted(set(text.unique().to_list()) - {""})
            codes = {word: code for code, word in enumerate(words)} | {"": -1}
            columns["comm"] = text.replace_strict(codes, return_dtype=pl.Int32).to_numpy() if len(text) else np.zeros(0)
        self._complete(columns)
        return columns, masks, words, numbers

    def _whole(self, text: pl.Series) -> pl.Series:
        """Tell which lines have as many fields as the header; quoted fields count as one and must be well-formed."""
        delimiter = re.escape(self._delimiter)
        field = rf'(?:[^"{delimiter}]*|"(?:[^"]|"")*")'
        quoted = text.str.contains('"', literal=True)
        plain = text.str.replace_all(r'"[^"]*"', "q")
        counts = plain.str.count_matches(self._delimiter, literal=True) == len(self._header) - 1
        return counts & (~quoted | text.str.contains(rf"^{field}(?:{delimiter}{field})*$"))

    def _split(self, text: pl.Series) -> pl.DataFrame:
        schema = {f"c{i}": pl.String for i in range(len(self._header))}
        if not text.len():
            return pl.DataFrame(schema=schema)
        data = io.BytesIO("\n".join(text.to_list()).encode())
        return pl.read_csv(data, has_header=False, schema=schema, separator=self._delimiter, quote_char='"')

    def _complete(self, columns: dict[str, Array]) -> None:
        """Fill what the schema requires and the file may lack: cpu, slot, and swap_type, the key of the device."""
        rows = len(columns["ts"])
        columns.setdefault("cpu", np.zeros(rows, np.uint16))
        columns.setdefault("slot", np.full(rows, -1, np.int64))
        if "swap_type" in columns:
            known = columns["swap_type"] < 255
            dev = columns.get("dev", np.zeros(rows, np.uint32))
            pairs = np.unique(np.stack([columns["swap_type"][known], dev[known]]).astype(np.int64), axis=1)
            self._types.update({int(d): int(t) for t, d in pairs.T.tolist() if d})
            return
        columns["swap_type"] = np.where(columns["slot"] >= 0, 0, 255).astype(np.uint8)
        if "dev" in columns:
            devs, first, which = np.unique(columns["dev"], return_index=True, return_inverse=True)
            table = np.full(len(devs), 255, np.uint8)
            for i in np.argsort(first).tolist():
                if devs[i]:
                    table[i] = self._types.setdefault(int(devs[i]), min(len(self._types), 254))
            columns["swap_type"] = table[which]

    def _meaning(self, name: str) -> str:
        column = COLUMN_BY_NAME[name]
        if column.names is not None:
            return "it is one of " + ", ".join(n.name.lower() for n in column.names)
        return MEANINGS.get(name) or MEANINGS["bool" if column.dtype == "bool" else "number"]

    def _complain(self, wrong: pl.DataFrame, why: str, column: str = "") -> None:
        """Count rows that cannot be read, or stop at the first."""
        if not wrong.height:
            return
        where = f"line {int(wrong['line'][0]):,}" + (f", column {column!r}" if column else "")
        if self._stop:
            raise InputError(
                f"{where} of {self._text.name} cannot be read: {wrong['text'][0][:60]!r}.",
                f"{why[0].upper()}{why[1:]}.",
                "Leave such rows out: --errors skip",
            )
        self._bad_at = self._bad_at or where
        self._bad += wrong.height
