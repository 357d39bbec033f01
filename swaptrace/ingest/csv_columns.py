"""Text of CSV fields -> values of schema columns: numbers, times, names, yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from swaptrace.model.events import Column

__all__ = ["MEANINGS", "convert_column"]

Array = NDArray[Any]
_YES, _NO = ("1", "true", "yes", "y"), ("0", "false", "no", "n")
# What a field may say, for the error message of one that does not.
MEANINGS = {
    "ts": "a time is a whole number of ns, or seconds with a decimal point",
    "dev": "a device is major:minor, or the number major << 20 | minor",
    "bool": "0 or 1, true or false, yes or no",
    "number": "a number is decimal, or hexadecimal with 0x, and fits its column",
}


def convert_column(column: Column, text: pl.Series) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the values of a numeric or named column in its dtype, which of them are present, and which fields mean
    nothing.

    ``text`` is a column of strings; an empty field is a missing value, and so is ``-1`` where the column's own null is
    -1. Words (``comm``) are not converted here.
    """
    present = (text.fill_null("").str.strip_chars() != "").to_numpy()
    text = text.fill_null("").str.strip_chars()
    if column.null == -1:
        present &= (text != "-1").to_numpy()
    if column.names is not None:
        codes = {n.name.lower(): int(n) for n in column.names}
        values = text.str.to_lowercase().replace_strict(codes, default=None, return_dtype=pl.UInt64)
    elif column.name == "ts":
        values = _time(text)
    elif column.name == "dev":
        parts = text.str.extract_groups(r"^(\d+)[:,](\d+)$").struct
        major, minor = (_decimal(parts.field(part)) for part in ("1", "2"))
        values = _number(text).fill_null((major * (1 << 20) + minor).set((major >= 1 << 12) | (minor >= 1 << 20), None))
    elif column.dtype == "bool":
        meanings = dict.fromkeys(_YES, 1) | dict.fromkeys(_NO, 0)
        values = text.str.to_lowercase().replace_strict(meanings, default=None, return_dtype=pl.UInt64)
    else:
        values = _number(text)
    top = 1 if column.dtype == "bool" else int(np.iinfo(np.dtype(column.dtype)).max)
    if column.names is None and column.null not in (None, -1, 0):
        top -= 1  # the largest value stands for a missing one
    good = (values.is_not_null() & (values <= min(top, (1 << 64) - 1))).fill_null(False).to_numpy()
    missing = column.null or 0
    out = values.fill_null(0).to_numpy()
    with np.errstate(over="ignore"):
        shown = np.where(good & present, out, np.uint64(0)).astype(column.dtype)
    return np.where(good & present, shown, np.array(missing).astype(column.dtype)), good & present, present & ~good


def _decimal(text: pl.Series) -> pl.Series:
    return text.cast(pl.UInt64, strict=False)


def _number(text: pl.Series) -> pl.Series:
    """Parse decimal and 0x numbers below 2**64; null for anything else."""
    digits = text.str.extract(r"^0[xX]([0-9a-fA-F]{1,16})$").str.zfill(16)
    high, low = (digits.str.slice(at, 8).str.to_integer(base=16, strict=False).cast(pl.UInt64) for at in (0, 8))
    return _decimal(text.str.extract(r"^(\d{1,20})$")).fill_null(high * (1 << 32) + low)


def _time(text: pl.Series) -> pl.Series:
    parts = text.str.extract_groups(r"^(\d{1,9})\.(\d{0,9})\d*$").struct
    seconds, fraction = _decimal(parts.field("1")), _decimal(parts.field("2").str.pad_end(9, "0"))
    return _number(text).fill_null(seconds * 10**9 + fraction)
