"""How many bytes each block holds, and what an op lets go of.

Rule, in order. In an op, the block that dies lets go of its bytes, then the block that is stored holds its new ones; a
store in place lets go of what the same block held before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.order import in_order
from swaptrace.kernels.reshape import latest
from swaptrace.kernels.tables import Bools, Ints16, Ints32, grown, readable
from swaptrace.model.ops import NOTHING, Ops

__all__ = ["Holdings"]


class Holdings:
    """Bytes of live blocks, carried from batch to batch."""

    def __init__(self) -> None:
        self._bytes: Ints16 = np.zeros(0, np.int16)  # by block

    def feed(self, ops: Ops, size: Ints16) -> Ints16:
        """Return the bytes that each op lets go of; ``size`` are those that its store, if it has one, holds from then
        on (int16[n], at most a page).
        """
        self._bytes = grown(self._bytes, int(max(ops.block.max(initial=-1), ops.drop.max(initial=-1))) + 1, 0)
        gone: Ints16 = np.zeros(len(ops), np.int16)
        if engine_name() == "numba":
            _walk(
                readable(ops.drop, np.int32), readable(ops.block, np.int32), readable(ops.store, np.bool_),
                readable(ops.inplace, np.bool_), readable(size, np.int16), gone, self._bytes,
            )  # fmt: skip
            return gone
        at, storing = in_order(ops.drop != NOTHING, ops.store)
        block = np.where(storing, ops.block[at], ops.drop[at])
        before = latest(storing, block)
        held = np.where(before >= 0, size[at[before]], self._bytes[block])
        lets = ~storing | ops.inplace[at]
        gone[at[lets]] = held[lets]
        self._bytes[block[storing]] = size[at[storing]]  # in time order: the last one of a block stays
        return gone


@loop
def _walk(
    drops: Ints32, blocks: Ints32, stores: Bools, inplace: Bools, size: Ints16, gone: Ints16, held: Ints16
) -> Any:
    """Run the ops and fill ``gone``."""
    for i in range(len(drops)):
        if drops[i] != -2:
            gone[i] = held[drops[i]]
        if stores[i]:
            if inplace[i]:
                gone[i] = held[blocks[i]]
            held[blocks[i]] = size[i]
