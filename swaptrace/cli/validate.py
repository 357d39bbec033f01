"""``swaptrace validate``: every invariant of a trace; exit code 1 with the list of what is broken."""

from __future__ import annotations

import typer

from swaptrace.cli.options import Json, TracePath

__all__ = ["register", "validate"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(validate)


def validate(trace: TracePath, json: Json = False) -> None:
    """Check the invariants of a trace.

    Exit code 1 if one is broken; warnings alone are fine.
    """
    from swaptrace.model.invariants import validate as check
    from swaptrace.model.trace import Trace
    from swaptrace.render.findings import json_findings, text_findings

    opened = Trace(trace)
    found = check(opened)
    print((json_findings if json else text_findings)(opened, found), end="")
    if found.violations:
        raise typer.Exit(1)
