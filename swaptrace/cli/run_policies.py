"""Trace x policies -> reports, and reports -> the same at other prices: for ``replay``, ``diff`` and ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swaptrace.cli.options import command_line, progress

if TYPE_CHECKING:
    from swaptrace.model.cost import CostModel
    from swaptrace.model.report import Report
    from swaptrace.model.trace import Trace
    from swaptrace.policies.policy import Policy

__all__ = ["open_traces", "replay_all", "repriced", "resolve_all"]


def resolve_all(specs: Sequence[str]) -> list[Policy]:
    """Return the policies that ``specs`` name; raises :class:`UsageError` before anything is read."""
    from swaptrace.model.errors import UsageError
    from swaptrace.policies.registry import resolve

    twice = {spec for spec in specs if list(specs).count(spec) > 1}
    if twice:
        raise UsageError(f"policy {min(twice)!r} is given twice.", "Its reports would be equal: replay is exact.")
    return [resolve(spec) for spec in specs]


def open_traces(paths: Sequence[Path]) -> list[Trace]:
    """Open every trace: a damaged last one should not cost the replay of the others."""
    from swaptrace.model.trace import Trace

    return [Trace(path) for path in paths]


def replay_all(
    trace: Trace,
    policies: Sequence[Policy],
    *,
    free_inference: str,
    at: str | None = None,
    memcg: int | None = None,
    cost: CostModel | None = None,
    quiet: bool,
    jobs: int = 0,
) -> list[Report]:
    """Replay ``trace`` onto ``policies`` with a progress bar and return their reports, in that order."""
    from swaptrace.replay.engine import replay

    with progress(trace.rows, trace.path.name, quiet) as update:
        return replay(
            trace,
            policies,
            free_inference=free_inference,
            at=at,
            memcg=memcg,
            cost=cost,
            command=command_line(),
            jobs=jobs,
            progress=update,
        )


def repriced(reports: Sequence[Report], cost: CostModel | None) -> list[Report]:
    """Return ``reports`` at the prices of ``cost``; as they are if that is None."""
    from swaptrace.model.pricing import reprice

    return list(reports) if cost is None else [reprice(report, cost) for report in reports]
