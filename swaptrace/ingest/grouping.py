"""Equal 64-bit values brought together in the order of their positions, by one sort of packed keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["grouped"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads values whose high bits are alike


def grouped(values: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return positions (int64[n]) in which equal values stand together, earlier ones first, and which of them have the
    value of the one before (bool[n]). The order of the groups means nothing.

    A stable argsort of the values takes several times as long. Where two values share the bits that are sorted by,
    which is rare, it is taken all the same.
    """
    n = len(values)
    shift = np.uint64(max(1, (n - 1).bit_length()) if n else 1)
    hashed = (values * _GOLDEN) >> shift
    packed = hashed << shift
    packed |= np.arange(n, dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)
    there = values[order]
    same = np.zeros(n, np.bool_)
    np.equal(there[1:], there[:-1], out=same[1:])
    packed >>= shift
    if bool(((packed[1:] == packed[:-1]) & ~same[1:]).any()):
        order = np.argsort(values, kind="stable")
        there = values[order]
        np.equal(there[1:], there[:-1], out=same[1:])
    return order, same
