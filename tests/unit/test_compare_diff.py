"""Verdicts, ranges and refusals of a diff."""

from __future__ import annotations

import pytest

from swaptrace.compare.diff import Row, Verdict, compare, diff
from swaptrace.compare.select import metric_names
from swaptrace.model.errors import InputError, UsageError
from swaptrace.model.metrics import METRICS
from swaptrace.model.report import Figure
from tests.reports import ranged, report

NS = "indirection.ns_per_event"


def row(metric: str, base: float | Figure, test: float | Figure, *, cost: str = "neutral") -> Row:
    found = diff(report("a", {metric: base}), report("b", {metric: test}, cost=cost)).rows
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("metric", "base", "test", "verdict"),
    [
        ("write.host_bytes", 100, 90, Verdict.BETTER),
        ("write.host_bytes", 100, 110, Verdict.WORSE),
        ("write.host_bytes", 100, 100, Verdict.SAME),
        ("buffer.hits", 100, 90, Verdict.WORSE),
        ("buffer.hits", 0, 1, Verdict.BETTER),
        ("trace.objects", 100, 90, Verdict.CHANGED),
    ],
)
def test_the_good_direction_decides(metric: str, base: float, test: float, verdict: Verdict) -> None:
    assert row(metric, base, test).verdict is verdict


def test_relative_change_of_zero() -> None:
    assert row("buffer.hits", 0, 5).relative is None
    assert row("buffer.hits", 0, 0).relative == 0.0
    assert row("buffer.hits", 0, 5).delta == 5


def test_the_range_pairs_equal_cost_parameters() -> None:
    found = row(NS, ranged(NS, 50, 100, 200), ranged(NS, 55, 120, 300))
    assert (found.low, found.relative, found.high) == pytest.approx((0.10, 0.20, 0.50))
    assert found.verdict is Verdict.WORSE


def test_a_range_over_zero_leaves_the_sign_open() -> None:
    assert row(NS, ranged(NS, 50, 100, 200), ranged(NS, 60, 110, 180)).verdict is Verdict.UNCLEAR


def test_different_costs_give_the_widest_range() -> None:
    found = row(NS, ranged(NS, 50, 100, 200), ranged(NS, 55, 120, 300), cost="other")
    assert (found.low, found.high) == pytest.approx((55 / 200 - 1, 300 / 50 - 1))
    assert found.verdict is Verdict.UNCLEAR


def test_without_both_ranges_there_is_none() -> None:
    found = row(NS, ranged(NS, 50, 100, 200), 120)
    assert (found.low, found.high, found.verdict) == (None, None, Verdict.WORSE)


def test_a_figure_of_one_side_is_absent_not_zero() -> None:
    base, test = report("a", {"trace.events": 1}), report("b", {"trace.events": 1, "dedup.hits": 7})
    found = {r.metric: r for r in diff(base, test).rows}
    assert found["dedup.hits"].verdict is Verdict.ABSENT
    assert found["dedup.hits"].delta is None
    assert found["dedup.hits"].base is None


def test_rows_follow_the_table_of_metrics() -> None:
    names = [metric.name for metric in METRICS]
    one = report("a", dict.fromkeys(reversed(names), 1))
    assert [r.metric for r in diff(one, one).rows] == names


def test_every_pair_of_several_tests_has_the_same_rows() -> None:
    base, plain, dedup = report("a", {"trace.events": 1}), report("b"), report("c", {"dedup.hits": 7})
    one, two = compare(base, [plain, dedup])
    assert [r.metric for r in one.rows] == [r.metric for r in two.rows] == ["trace.events", "dedup.hits"]


def test_reports_of_different_traces_are_refused_unless_allowed() -> None:
    base, test = (
        report("a", {"trace.events": 1}),
        report("b", {"trace.events": 2}, sha256="77" * 32, name="x.parquet"),
    )
    with pytest.raises(InputError) as caught:
        diff(base, test)
    assert caught.value.lines()[1:] == [
        "  launch.parquet (sha256:8c1f2a90) and x.parquet (sha256:77777777).",
        "  Replay both policies on one trace, or say --allow-different-traces.",
    ]
    assert "different traces" in diff(base, test, allow_different_traces=True).notes[0]


def test_what_else_differs_is_noted() -> None:
    base = report("a", options={"free_inference": "latest"})
    test = report("b", options={"free_inference": "earliest"}, cost="other")
    assert diff(base, test).notes == (
        "different cost parameters: neutral and other",
        "different free_inference: latest and earliest",
    )


def test_inferred_is_marked_if_either_side_is() -> None:
    plain = report("a", {"slots.virtual_peak": 5})
    figure = plain.metrics["slots.virtual_peak"]
    guess = report("b", {"slots.virtual_peak": Figure(5, figure.unit, figure.better, figure.kind, inferred=True)})
    assert diff(plain, guess).rows[0].inferred
    assert not diff(plain, plain).rows[0].inferred


def test_patterns_select_and_a_wrong_one_names_the_closest() -> None:
    one = report("a", {"write.requests": 1, "write.erases": 2, "trace.events": 3})
    assert metric_names([one], ["write.*", "trace.events"]) == [
        "trace.events",
        "write.requests",
        "write.erases",
    ]
    assert metric_names([one], ["dedup.*"]) == []
    with pytest.raises(UsageError) as caught:
        metric_names([one], ["write.amplificaton"])
    assert "did you mean 'write.amplification'?" in caught.value.why


def test_a_metric_of_a_newer_report_is_shown_last() -> None:
    figure = report("a", {"trace.events": 3}).metrics["trace.events"]
    one = report("a", {"zz.new": figure, "aa.new": figure, "trace.events": 3})
    assert [r.metric for r in diff(one, one).rows] == ["trace.events", "aa.new", "zz.new"]
