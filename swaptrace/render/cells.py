"""The cells of one row: label, values, deltas, ranges. Every table of figures is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swaptrace.compare.diff import Row, Verdict
from swaptrace.model.report import Figure, Report
from swaptrace.render.numbers import bound, percent, scale_of

__all__ = ["INFERRED", "WORSE", "Cells", "delta_cell", "figure_cells", "range_cell", "row_cells"]

INFERRED = "*"  # after the name of a figure that depends on when an unseen free happened
WORSE = "!"  # after a delta in the metric's bad direction


@dataclass(frozen=True)
class Cells:
    """One row: ``values`` base first; one of ``deltas``, ``marks``, ``ranges`` per further value."""

    label: str
    kind: str
    values: tuple[str, ...]
    deltas: tuple[str, ...]
    marks: tuple[str, ...]
    ranges: tuple[str, ...]


def delta_cell(row: Row) -> str:
    """Return the delta: a percentage, ``=`` for equal, ``~`` for an open sign, ``n/a`` without a ratio."""
    if row.verdict is Verdict.SAME:
        return "="
    if row.verdict is Verdict.UNCLEAR:
        return "~"
    return "n/a" if row.relative is None else percent(row.relative)


def range_cell(row: Row) -> str:
    """Return the range of a modelled delta as ``[-0.8%,+3.2%]``, or nothing: unknown, or equal at all costs."""
    if row.low is None or row.high is None or row.low == row.high == 0:
        return ""
    return f"[{bound(row.low)},{bound(row.high)}]"


def row_cells(rows: Sequence[Row]) -> Cells:
    """Return the cells of one metric of a base and its tests (one row for each test)."""
    first = rows[0]
    values = [first.base, *(row.test for row in rows)]
    shown = [None if figure is None else figure.value for figure in values]
    scale = scale_of(first.unit, shown)
    return Cells(
        _label(first.metric, scale.unit, any(row.inferred for row in rows)),
        str(first.kind),
        tuple(scale.cell(value) for value in shown),
        tuple(delta_cell(row) for row in rows),
        tuple(WORSE if row.verdict is Verdict.WORSE else "" for row in rows),
        tuple(range_cell(row) for row in rows),
    )


def figure_cells(name: str, reports: Sequence[Report]) -> Cells:
    """Return the cells of one metric of reports side by side; ``ranges`` hold low..high."""
    figures = [report.metrics.get(name) for report in reports]
    present = [figure for figure in figures if figure is not None]
    shown = [None if figure is None else figure.value for figure in figures]
    scale = scale_of(present[0].unit, shown)

    def bounds(figure: Figure | None) -> str:
        if figure is None or figure.low is None or figure.high is None or figure.low == figure.high:
            return ""
        return f"{scale.cell(figure.low)}..{scale.cell(figure.high)}"

    label = _label(name, scale.unit, any(figure.inferred for figure in present))
    values = tuple(scale.cell(value) for value in shown)
    return Cells(label, str(present[0].kind), values, (), (), tuple(bounds(figure) for figure in figures))


def _label(name: str, unit: str, inferred: bool) -> str:
    return name + (f" ({unit})" if unit else "") + (f" {INFERRED}" if inferred else "")
