"""The grammar of --fail-on, and when it trips."""

from __future__ import annotations

import pytest

from swaptrace.compare.diff import diff
from swaptrace.compare.gate import parse_gate, tripped
from swaptrace.model.errors import UsageError
from swaptrace.model.report import Figure
from tests.reports import ranged, report

WA = "write.amplification_host"
NS = "indirection.ns_per_event"


def trips(gate: str, metric: str, base: float | Figure, test: float | Figure) -> bool:
    return tripped(parse_gate(gate), diff(report("a", {metric: base}), report("b", {metric: test}))) is not None


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (f"{WA}:+2%", f"{WA}:+2%"),
        (f"{WA}:2%", f"{WA}:+2%"),
        (f"{WA}:-2.5%", f"{WA}:-2.5%"),
        (WA, f"{WA}:+0%"),
        ("buffer.hits:10%", "buffer.hits:-10%"),
        ("trace.objects:-1%", "trace.objects:-1%"),
    ],
)
def test_grammar(text: str, canonical: str) -> None:
    assert str(parse_gate(text)) == canonical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("write.amplificaton:+2%", "did you mean 'write.amplification'?"),
        (f"{WA}:+2", "is not a limit"),
        (f"{WA}:", "is not a limit"),
        (f"{WA}:+-2%", "is not a limit"),
        (f"{WA}:lots", "is not a limit"),
        ("trace.objects", "neither direction of trace.objects is bad"),
    ],
)
def test_what_is_not_a_gate_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gate(text)
    assert says in "\n".join(caught.value.lines())


@pytest.mark.parametrize(
    ("gate", "base", "test", "expected"),
    [
        ("+2%", 100, 102, False),  # exactly 2 % is not more than 2 %
        ("+2%", 100, 103, True),
        ("+2%", 100, 50, False),
        ("-2%", 100, 98, False),
        ("-2%", 100, 97, True),
        ("+0%", 100, 100, False),
        ("+0%", 10**15, 10**15 + 1, True),
        ("+2%", 0, 0, False),
        ("+2%", 0, 1, True),  # from nothing: no percentage is large enough
    ],
)
def test_exact_figures_decide_by_their_value(gate: str, base: int, test: int, expected: bool) -> None:
    assert trips(f"write.requests:{gate}", "write.requests", base, test) is expected


def test_ranged_figures_decide_by_the_bound_nearest_to_zero() -> None:
    base = ranged(NS, 50, 100, 200)
    assert not trips(f"{NS}:+5%", NS, base, ranged(NS, 51, 120, 300))  # the low end is +2 % only
    assert trips(f"{NS}:+5%", NS, base, ranged(NS, 60, 120, 300))
    assert not trips(f"{NS}:-5%", NS, base, ranged(NS, 20, 50, 198))
    assert trips(f"{NS}:-5%", NS, base, ranged(NS, 20, 50, 150))


def test_the_line_says_which_gate_and_by_how_much() -> None:
    compared = diff(report("a", {"write.requests": 100}), report("flash-vswap", {"write.requests": 150}))
    line = tripped(parse_gate("write.requests:+2%"), compared)
    assert line == "write.requests:+2% tripped by flash-vswap: 100 -> 150 (+50%)"


def test_a_gate_that_cannot_be_checked_does_not_pass() -> None:
    compared = diff(report("a", {"trace.events": 1}), report("b", {"trace.events": 1, "dedup.hits": 2}))
    with pytest.raises(UsageError, match=r"no such figure in the report of a\."):
        tripped(parse_gate("dedup.hits"), compared)
