"""Lives of handles as one loop over the ops; the rule is at the head of :mod:`swaptrace.kernels.lives`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.lives_state import Fates, LivesState
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown, readable
from swaptrace.model.ops import CARRIED

__all__ = ["LoopLives"]


class LoopLives(LivesState):
    """By handle, besides: the batch's latest OUT and the OUT that began the life, CARRIED between batches."""

    def __init__(self) -> None:
        super().__init__()
        self._prev: Ints32 = np.full(0, CARRIED, np.int32)
        self._birth: Ints32 = np.full(0, CARRIED, np.int32)

    def _run(self, op: Bytes, handle: Ints32, page: Ints, row: Ints | None) -> tuple[Fates, Ints]:
        n = len(op)
        self._prev = grown(self._prev, len(self.live), CARRIED)
        self._birth = grown(self._birth, len(self.live), CARRIED)
        live, stale = np.empty(n, np.bool_), np.zeros(n, np.bool_)
        prev, birth = np.empty(n, np.int32), np.empty(n, np.int32)
        rows = np.empty(0, np.int64) if row is None else row
        proofs = np.empty(len(rows), np.int64)
        proved = _walk(
            readable(op, np.uint8), readable(handle, np.int32), readable(page, np.int64), readable(rows, np.int64),
            live, stale, prev, birth, proofs, self.live, self._page, self._last_row, self._prev, self._birth,
        )  # fmt: skip
        return Fates(live, stale if proved else None, prev, birth), proofs[:proved]


@loop
def _walk(
    ops: Bytes, handles: Ints32, pages: Ints, rows: Ints, live: Bools, stale: Bools, prev: Ints32, birth: Ints32,
    proofs: Ints, alive: Bools, page_of: Ints, last_row: Ints, prev_of: Ints32, birth_of: Ints32,
) -> Any:  # fmt: skip
    """Run the ops; return how many are stale. ``rows`` is empty if the last accesses are not asked for."""
    noted = len(rows) > 0
    proved = 0
    for i in range(len(ops)):
        h = handles[i]
        op = ops[i]
        was = alive[h]
        live[i] = was
        prev[i] = prev_of[h]
        birth[i] = birth_of[h]
        if op == 0:
            page = pages[i]
            if was and (page == 0 or page != page_of[h]):
                stale[i] = True
                if noted:
                    proofs[proved] = last_row[h]
                proved += 1
                was = False
            if not was:
                birth_of[h] = i
                alive[h] = True
            prev_of[h] = i
            page_of[h] = page
            if noted:
                last_row[h] = rows[i]
        elif op == 2:
            alive[h] = False
        elif noted and was:
            last_row[h] = rows[i]
    for i in range(len(ops)):
        h = handles[i]
        prev_of[h] = -1
        birth_of[h] = -1
    return proved
