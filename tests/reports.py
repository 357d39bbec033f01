"""Reports made by hand, for tests of what compares and prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swaptrace.model.report import CostUsed, Figure, PolicyUsed, Report, ToolUsed, TraceUsed, figure

__all__ = ["ranged", "report"]

_TRACE: dict[str, Any] = {
    "name": "launch.parquet",
    "sha256": "8c1f2a90" * 8,
    "events": 1_204_331,
    "replayed": 1_204_331,
    "skipped": 0,
    "lost": 0,
    "span_ns": 92_000_000_000,
    "kernel": "6.18.44",
    "recorder": "tracefs",
    "capabilities": {"SLOT": "observed"},
}


def ranged(name: str, low: float, value: float, high: float) -> Figure:
    """A modelled figure with its range."""
    return figure(name, value, low, high)


def report(
    policy: str = "swap-table",
    metrics: Mapping[str, float | int | Figure] | None = None,
    *,
    cost: str = "neutral",
    warnings: tuple[str, ...] = (),
    options: Mapping[str, str] | None = None,
    **trace: Any,
) -> Report:
    """A report of ``policy`` with the given figures; ``trace`` overrides fields of the trace."""
    figures = {
        name: value if isinstance(value, Figure) else figure(name, value) for name, value in (metrics or {}).items()
    }
    return Report(
        tool=ToolUsed("swaptrace", "0.1.0", "3.11.7", "2.4.6", "numpy"),
        command=f"swaptrace replay launch.parquet -p {policy}",
        trace=TraceUsed(**{**_TRACE, **trace}),
        policy=PolicyUsed(policy, policy, policy.partition("+")[0], (), {}),
        cost=CostUsed(cost, cost.encode().hex().ljust(64, "0")),
        metrics=figures,
        options=dict(options or {}),
        warnings=warnings,
    )
