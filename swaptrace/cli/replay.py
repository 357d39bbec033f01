"""``swaptrace replay``: trace x policies -> reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swaptrace.cli.options import (
    At,
    Cost,
    CostSet,
    Format,
    FreeInference,
    Jobs,
    Memcg,
    Metrics,
    Policies,
    Quiet,
    cost_model,
)

if TYPE_CHECKING:
    from swaptrace.model.report import Report
    from swaptrace.model.trace import Trace

__all__ = ["register", "replay"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(replay)


def replay(
    traces: Annotated[list[Path], typer.Argument(metavar="TRACE", readable=False, help="One or more traces.")],
    *,
    policies: Policies = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", readable=False, help="Write a report file for each trace and policy."
        ),
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TEXT,
    metrics: Metrics = None,
    cost: Cost = None,
    cost_set: CostSet = None,
    free_inference: Annotated[
        FreeInference, typer.Option(help="Where to place a slot free that no event showed.")
    ] = FreeInference.LATEST,
    at: At = None,
    memcg: Memcg = None,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Replay traces onto policies, print the figures.

    Counts are exact; times are priced by a cost model.
    """
    from swaptrace.cli.run_policies import open_traces, replay_all, resolve_all
    from swaptrace.compare.select import metric_names
    from swaptrace.model.errors import UsageError
    from swaptrace.model.files import check_folder

    if not policies:
        raise UsageError("no policy given.", "", "Name one with -p; see them with: swaptrace policies list")
    resolved = resolve_all(policies)
    prices = cost_model(cost, cost_set)
    if output is not None:
        check_folder(output)  # before the replay, not after it
    opened = open_traces(traces)
    _refuse_twins(opened, output)
    metric_names([], metrics or [])  # a misspelt pattern is found before the replay, not after it
    for trace in opened:
        reports = replay_all(
            trace,
            resolved,
            free_inference=free_inference.value,
            at=at,
            memcg=memcg,
            cost=prices,
            quiet=quiet,
            jobs=jobs,
        )
        if output is not None:
            _write(reports, trace.path, output, quiet)
        _print(reports, style, metrics or [], str(trace.path), last=trace is opened[-1])


def _refuse_twins(traces: list[Trace], folder: Path | None) -> None:
    """Raise :class:`UsageError` if two traces are the same, or would write the same report files."""
    from swaptrace.model.errors import UsageError

    for i, trace in enumerate(traces):
        for other in traces[:i]:
            if trace.meta.digest and trace.meta.digest == other.meta.digest:
                raise UsageError(
                    f"{other.path} and {trace.path} are the same trace.", "Replay is exact.", "Name it once."
                )
            if folder is not None and trace.path.stem == other.path.stem:
                raise UsageError(
                    f"{other.path} and {trace.path} have the same name.",
                    f"Both would write {folder}/{trace.path.stem}.POLICY.json.",
                    "Rename one, or replay them one after the other with a folder for each.",
                )


def _write(reports: list[Report], trace: Path, folder: Path, quiet: bool) -> None:
    from swaptrace.model.files import write_atomically
    from swaptrace.render.files import report_paths
    from swaptrace.render.text import text_reports

    for report, path in zip(reports, report_paths(reports, trace, folder), strict=True):
        write_atomically(path, report.to_json())
        write_atomically(path.with_suffix(".txt"), text_reports([report], trace=str(trace)))
        if not quiet:
            print(f"wrote {path} and .txt", file=sys.stderr)


def _print(reports: list[Report], style: Format, metrics: list[str], trace: str, last: bool) -> None:
    from swaptrace.render.document import json_reports
    from swaptrace.render.mail import mail_diff, mail_report
    from swaptrace.render.text import text_reports

    if style is Format.JSON:
        text = json_reports(reports, metrics)
    elif style is Format.TEXT:
        text = text_reports(reports, metrics, trace=trace)
    elif len(reports) == 1:
        text = mail_report(reports[0], metrics, trace=trace)
    else:
        from swaptrace.compare.diff import compare

        text = mail_diff(compare(reports[0], reports[1:], metrics), trace=trace)
    print(text, end="" if last or style is Format.JSON else "\n\n")
