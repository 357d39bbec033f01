"""Which metrics to show: glob patterns over metric names, in the order of the table of metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from swaptrace.model.errors import UsageError, closest
from swaptrace.model.metrics import METRIC_BY_NAME, METRICS
from swaptrace.model.report import Report

__all__ = ["metric_names", "require_metric"]


def _ordered(reports: Iterable[Report]) -> list[str]:
    """Return every known name: METRICS first, then what only a newer report has, sorted."""
    extra = {name for report in reports for name in report.metrics} - METRIC_BY_NAME.keys()
    return [*(metric.name for metric in METRICS), *sorted(extra)]


def require_metric(name: str, reports: Iterable[Report] = ()) -> str:
    """Return ``name`` if it is a metric; raise :class:`UsageError` with the closest match if not."""
    known = _ordered(reports)
    if name not in known:
        raise UsageError(f"unknown metric {name!r}.", closest(name, known), "All of them: swaptrace schema metrics")
    return name


def metric_names(reports: Sequence[Report], patterns: Sequence[str] = ()) -> list[str]:
    """Return the metrics that at least one of ``reports`` has and one of ``patterns`` (all, if empty)
    matches.

    Raises :class:`UsageError` for a pattern that matches no metric at all; one that matches a metric that
    these reports lack selects nothing, silently: the same command line serves every policy.
    """
    known = _ordered(reports)
    wanted: set[str] = set() if patterns else set(known)
    for pattern in patterns:
        found = {name for name in known if fnmatchcase(name, pattern)}
        if not found:
            raise UsageError(
                f"no metric matches {pattern!r}.",
                closest(pattern, known, sorted({f"{name.partition('.')[0]}.*" for name in known})),
                "Patterns are shell globs: 'write.*'",
            )
        wanted |= found
    return [name for name in known if name in wanted and any(name in report.metrics for report in reports)]
