"""The identity of a trace: sha256 over its content, whatever its row groups, encodings or compression.

Rule: each column, in the order of the schema table, has its own sha256, fed in row order. A column that is never null
feeds its little-endian values (codes for names, 0 where there is none). Any other column has two: the first is fed
with one byte per row, 1 where a value is present, the second with the present values only; a string is the first 8
bytes of its own sha256. A value that equals the column's ``null`` is not present. The digest of the trace is the
sha256 of ``swaptrace schema 1\\n`` and of the lines ``name:hexdigest\\n`` in that order, both digests joined by a
colon where there are two.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import COLUMNS, SCHEMA_VERSION

__all__ = ["ContentDigest"]

Array = NDArray[Any]
_ABSENT = bytes(1 << 16)


class ContentDigest:
    """Streaming digest: feed the columns of each batch in order, then ask for :meth:`hexdigest`."""

    def __init__(self) -> None:
        self._values = {c.name: hashlib.sha256() for c in COLUMNS}
        self._present = {c.name: hashlib.sha256() for c in COLUMNS if c.nullable}
        self._words: dict[str, bytes] = {}

    def update(self, name: str, values: Array, present: NDArray[np.bool_] | None = None) -> None:
        """Add ``values`` of column ``name``; ``present`` is None where all of them are."""
        if name in self._present:
            if present is None:
                self._present[name].update(np.ones(len(values), np.uint8).data)
            else:
                self._present[name].update(np.ascontiguousarray(present).view(np.uint8).data)
                values = values[np.flatnonzero(present)]  # a mask alone takes four times as long
        self._values[name].update(np.ascontiguousarray(values).data)

    def update_absent(self, name: str, rows: int) -> None:
        """Add ``rows`` missing values of column ``name``."""
        for start in range(0, rows, len(_ABSENT)):
            self._present[name].update(_ABSENT[: rows - start])

    def update_text(self, name: str, codes: Array, words: list[str], present: NDArray[np.bool_] | None = None) -> None:
        """Add a string column given as codes into ``words``."""
        for word in words:
            if word not in self._words:
                self._words[word] = hashlib.sha256(word.encode()).digest()[:8]
        prefixes = np.frombuffer(b"".join(self._words[word] for word in words) + bytes(8), "<u8")
        self.update(name, prefixes[codes], present)

    def hexdigest(self) -> str:
        """Return the digest of all rows fed so far, 64 hexadecimal characters."""
        total = hashlib.sha256(f"swaptrace schema {SCHEMA_VERSION}\n".encode())
        for column in COLUMNS:
            parts = [self._values[column.name].hexdigest()]
            if column.name in self._present:
                parts.insert(0, self._present[column.name].hexdigest())
            total.update(f"{column.name}:{':'.join(parts)}\n".encode())
        return total.hexdigest()
