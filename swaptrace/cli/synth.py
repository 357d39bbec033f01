"""``swaptrace synth``: a synthetic trace of any length; the same seed gives the same bytes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from swaptrace.cli.options import Json, Quiet
from swaptrace.model.errors import UsageError

__all__ = ["register", "synth"]

_HELP = """Write a synthetic trace: seeded, of any length.

\b
swaptrace synth --list                       the recipes and their parameters
swaptrace synth zipf --list                  one of them, with its rule and source
swaptrace synth zipf -o T.parquet --set alpha=0.8 --set footprint=1GiB

It has every capability: slots, frees, owners, content hashes, compressed sizes, faults, and an empty start.
The same recipe, parameters, events and seed give the same file, byte for byte.
"""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("synth", help=_HELP, short_help="Write a synthetic trace: seeded, of any length.")(synth)


def synth(
    *,
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="Its name, as --list shows it.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", readable=False, help="The trace to write.")] = None,
    events: Annotated[int, typer.Option(min=1, help="How many events.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 64) - 1, help="Seed of all random draws.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the recipe. Repeatable.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Print the recipes, or one of them, instead.")] = False,
    json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Check the arguments, then list, or write; see ``_HELP``."""
    if show:
        _show(recipe, json)
        return
    if json:
        raise UsageError("--json without --list.", "Only the list of recipes has a JSON form.")
    if recipe is None:
        raise UsageError("which recipe?", "None was given.", "swaptrace synth --list")
    if output is None:
        raise UsageError("where to?", "No output was given.", "Add -o T.parquet")
    from swaptrace.model.files import check_output

    check_output(output)
    if output.is_file() and not force:
        raise UsageError(f"{output} exists.", "A trace is never changed.", "Choose another name, or add --force.")
    given = _given(settings or [])
    from swaptrace.cli.options import progress
    from swaptrace.model.units import format_bytes, format_count
    from swaptrace.synth.trace import synthesize

    with progress(events, "synth", quiet) as update:
        meta = synthesize(output, recipe, given, events, seed, progress=update)
    if not quiet:
        size = format_bytes(output.stat().st_size)
        print(f"{output}: {format_count(meta.rows)} events, {size}, sha256:{meta.digest[:8]}")
        print(f"next      swaptrace diff {shlex.quote(str(output))} -p swap-table -p vswap-v6")


def _given(settings: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {setting}: no KEY=VALUE.", "", "For example --set footprint=1GiB")
        if name in given:
            raise UsageError(f"--set {name} is given twice.", f"{given[name]} and {value}.", "Leave one of them out.")
        given[name] = value
    return given


def _show(name: str | None, json: bool) -> None:
    from swaptrace.render.recipes import json_recipes, text_recipe, text_recipes
    from swaptrace.synth.catalogue import RECIPES, find_recipe

    if name is None:
        print((json_recipes if json else text_recipes)(list(RECIPES.values())), end="")
    else:
        found = find_recipe(name)
        print(json_recipes([found]) if json else text_recipe(found), end="")
