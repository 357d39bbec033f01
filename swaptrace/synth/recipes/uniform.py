"""Uniform overwrites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.synth.dice import Dice
from swaptrace.synth.recipe import Recipe

__all__ = ["Uniform"]


class Uniform(Recipe):
    """Every touch goes to a page drawn uniformly from the footprint.

    A page is in memory with probability resident / footprint, so a touch is a swap-in with one minus that.
    """

    name = "uniform"
    summary = "every page is as likely to be touched as any other"
    source = "The uniform random overwrites of flash models: Desnoyers, SYSTOR 2012, doi 10.1145/2367589.2367603."

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return uniform draws."""
        return dice.below(self.step, self.count)
