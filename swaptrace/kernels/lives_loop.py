"""Lives of handles as one loop over the rows; the rule is at the head of :mod:`swaptrace.kernels.lives`."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.lives_state import Lived, LivesState
from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown, readable
from swaptrace.model.ops import CARRIED, Op

__all__ = ["LoopLives"]


class LoopLives(LivesState):
    """By handle, besides: the batch's latest OUT and the OUT that began the life, CARRIED between batches."""

    def __init__(self) -> None:
        super().__init__()
        self._prev: Ints32 = np.full(0, CARRIED, np.int32)
        self._birth: Ints32 = np.full(0, CARRIED, np.int32)

    def feed(self, op: Bytes, handle: Ints32, page: Ints) -> Lived:
        """Run rows in order."""
        n = len(op)
        room = n + int(np.count_nonzero(op == Op.OUT))  # each OUT may prove an end
        self._prev = grown(self._prev, len(self.live), CARRIED)
        self._birth = grown(self._birth, len(self.live), CARRIED)
        ops, handles, new = np.empty(room, np.uint8), np.empty(room, np.int32), np.empty(room, np.bool_)
        prev, birth, source = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64)
        state = np.zeros(2, np.int64)
        _walk(
            readable(op, np.uint8), readable(handle, np.int32), readable(page, np.int64), ops, handles, new, prev,
            birth, source, self.live, self._page, self._prev, self._birth, state,
        )  # fmt: skip
        m, stale = state.tolist()
        rows = None if m == n and not stale else source[:m]
        return Lived(ops[:m], handles[:m], new[:m], prev[:m], birth[:m], rows, stale)

    def _proofs(self, op: Bytes, handle: Ints32, page: Ints, row: Ints) -> Ints:
        proofs = np.empty(len(row), np.int64)
        proved = _prove(
            readable(op, np.uint8), readable(handle, np.int32), readable(page, np.int64), readable(row, np.int64),
            proofs, self.live, self._page, self._last_row,
        )  # fmt: skip
        return proofs[:proved]


@loop
def _walk(
    rows: Bytes, row_handles: Ints32, pages: Ints, ops: Bytes, handles: Ints32, new: Bools, prev: Ints32,
    birth: Ints32, source: Ints, alive: Bools, page_of: Ints, prev_of: Ints32, birth_of: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the rows and fill the ops; ``state`` gets how many these are, and how many are proved ends."""
    k = 0
    stale = 0
    for i in range(len(rows)):
        h = row_handles[i]
        op = rows[i]
        was = alive[h]
        if op == 0:
            page = pages[i]
            if was and (page == 0 or page != page_of[h]):
                ops[k] = 2
                handles[k] = h
                new[k] = False
                prev[k] = prev_of[h]
                birth[k] = birth_of[h]
                source[k] = i
                k += 1
                stale += 1
                was = False
            new[k] = not was
            if was:
                prev[k] = prev_of[h]
                birth[k] = birth_of[h]
            else:
                prev[k] = -2
                birth[k] = -2
                birth_of[h] = k
                alive[h] = True
            prev_of[h] = k
            page_of[h] = page
        else:
            if not was:
                continue
            new[k] = False
            prev[k] = prev_of[h]
            birth[k] = birth_of[h]
            alive[h] = op != 2
        ops[k] = op
        handles[k] = h
        source[k] = i
        k += 1
    for i in range(len(rows)):
        h = row_handles[i]
        prev_of[h] = -1
        birth_of[h] = -1
    state[0] = k
    state[1] = stale


@loop
def _prove(
    ops: Bytes, handles: Ints32, pages: Ints, rows: Ints, proofs: Ints, alive: Bools, page_of: Ints, last_row: Ints
) -> Any:
    """Run the rows and fill ``proofs``; return how many there are."""
    proved = 0
    for i in range(len(ops)):
        h = handles[i]
        op = ops[i]
        if op == 0:
            page = pages[i]
            if alive[h] and (page == 0 or page != page_of[h]):
                proofs[proved] = last_row[h]
                proved += 1
            alive[h] = True
            page_of[h] = page
            last_row[h] = rows[i]
        elif op == 2:
            alive[h] = False
        elif alive[h]:
            last_row[h] = rows[i]
    return proved
