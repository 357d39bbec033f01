"""``swaptrace schema``: the columns of a trace, the JSON Schema of a report."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from swaptrace.cli.options import Json

__all__ = ["Which", "register", "schema"]


class Which(StrEnum):
    """What can be described."""

    EVENTS = "events"
    REPORT = "report"
    METRICS = "metrics"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(schema)


def schema(
    which: Annotated[Which, typer.Argument(help="What to describe.")] = Which.EVENTS, json: Json = False
) -> None:
    """Print the published tables.

    The columns of a trace, the JSON Schema of a report, or the definitions of all metrics.
    """
    from swaptrace.render.schema import json_columns, json_metrics, report_schema, text_columns, text_metrics

    if which is Which.REPORT:
        text = report_schema()
    elif which is Which.METRICS:
        text = json_metrics() if json else text_metrics()
    else:
        text = json_columns() if json else text_columns()
    print(text, end="")
