"""How a difference depends on prices: both figures at the ends of the ranges, and which price turns the sign.

Rule. One machine prices both reports: a price has the same value on both sides. The delta is taken with every price at
its typical value; with all of them at their low, and all at their high values; and with one of them at its low or high
value, the others typical. The smallest and the largest are its range. A price *turns the sign* if the delta is above
zero with one of its values and below zero with another, the others typical.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from swaptrace.model.cost import CORNERS, PARAMETERS, Price
from swaptrace.model.pricing import Formula, formulas, is_whole
from swaptrace.model.report import Report

__all__ = ["Flip", "PricedPair", "Sides"]

Sides = tuple[float, float]


@dataclass(frozen=True)
class Flip:
    """A price whose range holds values with which the delta has either sign."""

    parameter: str
    price: Price


class PricedPair:
    """Two reports at the same prices, which can be moved. Both must have a basis and the same cost model."""

    def __init__(self, base: Report, test: Report) -> None:
        self._prices = {**base.cost.prices, **test.cost.prices}
        self._sides: tuple[dict[str, Formula], dict[str, Formula]] = (_formulas(base), _formulas(test))

    def has(self, metric: str) -> bool:
        """Return whether both figures of ``metric`` are priced."""
        return all(metric in side and side[metric].parameters <= self._prices.keys() for side in self._sides)

    def at_corners(self, metric: str) -> list[Sides]:
        """Return both figures with all prices low, typical, and high."""
        corners = [{name: getattr(price, corner) for name, price in self._prices.items()} for corner in CORNERS]
        return [self._at(metric, prices) for prices in corners]

    def moved(self, metric: str) -> Iterator[tuple[str, list[Sides]]]:
        """Yield, for each price that either figure depends on, both figures with it low and high, others typical."""
        typical = {name: price.typical for name, price in self._prices.items()}
        acting = self._sides[0][metric].parameters | self._sides[1][metric].parameters
        for name in sorted(acting, key=list(PARAMETERS).index):
            price = self._prices[name]
            yield name, [self._at(metric, typical | {name: value}) for value in (price.low, price.high)]

    def flips(self, metric: str) -> tuple[Flip, ...]:
        """Return the prices that turn the sign of the delta of ``metric``."""
        middle = self.at_corners(metric)[1]
        return tuple(
            Flip(name, self._prices[name])
            for name, ends in self.moved(metric)
            if min(signs := [_sign(pair) for pair in (*ends, middle)]) < 0 < max(signs)
        )

    def _at(self, metric: str, prices: dict[str, float]) -> Sides:
        base, test = (side[metric].at(prices) for side in self._sides)
        return base, test


def _formulas(report: Report) -> dict[str, Formula]:
    return {formula.name: formula for formula in formulas(report, is_whole(report))}


def _sign(sides: Sides) -> int:
    base, test = sides
    return (test > base) - (test < base)
