"""Major faults in place of page faults, where a kernel (other than x86) has no page_fault events.

perf's major-faults fires when the fault is over, after its accesses. Each is moved to where its fault was at work, so
that the rules of swaptrace.ingest.reconstruct hold for both:

* The accesses of a MAJOR_FAULT are those of its task since the task's previous one, of its life, and at most PAIR_NS
  before it. If there is one, a FAULT with the address is put directly before the first of them, at its time and
  processor.
* The MAJOR_FAULT itself becomes a FAULT_END: until the next FAULT, the task has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.raw import RawChunk, RawKind, concat, empty
from swaptrace.ingest.tasks import Tasks

__all__ = ["MajorFaults"]

Array = NDArray[Any]


class MajorFaults:
    """A stage before the reconstruction, which holds events back for ``pair_ns``. ``is_access(chunk)`` tells which
    events are accesses."""

    def __init__(self, is_access: Callable[[RawChunk], NDArray[np.bool_]], pair_ns: int) -> None:
        self._is_access = is_access
        self._pair_ns = pair_ns
        self._held = empty()

    def feed(self, chunk: RawChunk) -> RawChunk:
        """Take the next events, return those that no later major fault can change."""
        whole = self._moved(concat([self._held, chunk]))
        cut = int(np.searchsorted(whole.ts, int(chunk.ts[-1]) - self._pair_ns, "left"))
        self._held = whole.take(slice(cut, None))
        return whole.take(slice(0, cut))

    def finish(self) -> RawChunk:
        """Return the remaining events."""
        whole, self._held = self._held, empty()
        return whole

    def _moved(self, x: RawChunk) -> RawChunk:
        n = len(x)
        major = x.kind == RawKind.MAJOR_FAULT
        if not major.any():
            return x
        find = Tasks(x.tid, x.kind == RawKind.EXIT)
        access = self._is_access(x)[find.order]
        at = np.flatnonzero(major[find.order])
        ends = find.latest((major | (x.kind == RawKind.FAULT_END))[find.order])
        since = find.before(ends, at) + 1
        # Positions of a life are in the order of time: so is the key (life, index).
        life = np.searchsorted(find.ends, np.arange(n))
        key = life * n + find.order
        oldest = np.searchsorted(x.ts, x.ts[find.order[at]] - self._pair_ns, "left")
        since = np.maximum(since, np.searchsorted(key, life[at] * n + oldest))
        following = np.where(access, np.arange(n), n)[::-1]
        following = np.append(np.minimum.accumulate(following)[::-1], n)
        first = following[since]
        some = first < at
        fault, before = find.order[at[some]], find.order[first[some]]
        added = x.take(before)
        added.kind[:], added.value[:] = RawKind.FAULT, x.value[fault]
        added.dev[:], added.count[:], added.extra[:] = 0, 0, 0
        x = x.take(slice(None))
        kind = x.kind.copy()
        kind[major] = RawKind.FAULT_END
        both = concat([RawChunk(**{**vars(x), "kind": kind}), added])
        return both.take(np.argsort(np.concatenate([2 * np.arange(n) + 1, 2 * before]), kind="stable"))
