"""Which ops do something, in order: masks turned into indices, by a loop where numba is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bools, Ints, readable

__all__ = ["in_order", "indices"]


def indices(mask: Bools) -> Ints:
    """Return where ``mask`` is true, as :func:`numpy.flatnonzero` does."""
    if engine_name() != "numba":
        return np.flatnonzero(mask)
    found = np.empty(len(mask) + 1, np.int64)
    return found[: _indices(readable(mask, np.bool_), found)]


def in_order(first: Bools, second: Bools) -> tuple[Ints, Bools]:
    """Return the things that ops do in order, where an op may do a first and then a second one.

    Returns:
        int64[m] which op does it, bool[m] whether it is its second.
    """
    if engine_name() == "numba":
        at, late = np.empty(2 * len(first) + 1, np.int64), np.empty(2 * len(first) + 1, np.bool_)
        m = _in_order(readable(first, np.bool_), readable(second, np.bool_), at, late)
        return at[:m], late[:m]
    both = np.empty((len(first), 2), np.bool_)
    both[:, 0] = first
    both[:, 1] = second
    found = np.flatnonzero(both)
    return found >> 1, (found & 1).astype(np.bool_)


@loop
def _indices(mask: Bools, found: Ints) -> Any:
    """Fill ``found``; return how many there are. Written always, kept where true: no branch to guess."""
    k = 0
    for i in range(len(mask)):
        found[k] = i
        k += mask[i]
    return k


@loop
def _in_order(first: Bools, second: Bools, at: Ints, late: Bools) -> Any:
    """Fill ``at`` and ``late``; return how many there are."""
    k = 0
    for i in range(len(first)):
        at[k] = i
        late[k] = False
        k += first[i]
        at[k] = i
        late[k] = True
        k += second[i]
    return k
