"""What one field of a CSV file means, one at a time, as docs/importing.md says it."""

from __future__ import annotations

import re

import numpy as np

from swaptrace.model.events import Column

__all__ = ["field"]


def field(column: Column, text: str) -> tuple[int | None, bool]:
    """Return the value (None: missing), and whether the field means nothing at all."""
    text = text.strip()
    if text == "" or (column.null == -1 and text == "-1"):
        return None, False
    value = _value(column, text)
    top = 1 if column.dtype == "bool" else int(np.iinfo(column.dtype).max)
    if column.names is None and column.null not in (None, 0, -1):
        top -= 1
    return (value, False) if value is not None and value <= top else (None, True)


def _value(column: Column, text: str) -> int | None:
    if column.names is not None:
        return {n.name.lower(): int(n) for n in column.names}.get(text.lower())
    if column.dtype == "bool":
        return {"1": 1, "true": 1, "yes": 1, "y": 1, "0": 0, "false": 0, "no": 0, "n": 0}.get(text.lower())
    if re.fullmatch(r"[0-9]{1,20}", text):
        return int(text) if int(text) < 1 << 64 else None
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    if column.name == "ts" and (match := re.fullmatch(r"([0-9]{1,9})\.([0-9]*)", text)):
        return int(match[1]) * 10**9 + int(match[2][:9].ljust(9, "0"))
    if column.name == "dev" and (match := re.fullmatch(r"([0-9]+)[:,]([0-9]+)", text)):
        major, minor = int(match[1]), int(match[2])
        return major << 20 | minor if major < 1 << 12 and minor < 1 << 20 else None
    return None
