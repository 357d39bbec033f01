"""Folios that lose pages: when a stage takes pages out of a folio, what is left is a shorter folio.

Rule. The place (``sub``) of a page that is left falls by the number of pages of the same op that left the stream since
the last page with place 0, yet not below 0: the first page that is left carries the walk of its folio. A page that
goes on as another op stands alone: its place is 0.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Words16
from swaptrace.model.ops import Op, Ops

__all__ = ["Folios"]


class Folios:
    """How many pages the last folio of each op has lost, carried from batch to batch."""

    def __init__(self) -> None:
        self._gone: Ints = np.zeros(len(Op), np.int64)  # by op

    def feed(self, ops: Ops, gone: Bools) -> Words16 | None:
        """Return the places that are left when the pages ``gone`` leave, None if no place changes."""
        sub = None
        for code in (Op.OUT, Op.IN, Op.HIT, Op.FREE):
            rows = np.flatnonzero(ops.op == code)
            if len(rows) == 0 or (self._gone[code] == 0 and not gone[rows].any()):
                continue
            place = ops.sub[rows].astype(np.int64)
            before = np.cumsum(gone[rows]) - gone[rows] + self._gone[code]
            begun = np.maximum.accumulate(np.where(place == 0, before, 0))
            self._gone[code] = before[-1] + gone[rows[-1]] - begun[-1]
            if (place > 0).any():
                sub = ops.sub.copy() if sub is None else sub
                sub[rows] = np.maximum(place - (before - begun), 0)
        if sub is not None:
            sub[gone] = 0
        return sub
