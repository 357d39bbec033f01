"""Sequential sweeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import choice
from swaptrace.model.events import Cause
from swaptrace.synth.dice import Dice
from swaptrace.synth.recipe import Recipe
from swaptrace.synth.settings import with_defaults

__all__ = ["Scan"]


class Scan(Recipe):
    """All pages are touched in address order, again and again. Aligned windows of ``readahead`` pages come in
    together: their first page by a fault, the others by readahead.

    A sweep over more than the memory holds misses on every page: each has just been swapped out when it is needed.
    """

    name = "scan"
    summary = "sweeps over all pages in address order, with readahead"
    source = "Sequential flooding of least-recently-used memory; windows of 2**page-cluster pages as vm.page-cluster."
    params = (
        *with_defaults(Recipe.params, write="30%", processes="1"),
        choice("readahead", "8", "pages that come in together", {str(1 << power): 1 << power for power in range(6)}),
    )

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return the next pages of the sweep."""
        page: NDArray[np.int64] = (number * self.step + np.arange(self.step)) % self.count
        return page

    def cause(self, page: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a fault for the first page of each window."""
        return np.where(page % self.values["readahead"], np.uint8(Cause.READAHEAD), np.uint8(Cause.FAULT))
