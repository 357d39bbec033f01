"""``swaptrace info``: what a trace is, what it can show, and what happened in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swaptrace.cli.options import Json

__all__ = ["info", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(info)


def info(
    trace: Annotated[Path | None, typer.Argument(metavar="TRACE", readable=False, help="A trace.")] = None,
    json: Json = False,
    owners: Annotated[int, typer.Option(min=0, help="How many owners, cgroups and tasks to list.")] = 5,
    schema: Annotated[bool, typer.Option("--schema", help="Print the columns of a trace instead.")] = False,
) -> None:
    """Show what a trace is and what happened in it.

    Header, capabilities, counts, rates, lifetimes, owners.
    """
    if schema:
        from swaptrace.render.schema import json_columns, text_columns

        print(json_columns() if json else text_columns(), end="")
        return
    if trace is None:
        from swaptrace.model.errors import UsageError

        raise UsageError("no trace given.", "", "swaptrace info TRACE, or swaptrace info --schema")
    from swaptrace.model.summary import summarize
    from swaptrace.model.trace import Trace
    from swaptrace.render.trace_info import json_info, text_info

    opened = Trace(trace)
    found = summarize(opened)
    print((json_info if json else text_info)(opened, found, owners), end="")
