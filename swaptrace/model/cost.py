"""What walks and cache lines cost: a named preset of low, typical and high values, each with its source.

Prices are applied after the replay, to its exact counts: a report can be priced again without replaying.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["CostModel", "Price"]


@dataclass(frozen=True)
class Price:
    """One parameter: its low, typical and high value in ns, and where they come from."""

    low: float
    typical: float
    high: float
    source: str


@dataclass(frozen=True)
class CostModel:
    """Prices of the indirection. ``line``: a dependent cache line; ``walk``: a table walk whose lines are hot."""

    preset: str
    sha256: str
    line: Price
    walk: Price

    @staticmethod
    def load(preset: str = "neutral") -> CostModel:
        """Return a built-in preset (a TOML file in ``swaptrace/model/presets``)."""
        text = (files("swaptrace.model") / "presets" / f"{preset}.toml").read_bytes()
        values = tomllib.loads(text.decode())
        return CostModel(
            preset, hashlib.sha256(text).hexdigest(), Price(**values["line_ns"]), Price(**values["walk_ns"])
        )

    def ns(self, walks: float, lines: float) -> tuple[float, float, float]:
        """Return the low, typical and high price in ns of ``walks`` table walks that touch ``lines`` lines."""
        return (
            walks * self.walk.low + lines * self.line.low,
            walks * self.walk.typical + lines * self.line.typical,
            walks * self.walk.high + lines * self.line.high,
        )
