"""``swaptrace policies``: what can be replayed, and what each policy assumes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from swaptrace.cli.options import Json

__all__ = ["register"]

_group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and explain the policies.")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(_group, name="policies")


@_group.command("list")
def list_(json: Json = False) -> None:
    """List the named policies.

    What each is in a line, and what a trace must show for it.
    """
    from swaptrace.policies.parts import plugins
    from swaptrace.policies.registry import catalogue, stages
    from swaptrace.render.policies import json_policies, text_policies

    print(json_policies(catalogue()) if json else text_policies(catalogue(), stages()), end="")
    for broken in plugins().broken:
        print(f"swaptrace: warning: {broken}", file=sys.stderr)


@_group.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="SPEC", help="A policy: a name or a composition.")],
    json: Json = False,
) -> None:
    """Explain a policy.

    Parameters, state per slot, lookups per event, assumptions, references, rules.
    """
    from swaptrace.policies.registry import resolve
    from swaptrace.render.policies import json_policy, text_policy

    print((json_policy if json else text_policy)(resolve(name).info), end="")
