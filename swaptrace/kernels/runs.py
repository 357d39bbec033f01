"""Long runs of allocations on one CPU, which a cluster's list can serve as a slice.

Reclaim takes slots in batches: in recorded traces nearly all allocations are in runs of tens on one CPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swaptrace.kernels.tables import Bools, Ints32, Words16

__all__ = ["alternating_runs", "is_sound"]

CHUNK = 1 << 16  # ops that are turned into Python objects at a time
LONG = 12  # ops from which a slice pays


def alternating_runs(frees: Bools, on: Words16) -> Iterator[tuple[slice, bool]]:
    """Cut the ops into long runs of allocations on one CPU (True) and what lies between them (False)."""
    for chunk in range(0, len(frees), CHUNK):
        kind = np.where(frees[chunk : chunk + CHUNK], -1, on[chunk : chunk + CHUNK].astype(np.int32))
        start = np.append(0, np.flatnonzero(kind[1:] != kind[:-1]) + 1)
        long = (np.diff(start, append=len(kind)) >= LONG) & (kind[start] >= 0)
        cut = long.copy()
        cut[0] = True
        cut[1:] |= long[:-1]
        edges = np.append(start[cut], len(kind)) + chunk
        for a, b, is_long in zip(edges[:-1].tolist(), edges[1:].tolist(), long[cut].tolist(), strict=True):
            yield slice(a, b), is_long


def is_sound(units: Ints32, contradicts: Bools) -> bool:
    """Whether a run contradicts the state nowhere and names no unit twice."""
    return not contradicts.any() and len(set(units.tolist())) == len(units)
