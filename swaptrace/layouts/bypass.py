"""Which swap entries go past a virtual swap space: those of chosen cgroups, and a share of all others.

Rule. It is decided once for each allocation, a folio or a page of its own, when its objects begin, and holds until
their end. A page that begins an object continues the folio of the page that began one directly before it, if that was
on the same CPU and at a smaller place in its folio; otherwise it begins an allocation. An allocation whose memory
cgroup (that of its first page's writeout) is in ``bypass=`` goes past. Of the others the k-th, from 1, goes through
the virtual space if floor(k * share) > floor((k - 1) * share), and past it otherwise: after n of them floor(n *
share) went through. The share is a whole number of millionths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.model.ops import Ops

__all__ = ["MILLION", "Bypass"]

MILLION = 10**6


class Bypass:
    """Decides for new objects, and remembers for living ones, from batch to batch."""

    def __init__(self, millionths: int, memcgs: frozenset[int]) -> None:
        self._millionths = millionths
        self._memcgs = np.array(sorted(memcgs), np.uint64)
        self._mapped = np.zeros(0, np.bool_)  # by handle: its object goes past
        self._met = np.zeros(len(memcgs), np.bool_)  # which of them began an object
        self._counted = 0  # allocations that no cgroup took past
        self._cpu, self._sub, self._last = -1, 0, False  # of the latest page that began an object

    @property
    def acts(self) -> bool:
        """Whether anything goes past."""
        return self._millionths < MILLION or len(self._memcgs) > 0

    def unmet(self) -> list[int]:
        """Return the cgroups of which no page has begun an object so far."""
        absent: list[int] = self._memcgs[~self._met].tolist()
        return absent

    def feed(self, ops: Ops) -> NDArray[np.bool_]:
        """Return for each op whether the entry of its object goes past the virtual space."""
        born = np.flatnonzero(ops.new)
        self._mapped = grown(self._mapped, int(ops.handle.max()) + 1, False)
        mapped = self._mapped[ops.handle]  # right where the object began in an earlier batch
        if len(born):
            mapped[born] = self._decide(ops, born)
            here = np.flatnonzero(ops.birth >= 0)
            mapped[here] = mapped[ops.birth[here]]
            self._mapped[ops.handle[born]] = mapped[born]  # in time order: the last one of a handle stays
        return mapped

    def _decide(self, ops: Ops, born: NDArray[np.int64]) -> NDArray[np.bool_]:
        cpu, sub = ops.cpu[born].astype(np.int64), ops.sub[born].astype(np.int64)
        before_cpu, before_sub = np.append(self._cpu, cpu[:-1]), np.append(self._sub, sub[:-1])
        heads = np.flatnonzero((cpu != before_cpu) | (sub <= before_sub))
        memcg = ops.columns["memcg"][born[heads]]
        past = np.isin(memcg, self._memcgs)
        if not self._met.all():
            self._met |= np.isin(self._memcgs, memcg)
        counted = np.flatnonzero(~past)
        k = self._counted + 1 + np.arange(len(counted), dtype=np.int64)
        past[counted] = k * self._millionths // MILLION == (k - 1) * self._millionths // MILLION
        self._counted += len(counted)
        folio = np.zeros(len(born), np.int64)  # 0: that of the batch before
        folio[heads] = 1
        decided: NDArray[np.bool_] = np.append(self._last, past)[np.cumsum(folio)]
        self._cpu, self._sub, self._last = int(cpu[-1]), int(sub[-1]), bool(decided[-1])
        return decided
