"""The recipes of synthetic traces: all in a table, or one with its rule."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Sequence

from swaptrace.render.document import json_text
from swaptrace.render.provenance import entry
from swaptrace.render.text import table
from swaptrace.synth.recipe import Recipe

__all__ = ["json_recipes", "text_recipe", "text_recipes"]

_WIDTH = 100


def text_recipes(recipes: Sequence[type[Recipe]]) -> str:
    """Return the recipes, and below them every parameter with the defaults that recipes have for it."""
    lines = table([[each.name, each.summary] for each in recipes], ["recipe", "what it does"], left=(0, 1))
    defaults: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for each in recipes:
        for param in each.params:
            of = defaults.setdefault((param.name, param.unit, param.doc), {})
            of.setdefault(param.default, []).append(each.name)
    rows = []
    for (name, unit, doc), of in defaults.items():
        users = [recipe for names in of.values() for recipe in names]
        where = "all" if len(users) == len(recipes) else ", ".join(users) if len(users) < 3 else f"{len(users)} recipes"
        usual = max(of, key=lambda value: len(of[value]))
        other = [f"{value} ({', '.join(names)})" for value, names in of.items() if value != usual]
        rows.append([name, usual, unit, where, "; ".join([doc, *other])])
    lines += ["", *table(rows, ["parameter", "default", "unit", "of", "meaning; other defaults"], range(5), wrap=40)]
    lines += ["", "More about one: swaptrace synth zipf --list"]
    return "\n".join(lines) + "\n"


def text_recipe(recipe: type[Recipe]) -> str:
    """Return one recipe: its rule, its source, its parameters."""
    lines = [f"{recipe.name}: {recipe.summary}", ""]
    lines += entry("source", recipe.source, _WIDTH)
    rows = [[p.name, p.default, p.unit, p.doc] for p in recipe.params]
    lines += ["", *table(rows, ["parameter", "default", "unit", "meaning"], left=range(4), wrap=56), "", "rule"]
    lines += [f"  {line}".rstrip() for line in _rule(recipe)]
    return "\n".join(lines) + "\n"


def json_recipes(recipes: Sequence[type[Recipe]]) -> str:
    """Return the recipes as a JSON array."""
    return json_text(
        [
            {
                "name": each.name,
                "summary": each.summary,
                "source": each.source,
                "rule": "\n".join(_rule(each)),
                "params": [{"name": p.name, "default": p.default, "unit": p.unit, "doc": p.doc} for p in each.params],
            }
            for each in recipes
        ]
    )


def _rule(recipe: type[Recipe]) -> list[str]:
    """Return the docstring of the recipe, and of the machine that plays it, wrapped."""
    lines: list[str] = []
    for text in (recipe.__doc__, _machine_rule()):
        for paragraph in inspect.cleandoc(text or "").split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), _WIDTH - 4, break_on_hyphens=False), ""]
    return lines[:-1]


def _machine_rule() -> str:
    from swaptrace.synth import machine

    return re.sub(r"\n(?=\d\. )", "\n\n", machine.__doc__ or "")
