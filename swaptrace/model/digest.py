"""The identity of a trace: sha256 over its content, whatever its row groups, encodings or compression.

Rule: each column, in the order of the schema table, has its own sha256, fed in row order with the column's
little-endian values (missing values replaced by the column's ``null``, or by 0 where a mask exists), a string as the
first 8 bytes of its own sha256 (a missing one as 8 zero bytes), and, for columns with a mask, a second sha256 fed
with one byte per row, 1 where a value is present. The digest of the trace is the sha256 of the lines ``name:hexdigest\\n`` in that order.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import COLUMNS, SCHEMA_VERSION

__all__ = ["ContentDigest"]


class ContentDigest:
    """Streaming digest: feed the columns of each batch in order, then ask for :meth:`hexdigest`."""

    def __init__(self) -> None:
        self._hash = {c.name: hashlib.sha256() for c in COLUMNS}
        self._mask = {c.name: hashlib.sha256() for c in COLUMNS if c.null is None}

    def update(self, name: str, values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """Add ``values`` of column ``name`` (NumPy form, missing values already replaced)."""
        self._hash[name].update(np.ascontiguousarray(values).data)
        if name in self._mask:
            mask = np.ones(len(values), np.uint8) if valid is None else valid.view(np.uint8)
            self._mask[name].update(np.ascontiguousarray(mask).data)

    def update_text(self, name: str, codes: NDArray[np.integer[Any]], words: list[str]) -> None:
        """Add a string column given as codes into ``words``; code -1 is a missing value."""
        prefixes = b"".join(hashlib.sha256(word.encode()).digest()[:8] for word in words) + bytes(8)
        self._hash[name].update(np.frombuffer(prefixes, "<u8")[codes].data)

    def hexdigest(self) -> str:
        """Return the digest of all rows fed so far, 64 hexadecimal characters."""
        total = hashlib.sha256(f"swaptrace schema {SCHEMA_VERSION}\n".encode())
        for column in COLUMNS:
            parts = [self._hash[column.name].hexdigest()]
            if column.name in self._mask:
                parts.append(self._mask[column.name].hexdigest())
            total.update(f"{column.name}:{':'.join(parts)}\n".encode())
        return total.hexdigest()
