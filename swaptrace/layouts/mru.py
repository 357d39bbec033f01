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
        """Return for each op whether its CPU's cache holds its cluster. Later pages of a folio do not ask."""
        assert ops.entry is not None
        asks = np.flatnonzero(ops.sub == 0)
        cpu, key = ops.cpu[asks], ops.entry[asks] >> ENTRY_BITS
        order = np.argsort(cpu, kind="stable")  # a radix sort for 16-bit numbers
        cpu, key = cpu[order], key[order]
        begins = np.ones(len(asks), np.bool_)
        begins[1:] = cpu[1:] != cpu[:-1]
        before = np.empty(len(asks), np.int64)
        before[1:] = key[:-1]
        before[begins] = self._latest[cpu[begins]]
        self._latest[cpu] = key  # in time order on each CPU: its last one stays
        hits = np.zeros(len(ops), np.bool_)
        hits[asks[order]] = key == before
        return hits
