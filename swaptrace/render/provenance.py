"""What stands above and below every table: provenance, warnings, how to reproduce it."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence

from swaptrace.compare.diff import Row, Verdict
from swaptrace.compare.prices import Flip
from swaptrace.model.cost_files import NEUTRAL
from swaptrace.model.report import CostUsed, Report
from swaptrace.model.units import format_count, format_seconds
from swaptrace.render.cells import INFERRED

__all__ = ["MAIL_WIDTH", "entry", "footnotes", "header", "names", "reproduce", "reproduce_command"]

MAIL_WIDTH = 72
_KEY = 8  # columns of the keys on the left


def names(count: int) -> list[str]:
    """Return the keys of ``count`` policies: base, test, or base, test1, test2 and so on."""
    if count == 1:
        return ["policy"]
    return ["base", "test"] if count == 2 else ["base", *(f"test{i}" for i in range(1, count))]


def header(reports: Sequence[Report], notes: Sequence[str] = (), width: int = MAIL_WIDTH) -> list[str]:
    """Return the lines above a table of ``reports`` (one trace), none wider than ``width``.

    ``notes`` are warnings of the comparison; those of the reports, lost and skipped events are added.
    """
    trace = reports[0].trace
    lines = [
        *entry("trace", f"{trace.name}  sha256:{trace.sha256[:8]}", width),
        *entry(
            "",
            f"{format_count(trace.events)} events, {format_seconds(trace.span_ns)}, {_origin(reports[0])}",
            width,
        ),
    ]
    for key, report in zip(names(len(reports)), reports, strict=True):
        policy = report.policy
        lines += entry(key, policy.name, width)
        made_of = policy.brief or policy.spec
        if made_of != policy.name:
            lines += entry("", f"= {made_of}", width)
    costs = dict.fromkeys(_cost(report.cost) for report in reports)
    lines += entry("cost", " and ".join(costs), width)
    tool = reports[0].tool
    lines += entry("tool", f"{tool.name} {tool.version}, engine {tool.engine}, seed {reports[0].seed}", width)
    for text in _warnings(reports, notes):
        lines += entry("warning", text, width)
    return lines


def _cost(cost: CostUsed) -> str:
    """Return preset, digest and every value that overrides one of the preset's."""
    changes = "".join(f"  {name}={text}" for name, text in cost.overrides.items())
    return f"{cost.preset}  sha256:{cost.sha256[:8]}{changes}"


def _origin(report: Report) -> str:
    trace = report.trace
    return f"kernel {trace.kernel or 'unknown'}, {trace.recorder or 'unknown recorder'}"


def _warnings(reports: Sequence[Report], notes: Sequence[str]) -> list[str]:
    """Return each warning once; one that not all reports share names its policy."""
    out = list(notes)
    trace = reports[0].trace
    if trace.lost:
        out.append(f"{format_count(trace.lost)} events were lost while recording; the figures lack them")
    if trace.skipped:
        out.append(f"{format_count(trace.skipped)} of {format_count(trace.events)} events were skipped")
    seen: dict[str, list[str]] = {}
    for key, report in zip(names(len(reports)), reports, strict=True):
        for text in report.warnings:
            seen.setdefault(text, []).append(key)
    for text, keys in seen.items():
        out.append(text if len(keys) == len(reports) else f"{', '.join(keys)}: {text}")
    return out


def entry(key: str, text: str, width: int) -> list[str]:
    """Return ``key  text``, continued below: broken at spaces, in a spec after ``+`` or ``,``, in a longer word
    anywhere."""
    breakable = re.sub(r"([+,])(?=[a-z_])", "\\1\x00", text)  # textwrap breaks at spaces only: mark the other places
    room = width - _KEY
    lines: list[str] = []
    for word in breakable.split(" "):
        parts = word.split("\x00")
        for i, part in enumerate(parts):
            gap = " " if i == 0 and lines else ""
            if lines and len(lines[-1]) + len(gap) + len(part) <= room:
                lines[-1] += gap + part
            else:
                lines += [part[at : at + room] for at in range(0, max(len(part), 1), room)]
    return [f"{key if i == 0 else '':<{_KEY}}{line}".rstrip() for i, line in enumerate(lines)]


def footnotes(
    texts: Sequence[str], reports: Sequence[Report], width: int = MAIL_WIDTH, rows: Sequence[Row] = ()
) -> list[str]:
    """Return the legend of the marks that really occur in ``texts`` (the lines of the tables of ``rows``)."""
    body = "\n".join(texts)
    out: list[str] = []
    if re.search(r" !(?=\s|$)", body):
        out.append("! : worse than the base")
    if re.search(r" ~(?=\s|$)", body):
        out += _unclear(rows)
    if re.search(rf"\w\)? \{INFERRED}(?=\s|$)", body):
        counts = sorted({int(report.value("trace.inferred_frees") or 0) for report in reports})
        when = reports[0].options.get("free_inference", "latest")
        count = " or ".join(format_count(n) for n in counts)
        out.append(
            f"{INFERRED} : depends on {count} slot frees that no event showed, placed at the {when} possible moment"
        )
    return [line for text in out for line in textwrap.wrap(text, width, subsequent_indent="    ")]


def _unclear(rows: Sequence[Row]) -> list[str]:
    """Return what turns the sign of the rows marked ``~``: one line, or one for each set of parameters."""
    causes: dict[tuple[Flip, ...], dict[str, None]] = {}
    for row in rows:
        if row.verdict is Verdict.UNCLEAR:
            causes.setdefault(row.flips, {})[row.metric] = None
    lines = []
    for flips, metrics in causes.items():
        names = "" if len(causes) == 1 else f"{', '.join(metrics)}: "
        one = "parameter" if len(flips) == 1 else "parameters"
        each = ", ".join(f"{flip.parameter} ({_extent(flip)})" for flip in flips)
        several = "s within their ranges" if len(causes) == 1 else "s within their ranges, several at once"
        lines.append(f"~ : {names}the sign depends on cost " + (f"{one} {each}" if flips else f"parameter{several}"))
    return lines or ["~ : the sign depends on cost parameters within their ranges"]


def _extent(flip: Flip) -> str:
    """Return the range of a price as ``30..80 us``."""
    low, high = flip.price.low, flip.price.high
    if not flip.parameter.endswith("_ns"):
        return f"{low:g}..{high:g}"
    unit, size = next(((unit, size) for unit, size in (("ms", 1e6), ("us", 1e3)) if high >= 10 * size), ("ns", 1))
    return f"{low / size:g}..{high / size:g} {unit}"


def reproduce_command(reports: Sequence[Report], trace: str = "", extra: Sequence[str] = ()) -> list[str]:
    """Return the arguments that make this table again: ``replay`` for one report, else ``diff``.

    ``trace`` is the path as the user typed it; without it the name inside the report stands.
    """
    args = ["swaptrace", "diff" if len(reports) > 1 else "replay", trace or reports[0].trace.name]
    for report in reports:
        args += ["-p", report.policy.name]
    if reports[0].options.get("free_inference", "latest") != "latest":
        args += ["--free-inference", reports[0].options["free_inference"]]
    cost = reports[0].cost
    if cost.preset != NEUTRAL:
        args += ["--cost", cost.preset]
    for name, value in cost.overrides.items():
        args += ["--cost-set", f"{name}={value}"]
    for option in ("at", "memcg"):
        if option in reports[0].options:
            args += [f"--{option}", reports[0].options[option]]
    return [*args, *extra]


def reproduce(args: Sequence[str], width: int = MAIL_WIDTH) -> list[str]:
    """Return ``reproduce: COMMAND``, continued with backslashes; it pastes into a shell."""
    one = "reproduce: " + shlex.join(args)
    if len(one) <= width:
        return [one]
    lines = ["reproduce:", "  " + shlex.join(args[:2])]
    words = list(args[2:])
    while words:
        take = 2 if words[0].startswith("-") and len(words) > 1 and not words[1].startswith("-") else 1
        first, *rest = _pieces(words[take - 1], width - 6)
        head = " ".join([*words[: take - 1], first])
        words = words[take:]
        if len(lines[-1]) + 1 + len(head) <= width - 2 and not rest:
            lines[-1] += " " + head
            continue
        lines[-1] += " \\"
        lines += ["    " + head, *rest]
        for at in range(len(lines) - 1 - len(rest), len(lines) - 1):
            lines[at] += "\\"  # at the end of a piece it joins the next line to it seamlessly
    return lines


def _pieces(word: str, room: int) -> list[str]:
    """Return ``word`` quoted for a shell, in pieces of at most ``room`` columns: cut after ``,+/`` where possible."""
    pieces = []
    while len(shlex.quote(word)) > room - 4:
        fits = max(n for n in range(1, len(word)) if len(shlex.quote(word[:n])) <= room - 4)
        cut = max(word.rfind(mark, 1, fits) for mark in ",+/") + 1 or fits
        pieces.append(shlex.quote(word[:cut]))
        word = word[cut:]
    return [*pieces, shlex.quote(word)]
