"""A row for each swapon and swapoff that the recorder noticed, between the rows of its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import COLUMN_BY_NAME, Kind
from swaptrace.model.meta import SwapChange, SwapDevice

__all__ = ["AreaChanges"]

Columns = dict[str, NDArray[Any]]
Masks = dict[str, NDArray[np.bool_]]
_OWN = ("ts", "kind", "cpu", "dev", "swap_type")


class AreaChanges:
    """Feed batches in time order; ``areas[change.device]`` is the swap area of a change."""

    def __init__(self, changes: Sequence[SwapChange], areas: Sequence[SwapDevice]) -> None:
        self._left = sorted(changes, key=lambda change: change.ts)
        self._areas = areas

    def into(self, columns: Columns, masks: Masks) -> tuple[Columns, Masks]:
        """Return a batch with the changes before its last row, each behind the rows of its time."""
        last = int(columns["ts"][-1])
        due = [change for change in self._left if change.ts < last]  # the next batch may go on with the same time
        if not due:
            return columns, masks
        self._left = self._left[len(due) :]
        own = self._columns(due)
        at = np.searchsorted(columns["ts"], own["ts"], "right")
        wider = {
            name: np.insert(values, at, own[name] if name in own else COLUMN_BY_NAME[name].null or 0)
            for name, values in columns.items()
        }
        return wider, {name: np.insert(mask, at, False) for name, mask in masks.items()}

    def rest(self) -> Columns | None:
        """Return the changes behind the last batch, None if there are none."""
        due, self._left = self._left, []
        return self._columns(due) if due else None

    def _columns(self, due: Sequence[SwapChange]) -> Columns:
        areas = [self._areas[change.device] for change in due]
        values = (
            [change.ts for change in due],
            [Kind.SWAPON if change.on else Kind.SWAPOFF for change in due],
            [0] * len(due),
            [area.dev for area in areas],
            [area.swap_type for area in areas],
        )
        return {name: np.array(v, COLUMN_BY_NAME[name].dtype) for name, v in zip(_OWN, values, strict=True)}
