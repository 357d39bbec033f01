"""Tables for a terminal: one column for each policy, base first; tabulate aligns and never elides a digit."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from swaptrace.compare.diff import Diff, Row
from swaptrace.compare.select import metric_names
from swaptrace.model.report import Report
from swaptrace.render.cells import figure_cells, row_cells
from swaptrace.render.provenance import footnotes, header, names, reproduce, reproduce_command

__all__ = ["table", "text_diff", "text_reports"]

_WIDTH = 100  # of the lines around the table; the table itself is as wide as its numbers
_HEAD = 14  # a policy's own name heads its column up to this length, its key (base, test) beyond


def table(
    rows: Sequence[Sequence[str]], heads: Sequence[str], left: Sequence[int] = (0,), wrap: int | None = None
) -> list[str]:
    """Return the lines of a plain table; columns in ``left`` are left-aligned, the others right-aligned.

    ``wrap`` is the width at which words in the last column go on below; without it nothing is wrapped.
    """
    align = ["left" if i in left else "right" for i in range(len(heads))]
    text = tabulate(
        rows,
        headers=list(heads),
        tablefmt="plain",
        colalign=align if rows else None,
        disable_numparse=True,
        maxcolwidths=None if wrap is None or not rows else [*[None] * (len(heads) - 1), wrap],
    )
    return [line.rstrip() for line in text.splitlines()]


def _heads(reports: Sequence[Report]) -> list[str]:
    keys = names(len(reports))
    own = [report.policy.name for report in reports]
    return own if max(map(len, own)) <= _HEAD and len(set(own)) == len(own) else keys


def text_diff(diffs: Sequence[Diff], *, trace: str = "") -> str:
    """Return the terminal text of one base against one or more tests, one table with all of them."""
    reports = [diffs[0].base, *(each.test for each in diffs)]
    notes = list(dict.fromkeys(note for each in diffs for note in each.notes))
    heads = _heads(reports)
    rows: list[list[str]] = []
    for found in zip(*(each.rows for each in diffs), strict=True):
        cells = row_cells(found)
        pairs = [text for triple in zip(cells.values[1:], cells.deltas, cells.marks, strict=True) for text in triple]
        ranges = " ".join(text or "-" for text in cells.ranges) if any(cells.ranges) else ""
        rows.append([cells.label, cells.values[0], *pairs, f"{cells.kind} {ranges}".rstrip()])
    columns = ["metric", heads[0], *(text for head in heads[1:] for text in (head, "delta", "")), "kind"]
    body = table(rows, columns, left=(0, len(columns) - 1))
    return _page(reports, notes, body, trace, [row for each in diffs for row in each.rows])


def text_reports(reports: Sequence[Report], patterns: Sequence[str] = (), *, trace: str = "") -> str:
    """Return the terminal text of reports of one trace, side by side, without deltas."""
    rows = []
    for name in metric_names(reports, patterns):
        cells = figure_cells(name, reports)
        ranges = " ".join(text or "-" for text in cells.ranges) if any(cells.ranges) else ""
        rows.append([cells.label, *cells.values, f"{cells.kind} {ranges}".rstrip()])
    heads = ["value"] if len(reports) == 1 else _heads(reports)
    body = table(rows, ["metric", *heads, "kind"], left=(0, len(heads) + 1))
    return _page(reports, [], body, trace)


def _page(
    reports: Sequence[Report], notes: Sequence[str], body: list[str], trace: str, shown: Sequence[Row] = ()
) -> str:
    legend = footnotes(body, reports, _WIDTH, shown)
    tail = ["", *legend] if legend else []
    lines = [
        *header(reports, notes, _WIDTH),
        "",
        *body,
        *tail,
        "",
        *reproduce(reproduce_command(reports, trace), _WIDTH),
    ]
    return "\n".join(lines) + "\n"
