"""Mostly empty memory."""

from __future__ import annotations

from swaptrace.synth.recipe import Recipe
from swaptrace.synth.recipes.uniform import Uniform
from swaptrace.synth.settings import percent, with_defaults

__all__ = ["ZeroHeavy"]


class ZeroHeavy(Uniform):
    """Uniform touches; most written pages are zero, and some are filled with another byte, drawn uniformly from the
    255 others."""

    name = "zero-heavy"
    summary = "uniform touches of mostly zero and same-filled pages"
    source = (
        "Own rule. Zero pages have no backing since 6.12 (zeromap); zram and zswap keep same-filled ones as a word."
    )
    params = (
        *with_defaults(Recipe.params, zero="60%"),
        percent("same", "5%", "written pages that are filled with another byte"),
    )
