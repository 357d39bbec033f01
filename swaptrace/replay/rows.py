"""Events that are ops: what the resolver selects from a batch, and the page that each event names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import Cause, EventBatch
from swaptrace.model.ops import Op

__all__ = ["Rows", "page_keys", "picked", "pieces_of"]

_FEW = 1000


@dataclass
class Rows:
    """Events that are ops, in time order: op code, handle, the event that each came from (None: all, in order).

    ``unseen`` marks frees that no event showed.
    """

    op: NDArray[np.uint8]
    handle: NDArray[np.int32]
    source: NDArray[np.int64] | None
    unseen: NDArray[np.bool_] | None = None
    pieces: list[slice] | None = None

    @staticmethod
    def chosen(is_op: NDArray[np.bool_], op: NDArray[np.uint8]) -> Rows:
        """Return the events that are ops, without handles yet."""
        none = np.empty(0, np.int32)
        if is_op.all():
            return Rows(op, none, None)
        source = np.flatnonzero(is_op)
        rows = Rows(op, none, source, pieces=pieces_of(source))
        rows.op = rows.of(op)
        return rows

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of these rows of a column of the events."""
        return values if self.source is None else picked(values, self.source, self.pieces)

    def sources(self) -> NDArray[np.int64]:
        """Return the event that each row came from."""
        return np.arange(len(self.op)) if self.source is None else self.source

    def with_frees(self, before: NDArray[np.int64], handle: NDArray[np.int32], source: NDArray[np.int64]) -> Rows:
        """Return the rows with unseen frees of ``handle`` inserted before the positions ``before``."""
        unseen = np.zeros(len(self.op), np.bool_) if self.unseen is None else self.unseen
        return Rows(
            np.insert(self.op, before, np.uint8(Op.FREE)),
            np.insert(self.handle, before, handle),
            np.insert(self.sources(), before, source),
            np.insert(unseen, before, True),
        )


def pieces_of(index: NDArray[np.int64]) -> list[slice] | None:
    """Return an index array as slices, where it is made of few runs of consecutive numbers, else None."""
    breaks = np.flatnonzero(index[1:] != index[:-1] + 1)
    if len(index) == 0 or len(breaks) > _FEW:
        return None
    firsts = index[np.append(0, breaks + 1)].tolist()
    lasts = index[np.append(breaks, len(index) - 1)].tolist()
    return [slice(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]


def picked(values: NDArray[Any], index: NDArray[np.int64], pieces: list[slice] | None) -> NDArray[Any]:
    """Return ``values[index]``; copying ``pieces`` is faster than a gather."""
    return values[index] if pieces is None else np.concatenate([values[piece] for piece in pieces])


def page_keys(events: EventBatch, needed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return one number per event for its (owner, page), 0 where either is unknown; meaningless where not ``needed``.

    An event's owner is its faulting process where the recorder named no other.
    """
    owner = events["owner_tgid"]
    ownerless = needed & (owner == 0)
    if ownerless.any() and (faulting := ownerless & (events["cause"] == Cause.FAULT)).any():
        owner = np.where(faulting, events["tgid"], owner)
    va = events["va"]
    key = owner.astype(np.int64)
    key <<= 36
    key |= va >> 12
    key *= (owner != 0) & (va >= 0)
    return key
