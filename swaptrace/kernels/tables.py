"""Arrays that loops read and write: types, tables that grow, and the bitmap's lowest-bit table."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

__all__ = [
    "LOWEST_BIT",
    "Bools",
    "Bytes",
    "Ints",
    "Ints8",
    "Ints16",
    "Ints32",
    "Words16",
    "Words32",
    "grown",
    "readable",
    "scalars",
    "shift_of",
]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Ints8 = npt.NDArray[np.int8]
Ints16 = npt.NDArray[np.int16]
Ints32 = npt.NDArray[np.int32]
Words16 = npt.NDArray[np.uint16]
Words32 = npt.NDArray[np.uint32]

S = TypeVar("S", bound=np.generic)

LOWEST_BIT: Ints = np.full(37, -1, np.int64)
"""``LOWEST_BIT[(x & -x) % 37]`` is the number of the lowest set bit of ``x``, for 0 < x < 2**32.

The powers of two below 2**36 are distinct modulo 37, so this needs no search, and no instruction that Python
lacks.
"""
LOWEST_BIT[[pow(2, bit, 37) for bit in range(32)]] = np.arange(32)
LOWEST_BIT.flags.writeable = False


def grown(table: npt.NDArray[S], size: int, fill: int) -> npt.NDArray[S]:
    """Return ``table`` if ``size`` fits, else a copy at least twice as long with ``fill`` behind it."""
    if size <= len(table):
        return table
    wider = np.full(max(size, 2 * len(table), 64), fill, table.dtype)
    wider[: len(table)] = table
    return wider


def readable(values: npt.ArrayLike, dtype: type[S]) -> npt.NDArray[S]:
    """Return ``values`` as a contiguous read-only array of ``dtype``, copied only if it is not one already.

    Columns of a trace are read-only and computed ones are not; the compiler would build a loop for each mix.
    """
    array = np.ascontiguousarray(values, dtype).view()
    array.flags.writeable = False
    return array


def scalars(array: npt.NDArray[S]) -> memoryview:
    """Return a view of the array through which Python ints are read and written.

    A scalar access takes 0.6 times that of the ndarray; a list takes 0.4, but would have to be copied back.
    """
    return memoryview(cast(Any, array))


def shift_of(size: int) -> int:
    """Return the shift that divides by ``size``, several times as fast as a division, or -1 if there is none."""
    return size.bit_length() - 1 if size & (size - 1) == 0 else -1
