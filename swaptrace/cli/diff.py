"""``swaptrace diff``: two or more reports, or one trace and two or more policies; the first is the base."""

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
    from swaptrace.compare.gate import Gate
    from swaptrace.model.cost import CostModel
    from swaptrace.model.report import Report

__all__ = ["diff", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(diff)


def diff(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT", readable=False, help="Report files, base first; or one trace, with -p BASE -p TEST."
        ),
    ],
    *,
    policies: Policies = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC[:[+|-]N%]",
            help="Exit 1 if the metric moves by more than N %, without a sign in its bad direction.",
        ),
    ] = None,
    metrics: Metrics = None,
    style: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TEXT,
    cost: Cost = None,
    cost_set: CostSet = None,
    free_inference: Annotated[
        FreeInference, typer.Option(help="Where to place a slot free that no event showed.")
    ] = FreeInference.LATEST,
    at: At = None,
    memcg: Memcg = None,
    allow_different_traces: Annotated[
        bool,
        typer.Option("--allow-different-traces", help="Compare reports of different traces all the same."),
    ] = False,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Compare reports, or policies on a trace.

    The first is the base. Figures are exact unless marked modelled. With --cost saved reports are priced anew.
    """
    from swaptrace.compare.diff import compare
    from swaptrace.compare.gate import parse_gate, tripped
    from swaptrace.compare.select import metric_names

    gates: list[Gate] = [parse_gate(text) for text in fail_on or []]
    patterns = metrics or []
    metric_names([], patterns)  # a misspelt pattern is found before the replay, not after it
    if not policies and (at is not None or memcg is not None):
        from swaptrace.model.errors import UsageError

        raise UsageError("--at and --memcg act where a trace is replayed.", "", "Name the trace and -p BASE -p TEST.")
    prices = cost_model(cost, cost_set)
    reports = (
        _replayed(inputs, policies, free_inference, at, memcg, prices, quiet, jobs)
        if policies
        else _loaded(inputs, prices)
    )
    shown = compare(reports[0], reports[1:], patterns, allow_different_traces=allow_different_traces)
    whole = compare(reports[0], reports[1:], allow_different_traces=allow_different_traces) if gates else []
    broken = [line for gate in gates for each in whole if (line := tripped(gate, each))]
    trace = str(inputs[0]) if policies else ""
    if style is Format.JSON:
        import shlex

        from swaptrace.render.document import json_diff
        from swaptrace.render.provenance import reproduce_command

        print(json_diff(shown, broken, shlex.join(reproduce_command(reports, trace))), end="")
    elif style is Format.MAIL:
        from swaptrace.render.mail import mail_diff

        print(mail_diff(shown, trace=trace), end="")
    else:
        from swaptrace.render.text import text_diff

        print(text_diff(shown, trace=trace), end="")
    sys.stdout.flush()  # the table stands before the verdict, also where both go to one file
    for line in broken:
        print(f"swaptrace: {line}", file=sys.stderr)
    if broken:
        raise typer.Exit(1)


def _replayed(
    inputs: list[Path],
    specs: list[str],
    free_inference: FreeInference,
    at: str | None,
    memcg: int | None,
    cost: CostModel | None,
    quiet: bool,
    jobs: int,
) -> list[Report]:
    from swaptrace.cli.run_policies import open_traces, replay_all, resolve_all
    from swaptrace.model.errors import UsageError

    if len(inputs) != 1 or len(specs) < 2:
        raise UsageError(
            f"diff -p compares policies on one trace; given: {len(inputs)} traces, {len(specs)} policies.",
            "The first policy is the base.",
            "swaptrace diff TRACE -p swap-table -p vswap-v6",
        )
    resolved = resolve_all(specs)
    (trace,) = open_traces(inputs)
    return replay_all(
        trace, resolved, free_inference=free_inference.value, at=at, memcg=memcg, cost=cost, quiet=quiet, jobs=jobs
    )


def _loaded(paths: list[Path], cost: CostModel | None) -> list[Report]:
    from swaptrace.cli.run_policies import repriced
    from swaptrace.model.errors import UsageError
    from swaptrace.model.report import Report

    if len(paths) < 2:
        raise UsageError(
            "diff needs two things to compare.",
            "Two report files, or one trace and two policies.",
            f"swaptrace diff {paths[0]} -p swap-table -p vswap-v6",
        )
    return repriced([Report.load(path) for path in paths], cost)
