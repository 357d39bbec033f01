"""Report x report -> rows: what the test policy changes against the base, and whether that is better or
worse.

Rules. Replay counts are exact, so two exact figures differ or are equal: there is no noise to allow for. A
modelled figure carries the range of its cost parameters (``low`` .. ``high``). Where both sides have one and
were priced alike, the relative delta is taken at several prices that are the same on both sides, because one
machine prices both (:mod:`swaptrace.compare.prices`; without the basis of both reports only with all prices
low, typical and high); the smallest and the largest are the range of the delta. If the reports were priced by
different parameters that pairing has no meaning, and the range is the widest possible: ``test.low /
base.high`` to ``test.high / base.low``. A range with zero inside it leaves the sign open; ``flips`` are the
parameters that turn it by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from swaptrace.compare.prices import Flip, PricedPair, Sides
from swaptrace.compare.select import metric_names
from swaptrace.model.errors import InputError
from swaptrace.model.metrics import Better, MetricKind
from swaptrace.model.report import CostUsed, Figure, Report

__all__ = ["Diff", "Row", "Verdict", "compare", "cost_text", "diff"]


class Verdict(StrEnum):
    """What a row says about the test policy."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    CHANGED = "changed"  # different, where neither direction is good
    UNCLEAR = "unclear"  # the sign depends on cost parameters within their ranges
    ABSENT = "absent"  # one side has no such figure


@dataclass(frozen=True)
class Row:
    """One metric of both reports. ``relative`` is delta / base, None where the base is zero or a side is
    absent.

    ``low`` and ``high`` bound ``relative`` of a modelled figure; ``inferred`` is true where either value
    depends on when an unseen free happened.
    """

    metric: str
    unit: str
    better: Better
    kind: MetricKind
    base: Figure | None
    test: Figure | None
    delta: float | int | None
    relative: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    inferred: bool
    flips: tuple[Flip, ...] = ()  # of an unclear one: the cost parameters that turn its sign by themselves


@dataclass(frozen=True)
class Diff:
    """All rows of a pair of reports; ``notes`` say what else differs between them and can move figures."""

    base: Report
    test: Report
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def diff(base: Report, test: Report, patterns: Sequence[str] = (), *, allow_different_traces: bool = False) -> Diff:
    """Compare ``test`` with ``base``: :func:`compare` with one test."""
    return compare(base, [test], patterns, allow_different_traces=allow_different_traces)[0]


def compare(
    base: Report,
    tests: Sequence[Report],
    patterns: Sequence[str] = (),
    *,
    allow_different_traces: bool = False,
) -> list[Diff]:
    """Compare each of ``tests`` with ``base``; every :class:`Diff` has the same rows, in the order of the
    metrics.

    A row exists for each metric that ``patterns`` match (all, if empty) and at least one of the reports has.

    Raises :class:`InputError` if the reports come from different traces, unless that is allowed;
    :class:`UsageError` for a pattern that matches no metric.
    """
    reports = [base, *tests]
    for test in tests:
        if base.trace.sha256 != test.trace.sha256 and not allow_different_traces:
            raise InputError(
                "the reports come from different traces.",
                f"{_identity(base)} and {_identity(test)}.",
                "Replay both policies on one trace, or say --allow-different-traces.",
            )
    likes = {n: next(r.metrics[n] for r in reports if n in r.metrics) for n in metric_names(reports, patterns)}
    diffs = []
    for test in tests:
        paired = base.cost.same_prices(test.cost)
        pair = PricedPair(base, test) if paired and base.basis and test.basis else None
        rows = tuple(_row(name, like, base, test, paired, pair) for name, like in likes.items())
        diffs.append(Diff(base, test, rows, tuple(_notes(base, test))))
    return diffs


def _identity(report: Report) -> str:
    return f"{report.trace.name} (sha256:{report.trace.sha256[:8]})"


def _notes(base: Report, test: Report) -> list[str]:
    """Say what differs besides the policy: a diff isolates one mechanism only if nothing does."""
    notes = []
    if base.trace.sha256 != test.trace.sha256:
        notes.append(f"different traces: {_identity(base)} and {_identity(test)}")
    if not base.cost.same_prices(test.cost):
        notes.append(f"different cost parameters: {cost_text(base.cost)} and {cost_text(test.cost)}")
    for key in sorted(base.options.keys() | test.options.keys()):
        one, other = base.options.get(key, "unset"), test.options.get(key, "unset")
        if one != other:
            notes.append(f"different {key}: {one} and {other}")
    if base.tool.version != test.tool.version:
        notes.append(f"different versions of swaptrace: {base.tool.version} and {test.tool.version}")
    return notes


def cost_text(cost: CostUsed) -> str:
    """Return preset and overrides, as ``emmc51 device_read_ns=30000..55000..80000``."""
    return " ".join([cost.preset, *(f"{name}={text}" for name, text in cost.overrides.items())])


def _row(name: str, like: Figure, one: Report, other: Report, paired: bool, pair: PricedPair | None) -> Row:
    """Return the row of metric ``name``; ``like`` is a figure of it, for its unit, direction and kind."""
    base, test = one.metrics.get(name), other.metrics.get(name)
    fixed = name, like.unit, like.better, like.kind
    inferred = any(side is not None and side.inferred for side in (base, test))
    if base is None or test is None:
        return Row(*fixed, base, test, None, None, None, None, Verdict.ABSENT, inferred)
    delta = test.value - base.value
    relative = _ratio(test.value, base.value)
    flips: tuple[Flip, ...] = ()
    if pair is None or not pair.has(name):
        low, high = _range(_ends(base, test, paired))
        verdict = _verdict(delta, low, high, like.better)
    else:
        moved = [sides for _, ends in pair.moved(name) for sides in ends]
        low, high = _range([*pair.at_corners(name), *moved])
        verdict = _verdict(delta, low, high, like.better)
        flips = pair.flips(name) if verdict is Verdict.UNCLEAR else ()
    return Row(*fixed, base, test, delta, relative, low, high, verdict, inferred, flips)


def _ratio(test: float, base: float) -> float | None:
    if base == 0:
        return 0.0 if test == 0 else None
    return (test - base) / abs(base)


def _ends(base: Figure, test: Figure, paired: bool) -> list[Sides]:
    """Return base and test at the ends of their ranges, as far as the two figures tell."""
    if base.low is None or base.high is None or test.low is None or test.high is None:
        return []
    if paired:
        return [(base.low, test.low), (base.value, test.value), (base.high, test.high)]
    return [(base.high, test.low), (base.value, test.value), (base.low, test.high)]


def _range(points: Sequence[Sides]) -> tuple[float | None, float | None]:
    """Return the smallest and the largest relative delta, None without points or where one has no ratio."""
    bounds = [_ratio(test, base) for base, test in points]
    known = [bound for bound in bounds if bound is not None]
    return (min(known), max(known)) if known and len(known) == len(bounds) else (None, None)


def _verdict(delta: float, low: float | None, high: float | None, better: Better) -> Verdict:
    if low is not None and high is not None and low < 0 < high:
        return Verdict.UNCLEAR
    if delta == 0:
        return Verdict.SAME
    if better is Better.NEITHER:
        return Verdict.CHANGED
    return Verdict.BETTER if (delta < 0) == (better is Better.LOWER) else Verdict.WORSE
