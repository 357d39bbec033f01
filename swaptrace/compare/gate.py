"""The line in CI: ``--fail-on METRIC[:[+|-]N%]``.

``write.amplification:+2%`` trips when the test is more than 2 % above the base, ``buffer.hits:-5%`` when it
is more than 5 % below. Without a sign the metric's own bad direction counts; without a number any step in
it trips. For an exact figure the value itself decides; for a modelled one with a range it is the bound
nearest to zero, so a gate does not trip on what the cost parameters leave open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from swaptrace.compare.diff import Diff, Row
from swaptrace.compare.select import require_metric
from swaptrace.model.errors import UsageError
from swaptrace.model.metrics import METRIC_BY_NAME, Better

__all__ = ["Gate", "parse_gate", "tripped"]


@dataclass(frozen=True)
class Gate:
    """A parsed ``--fail-on``: trip when ``metric`` moves by more than ``percent`` in direction ``sign``."""

    metric: str
    sign: str
    percent: Fraction

    def __str__(self) -> str:
        return f"{self.metric}:{self.sign}{float(self.percent):g}%"


def parse_gate(text: str) -> Gate:
    """Return the gate that ``text`` names; raises :class:`UsageError` if it names none.

    >>> str(parse_gate("write.amplification:2%")), str(parse_gate("buffer.hits"))
    ('write.amplification:+2%', 'buffer.hits:-0%')
    """
    name, colon, limit = text.partition(":")
    require_metric(name)
    match = re.fullmatch(r"([+-]?)([0-9]+(?:\.[0-9]+)?)%", limit if colon else "0%")
    if match is None:
        raise UsageError(
            f"--fail-on {text!r}: {limit!r} is not a limit.",
            "A limit is a percentage with an optional sign.",
            f"Write --fail-on '{name}:+2%'.",
        )
    better = METRIC_BY_NAME[name].better
    sign = match[1] or {Better.LOWER: "+", Better.HIGHER: "-", Better.NEITHER: ""}[better]
    if not sign:
        raise UsageError(
            f"--fail-on {text!r}: neither direction of {name} is bad.",
            "The metric describes the trace or the policy; it does not judge it.",
            f"Say which one you mean: --fail-on '{name}:+{match[2]}%' or '{name}:-{match[2]}%'.",
        )
    return Gate(name, sign, Fraction(match[2]))


def tripped(gate: Gate, compared: Diff) -> str | None:
    """Return one line that says how ``compared`` breaks ``gate``, or None if it holds.

    Raises :class:`UsageError` if one of the reports lacks the metric: a gate that cannot be checked must
    not pass.
    """
    row = next((row for row in compared.rows if row.metric == gate.metric), None)
    if row is None or row.base is None or row.test is None:
        lacking = [r.policy.name for r in (compared.base, compared.test) if gate.metric not in r.metrics]
        raise UsageError(
            f"--fail-on {gate.metric}: no such figure in the report of {' and '.join(lacking)}.",
            "Nothing in that policy counts it.",
            "Gate on a metric that both reports have.",
        )
    if not _beyond(gate, row):
        return None
    moved = "from 0" if row.relative is None else f"{100 * row.relative:+.4g}%"
    bound = "" if row.low is None or row.high is None else f", range {100 * row.low:+.4g}%..{100 * row.high:+.4g}%"
    who = compared.test.policy.name
    return f"{gate} tripped by {who}: {row.base.value} -> {row.test.value} ({moved}{bound})"


def _beyond(gate: Gate, row: Row) -> bool:
    assert row.base is not None
    assert row.test is not None
    way = 1 if gate.sign == "+" else -1
    if row.low is not None and row.high is not None:
        nearest = row.low if way > 0 else row.high
        return way * Fraction(nearest) * 100 > gate.percent
    # Fractions: 102 against 100 is exactly +2 %, and that is not more than 2 %.
    base, test = Fraction(row.base.value), Fraction(row.test.value)
    return way * (test - base) * 100 > gate.percent * abs(base)
