"""Popularity by Zipf's law."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import UsageError
from swaptrace.synth.dice import Dice, Ranks
from swaptrace.synth.machine import Pages
from swaptrace.synth.recipe import Recipe
from swaptrace.synth.settings import number_param

__all__ = ["Zipf"]


class Zipf(Recipe):
    """The page of rank k is touched with a probability proportional to k ** -alpha; which page has which rank is a
    random permutation, so popularity says nothing about addresses."""

    name = "zipf"
    summary = "few pages are touched often, many rarely: rank ** -alpha"
    source = (
        "Zipf's law with alpha 1.0, the usual case of key-value and web caches "
        "(Breslau et al., INFOCOM 1999, find 0.64 to 0.83 for web requests)."
    )
    params = (*Recipe.params, number_param("alpha", "1.0", "exponent of the rank", 4.0))

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        if not self.values["alpha"]:
            raise UsageError("zipf:alpha=0 cannot act.", "All ranks would be alike.", "Use the recipe uniform.")
        self._ranks = Ranks(self.count, self.values["alpha"])

    def pages(self, dice: Dice) -> Pages:
        """Return the pages, and shuffle the ranks."""
        self.page_of = dice.order(self.count)
        return super().pages(dice)

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return the pages of drawn ranks."""
        return self.page_of[self._ranks.draw(dice, self.step)]
