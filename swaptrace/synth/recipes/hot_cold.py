"""Two temperatures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import UsageError
from swaptrace.synth.dice import Dice
from swaptrace.synth.recipe import Recipe
from swaptrace.synth.settings import percent

__all__ = ["HotCold"]


class HotCold(Recipe):
    """A share r of the touches goes to the hot pages, which are a share f of the footprint: its lowest addresses.
    Within hot and within cold every page is as likely as any other."""

    name = "hot-cold"
    summary = "a share r of the touches goes to a share f of the pages"
    source = "The hot/cold model of Desnoyers, SYSTOR 2012, doi 10.1145/2367589.2367603, with its r and f."
    params = (
        *Recipe.params,
        percent("r", "90%", "touches that go to hot pages"),
        percent("f", "40%", "pages that are hot"),
    )

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self._hot = round(self.values["f"] * self.count)
        if not 0 < self._hot < self.count:
            raise UsageError("hot-cold:f leaves one temperature.", "", "Set f between 0% and 100%, or use uniform.")

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return draws from hot or cold."""
        hot = dice.share(self.step, self.values["r"])
        from_hot, from_cold = dice.below(self.step, self._hot), dice.below(self.step, self.count - self._hot)
        return np.where(hot, from_hot, self._hot + from_cold)
