"""When stores come so fast that memory must be short.

Rule. A store is *under pressure* if it and the ``stores - 1`` stores before it came within ``span`` ns: the oldest of
them not more than ``span`` before it. A trace shows memory pressure only in this: reclaim swaps out.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Bools, Ints

__all__ = ["Pressure"]


class Pressure:
    """Follows the times of stores; the rule is at the head of this module.

    Args:
        stores: how many stores make pressure, at least 1.
        span: ns within which they come.
    """

    def __init__(self, stores: int, span: int) -> None:
        self._stores, self._span = stores, span
        self._past: Ints = np.empty(0, np.int64)  # the latest stores - 1 times

    def feed(self, now: Ints) -> Bools:
        """Return bool[n]: which stores at the times ``now`` (int64[n] ns, never going back) are pressed."""
        times = np.concatenate([self._past, now])
        pressed = np.zeros(len(times), np.bool_)
        first = self._stores - 1
        pressed[first:] = times[first:] - times[: max(0, len(times) - first)] <= self._span
        found = pressed[len(self._past) :]
        self._past = times[max(0, len(times) - first) :]
        return found
