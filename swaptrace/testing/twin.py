"""A report against its twin: a slow and obvious program that counts the same figures, one op at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase

from swaptrace.model.report import Report
from swaptrace.testing.watch import LawBroken

__all__ = ["assert_figures", "countable"]

_NOT_COUNTED = ("trace.", "cost.", "indirection.ns", "write.logical", "write.amplification")
_CLOSE = 1e-12  # of means and ratios: the twin may divide in another order


def countable(report: Report, counted: str = "*") -> dict[str, float]:
    """Return the figures ``counted`` (a glob of names): all but those of the trace, prices, and ratios that follow."""
    return {
        name: figure.value
        for name, figure in report.metrics.items()
        if fnmatchcase(name, counted) and not name.startswith(_NOT_COUNTED) and not name.endswith("_per_event")
    }


def assert_figures(report: Report, expected: Mapping[str, float], counted: str = "*") -> None:
    """Raise an :class:`AssertionError` that names the first figure in which ``report`` differs from its twin.

    The twin counts all figures ``counted`` (a glob) of :func:`countable`, and no others.
    """
    shown = countable(report, counted)
    for name in (*shown, *expected):
        if name not in expected:
            raise LawBroken("twin", f"the twin does not count {name}, which is {shown[name]}")
        if name not in shown:
            raise LawBroken("twin", f"{name} is not in the report; the twin counts {expected[name]}")
        if not math.isclose(shown[name], expected[name], rel_tol=_CLOSE, abs_tol=0):
            raise LawBroken("twin", f"{name} is {shown[name]}; the twin counts {expected[name]}")
