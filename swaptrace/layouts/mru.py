"""The per-CPU lookup cache of vswap v6: one cluster per CPU, replaced by a walk to another, dropped when empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.layouts.virtual_space import ENTRY_BITS
from swaptrace.model.ops import Ops

__all__ = ["LookupCache"]


class LookupCache:
    """Exact hits of the first asking walk of each page, from the sequence of clusters on each CPU.

    A cluster's key changes when it becomes empty, so equal keys mean that the cached reference is still alive.
    """

    def __init__(self) -> None:
        self._latest = np.full(1 << 16, -1, np.int64)  # by CPU: key of the cached cluster

    def hits(self, ops: Ops) -> NDArray[np.bool_]:
        """Return for each op whether its CPU's cache holds its cluster.

        Later pages of a folio do not ask, nor do entries that are mapped directly.
        """
        assert ops.entry is not None
        asks = np.flatnonzero(ops.sub == 0) if ops.sub.any() else None
        if ops.mapped is not None:
            asks = np.flatnonzero((ops.sub == 0) & ~ops.mapped)
        cpu, entry = (ops.cpu, ops.entry) if asks is None else (ops.cpu[asks], ops.entry[asks])
        if len(cpu) == 0:
            return np.zeros(len(ops), np.bool_)
        key = entry >> ENTRY_BITS
        hit = np.empty(len(key), np.bool_)
        np.equal(key[1:], key[:-1], out=hit[1:])
        # Within a run of one CPU the cached cluster is that of the op before; only its first op needs a look.
        starts = np.append(0, np.flatnonzero(cpu[1:] != cpu[:-1]) + 1)
        on, left = cpu[starts], key[np.append(starts[1:], len(key)) - 1]
        order = np.argsort(on, kind="stable")
        on, left = on[order], left[order]
        before = np.empty(len(on), np.int64)
        before[1:] = left[:-1]
        first = np.append(True, on[1:] != on[:-1])
        before[first] = self._latest[on[first]]
        self._latest[on] = left  # in time order on each CPU: its last one stays
        hit[starts[order]] = key[starts[order]] == before
        if asks is None:
            return hit
        hits = np.zeros(len(ops), np.bool_)
        hits[asks] = hit
        return hits
