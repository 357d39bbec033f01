"""The recipes by name. A new one is a file in recipes/ and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from swaptrace.model.errors import UsageError, closest
from swaptrace.synth.recipe import Recipe
from swaptrace.synth.recipes.duplicate_heavy import DuplicateHeavy
from swaptrace.synth.recipes.fork_cow import ForkCow
from swaptrace.synth.recipes.hot_cold import HotCold
from swaptrace.synth.recipes.launch_storm import LaunchStorm
from swaptrace.synth.recipes.scan import Scan
from swaptrace.synth.recipes.thp_mix import ThpMix
from swaptrace.synth.recipes.uniform import Uniform
from swaptrace.synth.recipes.zero_heavy import ZeroHeavy
from swaptrace.synth.recipes.zipf import Zipf

__all__ = ["RECIPES", "find_recipe", "make_recipe"]

_KINDS: tuple[type[Recipe], ...] = (
    Uniform,
    Zipf,
    HotCold,
    LaunchStorm,
    ForkCow,
    ZeroHeavy,
    DuplicateHeavy,
    Scan,
    ThpMix,
)
RECIPES: dict[str, type[Recipe]] = {kind.name: kind for kind in _KINDS}


def find_recipe(name: str) -> type[Recipe]:
    """Return the recipe ``name``. Raises :class:`UsageError` with the closest one if there is none."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.", closest(name, RECIPES), "swaptrace synth --list")
    return RECIPES[name]


def make_recipe(name: str, given: Mapping[str, str]) -> Recipe:
    """Return the recipe ``name`` with the parameters ``given`` as text."""
    return find_recipe(name)(given)
