"""Folios of three sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import choice
from swaptrace.model.errors import UsageError
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Hardware, Pages
from swaptrace.synth.recipe import BLOCK, Recipe
from swaptrace.synth.settings import percent

__all__ = ["ThpMix"]

_PMD_ORDER = 9


class ThpMix(Recipe):
    """Memory is divided into aligned blocks of 2 MiB. Each is one PMD folio with probability ``pmd``, folios of
    ``order`` with probability ``large``, else single pages. A touch draws a folio uniformly, whatever its size, so that
    every page is as likely as any other, and walks over all of it; it is written or read as a whole.

    A folio goes out in one piece, into aligned slots in a row, and comes in so; ``split`` of them are split when they
    are reclaimed: their pages go out one by one, into slots of their own, come in one by one, and are collapsed in
    place again. Slots for each order are an area of their own, as the kernel keeps clusters for each order.
    """

    name = "thp-mix"
    summary = "PMD folios, large folios and single pages; some are split at reclaim"
    source = "Own rule, after the kernel's swap-out of large folios without splitting (since 6.10, order by order)."
    align = BLOCK
    params = (
        *Recipe.params,
        percent("pmd", "20%", "blocks of 2 MiB that are one folio"),
        percent("large", "40%", "blocks of 2 MiB that are folios of the order below"),
        choice("order", "4", "order of large folios", {str(order): order for order in range(1, _PMD_ORDER)}),
        percent("split", "10%", "reclaimed folios that are split first"),
    )

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        values = self.values
        if values["footprint"] % (BLOCK << 12):
            raise UsageError("thp-mix:footprint is not a whole number of 2 MiB.", "", "For example 256MiB.")
        if values["pmd"] + values["large"] > 1:
            raise UsageError("thp-mix: pmd and large are more than 100% together.", "", "Lower one of them.")
        idle = {"order": not values["large"], "split": not values["pmd"] + values["large"]}
        for name in sorted(idle.keys() & given):
            if idle[name]:
                raise UsageError(f"thp-mix:{name} cannot act.", "There are no such folios.", "Set large=40%.")

    def hardware(self) -> Hardware:
        """Return a machine that splits folios; a round may end with a whole PMD folio."""
        return replace(super().hardware(), most=self.step + BLOCK, split=self.values["split"])

    def pages(self, dice: Dice) -> Pages:
        """Give every block its order."""
        pages = super().pages(dice)
        pmd, large = self.values["pmd"], self.values["large"]
        drawn = dice.below(self.count // BLOCK, 1 << 30) / (1 << 30)
        order = np.select([drawn < pmd, drawn < pmd + large], [_PMD_ORDER, self.values["order"]], 0)
        self._order = np.repeat(order, BLOCK)
        number = np.arange(self.count)
        self._folios = np.flatnonzero(number % (1 << self._order) == 0)  # their first pages
        return replace(pages, order=self._order.astype(np.uint8))

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return all pages of drawn folios, until they are a quarter of the memory: the last may go beyond."""
        drawn = self._folios[dice.below(self.step, len(self._folios))]
        size = np.int64(1) << self._order[drawn]
        begins = np.cumsum(size) - size < self.step
        drawn, size = drawn[begins], size[begins]
        page: NDArray[np.int64] = np.repeat(drawn, size)
        page += np.arange(len(page)) - np.repeat(np.cumsum(size) - size, size)
        return page

    def written(self, dice: Dice, page: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return one draw for each folio."""
        first = page & ((np.int64(1) << self._order[page]) - 1)
        lead = np.arange(len(page)) - first
        return super().written(dice, page)[lead]
