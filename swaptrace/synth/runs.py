"""Numbers handed out in aligned runs: swap slots and page frames. First freed, first reused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Runs"]


class _Ring:
    """The free runs of one order, as a queue: at the start in ascending order."""

    def __init__(self, first: int, runs: int, order: int) -> None:
        self._free = first + (np.arange(runs, dtype=np.int64) << order)
        self._head = 0  # the next run to take; positions are taken modulo the length
        self._tail = runs

    def take(self, runs: int) -> NDArray[np.int64]:
        if runs > self._tail - self._head:
            raise AssertionError("more runs are in use than the machine was made for")
        found = self._free[(self._head + np.arange(runs)) % len(self._free)]
        self._head += runs
        return found

    def give(self, runs: NDArray[np.int64]) -> None:
        self._free[(self._tail + np.arange(len(runs))) % len(self._free)] = runs
        self._tail += len(runs)


class Runs:
    """``pages[order]`` pages can be in use at once in runs of 2**order; each order has an area of its own, so runs
    never fragment. ``end`` is the first number behind all areas."""

    def __init__(self, first: int, pages: dict[int, int]) -> None:
        self._rings: dict[int, _Ring] = {}
        at = first
        for order, count in sorted(pages.items()):
            runs = -(-count >> order)
            at = -(-at >> order) << order
            self._rings[order] = _Ring(at, runs, order)
            at += runs << order
        self.end = at

    def take(self, order: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return a number for each page of whole folios, given as the order of each page."""
        out = np.empty(len(order), np.int64)
        for each, ring in self._rings.items():
            at = np.flatnonzero(order == each) if len(self._rings) > 1 else np.arange(len(order))
            if len(at):
                runs = ring.take(len(at) >> each)
                out[at] = (runs[:, None] + np.arange(1 << each)).ravel()
        return out

    def give(self, numbers: NDArray[np.int64], order: NDArray[np.uint8]) -> None:
        """Take back the numbers of whole folios, in the order in which they become free."""
        for each, ring in self._rings.items():
            of_order = numbers[order == each] if len(self._rings) > 1 else numbers
            ring.give(of_order[:: 1 << each])
