"""Chains of ops that each refer to an earlier one, followed back to where they begin."""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Ints, Ints32

__all__ = ["origins"]


def origins(earlier: Ints | Ints32, at: Ints) -> Ints:
    """Return for each op of a batch the one at which its chain begins (int64[n]).

    The ops ``at`` refer to an ``earlier`` one, where that is not negative; all others begin a chain. In each round an
    op finds what the one that it has found has found: a chain of n ops is followed in log2(n) rounds.
    """
    origin = np.arange(len(earlier))
    moving = at[earlier[at] >= 0]
    origin[moving] = earlier[moving]
    while len(moving):
        found = origin[moving]
        origin[moving] = origin[found]
        moving = moving[origin[moving] != found]
    return origin
