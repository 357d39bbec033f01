"""Events that are ops: what the resolver selects from a batch, and the page that each event names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.order import indices
from swaptrace.kernels.pick import Pick
from swaptrace.model.events import Cause, EventBatch, Kind
from swaptrace.model.ops import Op

__all__ = ["Rows", "page_keys"]


@dataclass
class Rows:
    """Events that are ops, in time order: op code, handle, the events that they came from (None: all, in order).

    ``unseen`` marks frees that no event showed.
    """

    op: NDArray[np.uint8]
    handle: NDArray[np.int32]
    pick: Pick | None
    unseen: NDArray[np.bool_] | None = None

    @staticmethod
    def chosen(is_op: NDArray[np.bool_], op: NDArray[np.uint8]) -> Rows:
        """Return the events that are ops, without handles yet."""
        none = np.empty(0, np.int32)
        if is_op.all():
            return Rows(op, none, None)
        pick = Pick(indices(is_op))
        return Rows(pick.of(op), none, pick)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of these rows of a column of the events."""
        return values if self.pick is None else self.pick.of(values)

    def sources(self) -> NDArray[np.int64]:
        """Return the event that each row came from."""
        return np.arange(len(self.op)) if self.pick is None else self.pick.index

    def again(self, index: NDArray[np.int64] | None) -> Pick | None:
        """Return the events of the rows ``index`` (None: of all)."""
        if index is None:
            return self.pick
        return Pick(index if self.pick is None else self.pick.index[index])

    def with_frees(self, before: NDArray[np.int64], handle: NDArray[np.int32], source: NDArray[np.int64]) -> Rows:
        """Return the rows with unseen frees of ``handle`` inserted before the positions ``before``."""
        unseen = np.zeros(len(self.op), np.bool_) if self.unseen is None else self.unseen
        return Rows(
            np.insert(self.op, before, np.uint8(Op.FREE)),
            np.insert(self.handle, before, handle),
            Pick(np.insert(self.sources(), before, source)),
            np.insert(unseen, before, True),
        )


def page_keys(events: EventBatch, slotless: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return one number per event for its (owner, page), 0 where either is unknown.

    The owner of a read that is ``slotless`` is its faulting process where the recorder named no other. A writeout
    tells nothing about its task: that may reclaim any process's pages.
    """
    owner = events["owner_tgid"]
    ownerless = slotless & (owner == 0) & (events["kind"] != Kind.SWAP_OUT)
    if ownerless.any() and (faulting := ownerless & (events["cause"] == Cause.FAULT)).any():
        owner = np.where(faulting, events["tgid"], owner)
    va = events["va"]
    key = owner.astype(np.int64)
    key <<= 36
    key |= va >> 12
    key *= (owner != 0) & (va >= 0)
    return key
