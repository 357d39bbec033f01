"""The same rows taken from several columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Ints, readable

__all__ = ["Pick"]

_FEW = 1000


class Pick:
    """Rows ``index`` (int64), in mostly ascending runs: without a compiler, copying these beats a gather."""

    def __init__(self, index: Ints) -> None:
        self.index = index
        self._looping = engine_name() == "numba"
        self._pieces = None if self._looping else _pieces(index)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return ``values[index]``."""
        if values.strides == (0,):  # one value in all rows
            return np.broadcast_to(values[:1], len(self.index))
        if self._looping:
            taken = np.empty(len(self.index), values.dtype)
            _gather(readable(values, values.dtype.type), readable(self.index, np.int64), taken)
            return taken
        if self._pieces is None:
            return values[self.index]
        return np.concatenate([values[piece] for piece in self._pieces])


def _pieces(index: Ints) -> list[slice] | None:
    """Return an index array as slices, where it is made of few runs of consecutive numbers, else None."""
    breaks = np.flatnonzero(index[1:] != index[:-1] + 1)
    if len(index) == 0 or len(breaks) > _FEW:
        return None
    firsts = index[np.append(0, breaks + 1)].tolist()
    lasts = index[np.append(breaks, len(index) - 1)].tolist()
    return [slice(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]


@loop
def _gather(values: NDArray[Any], index: Ints, taken: NDArray[Any]) -> Any:
    for i in range(len(index)):
        taken[i] = values[index[i]]
