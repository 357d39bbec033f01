"""Which dedup hits cross memory cgroups: reference counts of (content, memcg) beside those of the contents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import grown
from swaptrace.model.ops import Ops

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
        self._key = np.zeros(0, np.uint64)  # by handle: hash of its content
        self._holds = np.zeros(0, np.bool_)  # by handle: it holds a hashed content
        self._only: int | None = None
        self._several = False

    def cross_hits(self, ops: Ops, takes: NDArray[np.int64], gives: NDArray[np.int64], hit: NDArray[np.bool_]) -> int:
        """Return the cross-memcg hits of a batch; ``takes`` and ``gives`` are the ops that take and give references."""
        size = int(ops.handle.max()) + 1
        self._pair, self._key = grown(self._pair, size, _NONE), grown(self._key, size, 0)
        self._holds = grown(self._holds, size, False)
        memcg, hashes = ops.columns["memcg"], ops.columns["hash"]
        hashed = np.zeros(len(ops), np.bool_)
        hashed[takes] = ops.columns["has_hash"][takes]
        found = 0
        if not self._several and len(takes):
            low, high = int(memcg[takes].min()), int(memcg[takes].max())
            self._only = low if self._only is None else self._only
            if low != high or low != self._only:
                self._several = True
                self._enter_live()
        if self._several:
            found = self._change(ops, takes[hashed[takes]], gives, hit, hashes ^ (memcg * _MIX))
        held = np.zeros(len(ops), np.bool_)
        held[takes] = hashed[takes]
        changes = np.zeros(len(ops), np.bool_)
        changes[takes] = changes[gives] = True
        ends = np.flatnonzero(changes)
        self._key[ops.handle[takes]] = hashes[takes]
        self._holds[ops.handle[ends]] = held[ends]
        return found

    def _enter_live(self) -> None:
        holders = np.flatnonzero(self._holds)
        only = np.array([self._only or 0], np.uint64)  # an array: products of scalars warn where they wrap
        number, _ = self._pairs.number(self._key[holders] ^ (only * _MIX))
        self._pairs.change(number, np.ones(len(number), np.int64))
        self._pair[holders] = number

    def _change(
        self,
        ops: Ops,
        takes: NDArray[np.int64],
        gives: NDArray[np.int64],
        hit: NDArray[np.bool_],
        key: NDArray[np.uint64],
    ) -> int:
        number, moved = self._pairs.number(key[takes])
        if moved is not None:
            self._pair = np.where(self._pair >= 0, moved[self._pair], _NONE)
        pair = np.full(len(ops), _NONE, np.int64)
        pair[takes] = number
        old = np.full(len(ops), _NONE, np.int64)
        old[gives] = ops.before(pair, self._pair, gives)
        gives = gives[old[gives] != _NONE]
        change = np.concatenate([2 * takes, 2 * gives + 1])
        change.sort()
        at, giving = change >> 1, (change & 1) == 1
        refs = self._pairs.change(np.where(giving, old[at], pair[at]), 1 - 2 * giving.astype(np.int64))
        first = at[refs.order][(refs.before == 0) & ~giving[refs.order]]
        outs = np.flatnonzero(ops.op == 0)
        self._pair[ops.handle[outs]] = pair[outs]
        return int(np.count_nonzero(hit[first]))
