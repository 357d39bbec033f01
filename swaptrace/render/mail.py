"""Tables for a mail to a kernel list: plain ASCII, at most 72 columns, no number wrapped or elided.

Exact and modelled figures stand in blocks of their own, so that no column is spent on saying which is
which. Label and base value share one width: a long name borrows from a short value.
"""

from __future__ import annotations

from collections.abc import Sequence

from swaptrace.compare.diff import Diff, Row
from swaptrace.compare.select import metric_names
from swaptrace.model.report import Report
from swaptrace.render.cells import Cells, figure_cells, row_cells
from swaptrace.render.provenance import MAIL_WIDTH, footnotes, header, names, reproduce, reproduce_command

__all__ = ["mail_diff", "mail_report"]

_KINDS = ("exact", "modelled", "measured")


def mail_diff(diffs: Sequence[Diff], *, trace: str = "") -> str:
    """Return the mail text of one base against one or more tests: one pair of blocks for each test."""
    reports = [diffs[0].base, *(each.test for each in diffs)]
    notes = list(dict.fromkeys(note for each in diffs for note in each.notes))
    lines = header(reports, notes)
    keys = names(len(reports))
    body: list[str] = []
    for key, each in zip(keys[1:], diffs, strict=True):
        cells = [row_cells([row]) for row in each.rows if row.base is not None or row.test is not None]
        body += _blocks(cells, ["base", key, "delta", ""])
    rows = [row for each in diffs for row in each.rows]
    return _page(lines, body, reports, reproduce_command(reports, trace), rows)


def mail_report(report: Report, patterns: Sequence[str] = (), *, trace: str = "") -> str:
    """Return the mail text of one report."""
    cells = [figure_cells(name, [report]) for name in metric_names([report], patterns)]
    return _page(header([report]), _blocks(cells, ["value"]), [report], reproduce_command([report], trace))


def _page(
    lines: list[str], body: list[str], reports: Sequence[Report], args: Sequence[str], rows: Sequence[Row] = ()
) -> str:
    notes = footnotes(body, reports, rows=rows)
    tail = ["", *notes] if notes else []
    text = "\n".join([*lines, *body, *tail, "", *reproduce(args)]) + "\n"
    return text.encode("ascii", "backslashreplace").decode()


def _blocks(cells: Sequence[Cells], heads: Sequence[str]) -> list[str]:
    """Return one block of lines for each kind of figure that occurs, each after an empty line."""
    lines: list[str] = []
    for kind in _KINDS:
        rows = [_Line(c.label, (*c.values, *c.deltas, *c.marks), "".join(c.ranges)) for c in cells if c.kind == kind]
        if rows:
            lines += [
                "",
                *_block(_Line(kind, tuple(heads), "range" if any(row.range for row in rows) else ""), rows),
            ]
    return lines


class _Line:
    """One line before layout: label, right-aligned columns, and the range at the end."""

    def __init__(self, label: str, columns: tuple[str, ...], range_: str) -> None:
        self.label = label
        self.columns = columns
        self.range = range_


def _block(head: _Line, rows: Sequence[_Line]) -> list[str]:
    lines = [head, *rows]
    widths = [max(len(line.columns[i]) for line in lines) for i in range(len(head.columns))]
    rest = sum(width + 2 for width in widths[1:])
    last = max(len(line.range) for line in lines)
    left = max(len(line.label) + 1 + len(line.columns[0]) for line in lines)
    ranges = last + 1 if last else 0
    inline = left + rest + ranges <= MAIL_WIDTH  # otherwise ranges stand below their rows
    room = min(left + 1, MAIL_WIDTH - rest - (ranges if inline else 0))
    out: list[str] = []
    for line in lines:
        numbers = "".join(f"  {text:>{width}}" for text, width in zip(line.columns[1:], widths[1:], strict=True))
        gap = room - len(line.label) - len(line.columns[0])
        if gap < 1:  # a name too long for its line keeps it for itself
            out.append(line.label)
            text = f"{line.columns[0]:>{room}}{numbers}"
        else:
            text = f"{line.label}{' ' * gap}{line.columns[0]}{numbers}"
        if line.range and inline:
            out.append(f"{text} {line.range:>{last}}".rstrip())
        else:
            out.append(text.rstrip())
            if line.range and line is not head:
                out.append(f"{line.range:>{room + rest}}")
    return out
