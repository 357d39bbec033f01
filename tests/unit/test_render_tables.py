"""Mail and terminal tables: width, marks, nothing elided, and a command that reproduces them."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.compare.diff import compare
from swaptrace.model.metrics import METRICS, MetricKind
from swaptrace.model.report import Figure, Report, figure
from swaptrace.render.mail import mail_diff, mail_report
from swaptrace.render.provenance import reproduce
from swaptrace.render.text import text_diff, text_reports
from tests.reports import ranged, report

NS = "indirection.ns_per_event"
LONG = "vswap-v6+dedup:scope=device,index=strict+flash:buffer=4MiB,erase=4MiB,clean=greedy+ftl:op=7%"


def value(name: str, number: float) -> float | int:
    return int(number) if name.startswith("trace.") else number


def full(policy: str, number: float, **more: object) -> Report:
    figures = {m.name: figure(m.name, value(m.name, number)) for m in METRICS}
    for metric in METRICS:
        if metric.kind is MetricKind.MODELLED:
            figures[metric.name] = figure(metric.name, number, number / 2, number * 3)
    return report(policy, figures, **more)  # type: ignore[arg-type]


@given(
    st.lists(st.just(0.0) | st.floats(min_value=1e-9, max_value=1e15), min_size=2, max_size=4),
    st.lists(st.sampled_from(["swap-table", "flash-vswap", LONG, LONG + "," + "x" * 90]), min_size=4, max_size=4),
)
def test_mail_is_ascii_and_never_wider_than_72(numbers: list[float], policies: list[str]) -> None:
    reports = [
        full(policy, number, warnings=(f"a warning with many words about {policy}",))
        for policy, number in zip(policies, numbers, strict=False)
    ]
    for text in (mail_diff(compare(reports[0], reports[1:])), mail_report(reports[0])):
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= 72


def test_numbers_stand_in_full_however_large() -> None:
    big = 123_456_789_012_345_678
    text = mail_diff(compare(report("a", {"write.requests": big}), [report("b", {"write.requests": big + 1})]))
    assert "123,456,789,012,345,678" in text
    assert "123,456,789,012,345,679" in text
    assert max(map(len, text.splitlines())) <= 72


def test_the_layout_of_a_mail() -> None:
    base = report(
        "swap-table",
        {"trace.writeouts": 1_204_331, "write.host_bytes": 12 << 30, NS: ranged(NS, 50, 100, 200)},
    )
    test = report(
        "flash-vswap",
        {"trace.writeouts": 1_204_331, "write.host_bytes": 18 << 30, NS: ranged(NS, 40, 90, 190)},
    )
    assert mail_diff(compare(base, [test])).splitlines() == [
        "trace   launch.parquet  sha256:8c1f2a90",
        "        1,204,331 events, 92.00 s, kernel 6.18.44, tracefs",
        "base    swap-table",
        "test    flash-vswap",
        "cost    neutral  sha256:6e657574",
        "tool    swaptrace 0.1.0, engine numpy, seed 0",
        "",
        "exact                         base       test   delta",
        "trace.writeouts (pages)  1,204,331  1,204,331       =",
        "write.host_bytes (GiB)       12.00      18.00  +50.0%  !",
        "",
        "modelled                      base  test   delta          range",
        "indirection.ns_per_event (ns)  100    90  -10.0%   [-20%,-5.0%]",
        "",
        "! : worse than the base",
        "",
        "reproduce: swaptrace diff launch.parquet -p swap-table -p flash-vswap",
    ]


def test_marks_are_explained_only_where_they_occur() -> None:
    unclear = mail_diff(
        compare(report("a", {NS: ranged(NS, 50, 100, 200)}), [report("b", {NS: ranged(NS, 60, 110, 180)})])
    )
    assert "~ : the sign depends on cost parameters" in unclear
    assert "! :" not in unclear
    plain = mail_diff(compare(report("a", {NS: 1.0}), [report("b", {NS: 1.0})]))
    assert " : " not in plain


def test_inferred_figures_carry_a_star_with_its_reason() -> None:
    exact = figure("slots.virtual_peak", 5)
    guess = Figure(5, exact.unit, exact.better, exact.kind, inferred=True)
    one = report(
        "a",
        {"slots.virtual_peak": guess, "trace.inferred_frees": 114},
        options={"free_inference": "earliest"},
    )
    for text in (mail_report(one), text_reports([one])):
        assert re.search(r"slots\.virtual_peak \* +5", text)
        assert "* : depends on 114 slot frees that no event showed" in text
        assert "--free-inference earliest" in text


@pytest.mark.parametrize("render", ["mail", "text"])
def test_losses_skips_and_warnings_stand_above_the_table(render: str) -> None:
    one = report("a", {"trace.events": 1}, lost=12, skipped=3, warnings=("shared",))
    two = report("b", {"trace.events": 1}, lost=12, skipped=3, warnings=("shared", "own"))
    diffs = compare(one, [two])
    text = mail_diff(diffs) if render == "mail" else text_diff(diffs)
    above = text[: text.index("trace.events")]
    assert "12 events were lost while recording" in above
    assert "3 of 1,204,331 events were skipped" in above
    assert above.count("shared") == 1
    assert "test: own" in above


def test_a_figure_that_one_policy_lacks_is_na() -> None:
    diffs = compare(report("a", {"trace.events": 1}), [report("b", {"trace.events": 1, "dedup.hits": 1_204_331})])
    for text in (mail_diff(diffs), text_diff(diffs)):
        assert re.search(r"dedup\.hits \(pages\) +n/a +1,204,331 +n/a", text)


def test_three_policies_one_table_in_text_two_pairs_in_mail() -> None:
    reports = [report(name, {"write.requests": n}) for name, n in (("a", 1), ("b", 2), ("c", 3))]
    diffs = compare(reports[0], reports[1:])
    text = text_diff(diffs)
    assert re.search(r"metric +a +b +delta +c +delta +kind", text)
    assert re.search(r"write\.requests +1 +2 +\+100\.0% +! +3 +\+200\.0% +! +exact", text)
    assert len(re.findall(r"^write\.requests", mail_diff(diffs), re.M)) == 2


def test_long_policy_names_do_not_head_columns() -> None:
    text = text_reports([report("swap-table", {"trace.events": 1}), report(LONG, {"trace.events": 1})])
    assert re.search(r"^metric +base +test +kind", text, re.M)


@pytest.mark.parametrize("width", [72, 100])
def test_the_reproduce_command_pastes_into_a_shell(width: int) -> None:
    args = [
        "swaptrace",
        "diff",
        "a dir/launch.parquet",
        "-p",
        "swap-table",
        "-p",
        LONG,
        "-p",
        LONG.replace("7%", "9%"),
    ]
    lines = reproduce(args, width)
    assert max(map(len, lines)) <= width
    shell = "\n".join(lines).removeprefix("reproduce:").replace("\\\n", "")
    assert shlex.split(shell) == args


def test_the_diff_names_the_trace_as_it_was_typed() -> None:
    diffs = compare(report("a", {NS: 1.0}), [report("b", {NS: 1.0})])
    assert text_diff(diffs, trace="traces/l.parquet").endswith("reproduce: swaptrace diff traces/l.parquet -p a -p b\n")


def test_a_modelled_figure_that_does_not_change_has_no_range() -> None:
    same, other = ranged(NS, 50, 100, 200), ranged("cost.free_ns.mean", 1, 2, 4)
    base = report("a", {NS: same, "cost.free_ns.mean": other})
    test = report("b", {NS: same, "cost.free_ns.mean": ranged("cost.free_ns.mean", 2, 3, 8)})
    for text in (text_diff(compare(base, [test])), mail_diff(compare(base, [test]))):
        unchanged, changed = (next(x for x in text.splitlines() if name in x) for name in (NS, "free_ns"))
        assert "[" not in unchanged
        assert "[+50%,+100%]" in changed


@pytest.mark.parametrize("name", ["x" * 200 + ".parquet", "a b " * 40 + ".parquet", "it's " * 30 + ".parquet"])
def test_a_long_file_name_stays_inside_the_mail_and_pastes(name: str) -> None:
    reports = [report(policy, {"trace.events": 1}, name=name) for policy in ("a", "b")]
    text = mail_diff(compare(reports[0], reports[1:]), trace=f"/tmp/{name}")
    assert max(map(len, text.splitlines())) <= 72
    command = text.partition("reproduce:")[2].replace("\\\n", "")
    assert shlex.split(command) == ["swaptrace", "diff", f"/tmp/{name}", "-p", "a", "-p", "b"]
    assert name.replace(" ", "") in re.sub(r"\s", "", text)
