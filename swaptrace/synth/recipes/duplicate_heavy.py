"""Many pages with the same contents."""

from __future__ import annotations

from swaptrace.synth.recipe import Recipe
from swaptrace.synth.recipes.uniform import Uniform
from swaptrace.synth.settings import number_param, with_defaults

__all__ = ["DuplicateHeavy"]


class DuplicateHeavy(Uniform):
    """Uniform touches; most written pages take their content from a pool, whose contents are ranked by Zipf's law:
    the content of rank k with a probability proportional to k ** -skew."""

    name = "duplicate-heavy"
    summary = "uniform touches of pages that share the contents of a small pool"
    source = "Own rule, for the limits of deduplication: few contents, unevenly shared."
    params = (
        *with_defaults(Recipe.params, duplicate="70%"),
        number_param("skew", "0.8", "exponent of the rank of a content in the pool", 4.0),
    )
