"""``swaptrace cost``: the prices that the modelled figures use, with their sources."""

from __future__ import annotations

from typing import Annotated

import typer

from swaptrace.cli.options import CostSet, Json

__all__ = ["register"]

_group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and show the cost presets.")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(_group, name="cost")


@_group.command("list")
def list_(json: Json = False) -> None:
    """List the presets.

    Which device each describes; take one with --cost.
    """
    from swaptrace.model.cost_files import load_cost, preset_names
    from swaptrace.render.costs import json_costs, text_costs

    print((json_costs if json else text_costs)([load_cost(name) for name in preset_names()]), end="")


@_group.command()
def show(
    name: Annotated[str, typer.Argument(metavar="PRESET|FILE.toml", help="A preset or a file.")] = "neutral",
    cost_set: CostSet = None,
    json: Json = False,
) -> None:
    """Show every price of a preset.

    Its low, typical and high value, its unit and its source.
    """
    from swaptrace.model.cost_files import load_cost
    from swaptrace.render.costs import json_cost, text_cost

    print((json_cost if json else text_cost)(load_cost(name, cost_set or [])), end="")
