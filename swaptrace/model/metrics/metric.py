"""What a figure is: its name, unit, good direction, kind and definition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EXACT", "HIGHER", "LOWER", "MODELLED", "NEITHER", "Better", "Metric", "MetricKind"]

_PRICED = ("indirection.ns", "cost.")


class Better(StrEnum):
    """Which direction is good."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class MetricKind(StrEnum):
    """How a figure came to be."""

    EXACT = "exact"
    MODELLED = "modelled"
    MEASURED = "measured"


@dataclass(frozen=True)
class Metric:
    """One figure and its definition."""

    name: str
    unit: str
    better: Better
    kind: MetricKind
    doc: str

    @property
    def priced(self) -> bool:
        """Whether its value is a price: a cost model and exact counts give it, after the replay."""
        return self.name.startswith(_PRICED)


LOWER, HIGHER, NEITHER = Better.LOWER, Better.HIGHER, Better.NEITHER
EXACT, MODELLED = MetricKind.EXACT, MetricKind.MODELLED
