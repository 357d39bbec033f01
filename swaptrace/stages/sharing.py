"""Which dedup hits cross memory cgroups: reference counts of (content, memcg) beside those of the contents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.order import in_order
from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import grown
from swaptrace.model.ops import NOTHING, Op, Ops

__all__ = ["MemcgSharing"]

_NONE = -1
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class MemcgSharing:
    """Counts hits on content that no object written by the same memory cgroup holds at that moment.

    While a trace shows one memory cgroup only there is nothing to count, and the pairs are not tracked; the pairs
    of objects that are live when a second one appears are entered then.
    """

    def __init__(self) -> None:
        self._pairs = RefCounts()
        self._pair = np.full(0, _NONE, np.int64)  # by handle: number of its (content, memcg)
        self._only: int | None = None
        self._several = False

    def meet(
        self, memcg: NDArray[np.uint64], holders: Callable[[], tuple[NDArray[np.int64], NDArray[np.uint64]]]
    ) -> None:
        """See the cgroups that write in the next batch; ``holders`` gives the handles and hashes of live objects."""
        if self._several or len(memcg) == 0:
            return
        low, high = int(memcg.min()), int(memcg.max())
        if self._only is None:
            self._only = low
        if low == high == self._only:
            return
        self._several = True
        handles, hashes = holders()
        number, _ = self._pairs.number(_pair_key(hashes, np.full(len(hashes), self._only, np.uint64)))
        self._pairs.change(number, np.ones(len(number), np.int64))
        self._pair = grown(self._pair, int(handles.max(initial=-1)) + 1, _NONE)
        self._pair[handles] = number

    def cross_hits(self, ops: Ops, takes: NDArray[np.int64], hit: NDArray[np.bool_]) -> int:
        """Return the cross-memcg hits of a batch; ``takes`` are its stores, ``hit`` those of them that hit.

        Hits are still marked as stores in ``ops``.
        """
        if not self._several:
            return 0
        takes = takes[ops.columns["has_hash"][takes]]
        number, moved = self._pairs.number(_pair_key(ops.columns["hash"][takes], ops.columns["memcg"][takes]))
        if moved is not None:
            self._pair = np.where(self._pair >= 0, moved[self._pair], _NONE)
        self._pair = grown(self._pair, int(ops.handle.max()) + 1, _NONE)
        pair = np.full(len(ops), _NONE, np.int64)
        pair[takes] = number
        gives = np.flatnonzero((ops.drop != NOTHING) | ops.inplace)
        old = ops.before(pair, self._pair, gives)
        gives, old = gives[old != _NONE], old[old != _NONE]
        taking, giving = np.zeros(len(ops), np.bool_), np.zeros(len(ops), np.bool_)
        taking[takes] = giving[gives] = True
        change, giving = in_order(taking, giving)  # in an op, take first
        by = np.where(giving, np.int64(-1), np.int64(1))
        which = np.empty(len(change), np.int64)
        which[giving], which[~giving] = old, number
        refs = self._pairs.change(which, by)
        first = change[refs.order][(refs.before == 0) & ~giving[refs.order]]
        outs = np.flatnonzero(ops.op == Op.OUT)
        self._pair[ops.handle[outs]] = pair[outs]
        return int(np.count_nonzero(hit[first]))


def _pair_key(hashes: NDArray[np.uint64], memcg: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes ^ (memcg * _MIX)
