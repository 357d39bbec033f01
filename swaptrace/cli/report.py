"""``swaptrace report``: print saved reports again, in another format, with other metrics or at other prices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swaptrace.cli.options import Cost, CostSet, Format, Metrics, cost_model

if TYPE_CHECKING:
    from swaptrace.model.report import Report

__all__ = ["register", "report"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(report)


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", readable=False, help="Report files of swaptrace replay -o.")
    ],
    style: Annotated[Format, typer.Option("--format", help="How to print them.")] = Format.TEXT,
    metrics: Metrics = None,
    cost: Cost = None,
    cost_set: CostSet = None,
) -> None:
    """Print saved reports, or price them anew.

    Those of one trace stand side by side. With --cost the modelled figures are what a replay with these prices gives:
    nothing is replayed.
    """
    from swaptrace.cli.run_policies import repriced
    from swaptrace.model.report import Report
    from swaptrace.render.document import json_reports
    from swaptrace.render.mail import mail_report
    from swaptrace.render.text import text_reports

    loaded = repriced([Report.load(path) for path in runs], cost_model(cost, cost_set))
    patterns = metrics or []
    if style is Format.JSON:
        print(json_reports(loaded, patterns), end="")
    elif style is Format.MAIL:
        print("\n\n".join(mail_report(one, patterns) for one in loaded), end="")
    else:
        print("\n\n".join(text_reports(group, patterns) for group in _by_trace(loaded)), end="")


def _by_trace(reports: list[Report]) -> list[list[Report]]:
    groups: dict[str, list[Report]] = {}
    for one in reports:
        groups.setdefault(one.trace.sha256, []).append(one)
    return list(groups.values())
