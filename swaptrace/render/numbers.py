"""Numbers as people read them: four significant digits, a unit per row, no exponents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swaptrace.model.units import significant

__all__ = ["Scale", "bound", "number", "percent", "scale_of"]

_BYTES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1))
_TIMES = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))
_YEARS = (("years", 1), ("days", 1 / 365.25), ("hours", 1 / 8766), ("minutes", 1 / 525960))


@dataclass(frozen=True)
class Scale:
    """How one row is shown: its unit (empty for plain numbers) and what a value is divided by."""

    unit: str
    divisor: float = 1

    def cell(self, value: float | int | None) -> str:
        """Return ``value`` in this unit, or ``n/a``."""
        if value is None:
            return "n/a"
        return number(value) if self.divisor == 1 else number(value / self.divisor)


def scale_of(unit: str, values: Iterable[float | int | None]) -> Scale:
    """Return the scale that keeps every value of a row readable: the largest unit of the largest value.

    A unit in which the smallest value would begin with zeros after the point gives way to a smaller one.
    """
    steps = {"B": _BYTES, "ns": _TIMES, "y": _YEARS}.get(unit)
    if steps is None:
        return Scale("" if unit == "1" else unit)
    sizes = sorted(abs(value) for value in values if value)
    for name, divisor in steps:
        if sizes and sizes[-1] >= divisor and sizes[0] >= divisor / 100:
            return Scale(name, divisor)
    return Scale(unit)


def number(value: float | int) -> str:
    """Return a count in full, any other number with four significant digits; thousands separated.

    >>> number(1204331), number(1.98213), number(0.0), number(12345.678)
    ('1,204,331', '1.982', '0', '12,346')
    """
    if isinstance(value, int):
        return f"{value:,}"
    decimals = len(significant(value).partition(".")[2])
    return f"{value:,.{decimals}f}"


def bound(share: float) -> str:
    """Return an end of a range as a percentage with two or three digits: the range is wide, its ends are not exact.

    >>> bound(0.0317), bound(1.369), bound(-0.224)
    ('+3.2%', '+137%', '-22%')
    """
    return f"{100 * share:+.{1 if abs(share) < 0.1 else 0}f}%" if abs(share) < 1e4 else percent(share)


def percent(share: float) -> str:
    """Return a relative change with its sign: one decimal, more for a tiny one, none for a huge one.

    Beyond 0.01 % and a million percent only the bound is named: the values beside it say the rest.

    >>> percent(0.982), percent(-0.444), percent(0.00012), percent(41.2)
    ('+98.2%', '-44.4%', '+0.012%', '+4,120%')
    >>> percent(-1e-9), percent(1e9)
    ('-<0.01%', '+>1,000,000%')
    """
    size, sign = abs(100 * share), "-" if share < 0 else "+"
    if 0 < size < 0.01:
        return f"{sign}<0.01%"
    if size > 1e6:
        return f"{sign}>1,000,000%"
    if 0 < size < 0.1:
        return f"{sign}{significant(size, 2)}%"
    return f"{100 * share:+,.{1 if size < 1000 else 0}f}%"
