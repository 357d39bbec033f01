"""What a row group's statistics say without decoding it: columns that have one value only, or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from swaptrace.model.events import COLUMN_BY_NAME

__all__ = ["GroupStatistics", "SingleValue"]


@dataclass(frozen=True)
class SingleValue:
    """A column of a row group that has this value in every row (``missing``: no row has one)."""

    value: Any
    dtype: str
    missing: bool

    def values(self, rows: int) -> NDArray[Any]:
        """Return the column in NumPy form: one value in memory, seen ``rows`` times."""
        return np.broadcast_to(np.array(self.value, self.dtype), rows)

    def present(self, rows: int) -> NDArray[np.bool_]:
        """Return its mask."""
        return np.broadcast_to(np.array(not self.missing), rows)


class GroupStatistics:
    """The statistics of a file, as far as its writer left them: columns without are left out."""

    def __init__(self, metadata: pq.FileMetaData) -> None:
        self._metadata = metadata
        schema = metadata.schema
        self._index = {schema.column(i).path: i for i in range(metadata.num_columns)}

    def single(self, group: int, columns: Sequence[str]) -> dict[str, SingleValue]:
        """Return those of ``columns`` that have one value in the row group, or none."""
        rows = self._metadata.row_group(group)
        found = {}
        for name in columns:
            if name in self._index:
                value = _single(name, rows.column(self._index[name]), rows.num_rows)
                if value is not None:
                    found[name] = value
        return found


def _single(name: str, chunk: pq.ColumnChunkMetaData, rows: int) -> SingleValue | None:
    column, statistics = COLUMN_BY_NAME[name], chunk.statistics
    if statistics is None or not statistics.has_null_count or column.text:
        return None
    if statistics.null_count == rows:
        return SingleValue(column.null or 0, column.dtype, True)
    if statistics.null_count or not statistics.has_min_max or statistics.min != statistics.max:
        return None
    value = statistics.min
    if column.names is not None:
        value = next((n.value for n in column.names if n.name.lower() == value), None)
        if value is None:
            return None  # an unknown name: decoding it says so
    return SingleValue(value, column.dtype, False)
