"""How many live objects have a mark that their latest writeout or writeback set or cleared.

Rule. A writeout gives its object the mark, or takes it; a writeback from a compressed pool and the object's end take
it. No other op changes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.reshape import latest
from swaptrace.kernels.tables import Bools, Bytes, Ints8, Ints32, grown, readable
from swaptrace.model.ops import Op, Ops

__all__ = ["Marks"]


class Marks:
    """The marks of live objects, carried from batch to batch."""

    def __init__(self) -> None:
        self._marked: Bools = np.zeros(0, np.bool_)  # by handle
        self._now = 0

    def feed(self, ops: Ops, mark: Bools) -> Ints8 | None:
        """Return the change of the number of marked objects per op, or None if nothing is marked before or in the
        batch; ``mark`` is what each writeout gives its object."""
        if self._now == 0 and not mark.any():
            return None
        self._marked = grown(self._marked, int(ops.handle.max()) + 1, False)
        change = np.empty(len(ops), np.int8)
        if engine_name() == "numba":
            _walk(
                readable(ops.op, np.uint8), readable(ops.handle, np.int32), readable(ops.new, np.bool_),
                readable(mark, np.bool_), change, self._marked,
            )  # fmt: skip
        else:
            out, back = ops.op == Op.OUT, ops.op == Op.WRITEBACK
            mark, sets = mark & out, out | back
            ends = np.flatnonzero((sets & ~ops.new) | (ops.op == Op.FREE))
            previous = (latest(sets, ops.handle) if back.any() else ops.prev)[ends]
            known = np.where(previous >= 0, mark[np.maximum(previous, 0)], self._marked[ops.handle[ends]])
            change[:] = mark
            change[ends] -= known
            at = np.flatnonzero(sets | (ops.op == Op.FREE))  # a handle is used again: it must not remember
            self._marked[ops.handle[at]] = mark[at]  # in time order: the last one of an object stays
        self._now += int(change.sum())
        return change


@loop
def _walk(ops: Bytes, handles: Ints32, new: Bools, mark: Bools, change: Ints8, marked: Bools) -> Any:
    """Run the ops and fill ``change``."""
    for i in range(len(ops)):
        step = 0
        h = handles[i]
        if ops[i] == 0:
            if not new[i]:
                step -= marked[h]
            marked[h] = mark[i]
            step += mark[i]
        elif ops[i] == 2 or ops[i] == 4:  # a handle is used again: it must not remember
            step -= marked[h]
            marked[h] = False
        change[i] = step
