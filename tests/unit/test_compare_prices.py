"""Which price turns the sign of a difference, and how that is shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from swaptrace.compare.diff import Diff, Row, Verdict, compare
from swaptrace.model.basis import Basis
from swaptrace.model.cost_files import load_cost
from swaptrace.model.pricing import reprice
from swaptrace.model.report import Report
from swaptrace.render.document import json_diff
from swaptrace.render.mail import mail_diff
from swaptrace.render.text import text_diff
from tests.reports import report

WORK = {
    "out.disk": ("device_write_ns",),
    "out.shared": ("hash_ns",),
    "out.zero": (),
    "in.disk": ("fault_ns", "device_read_ns"),
    "in.buffer": ("fault_ns", "copy_ns"),
    "free.disk": (),
}
FIXED = ["walk_ns=10", "line_ns=100", "fault_ns=2000", "copy_ns=200", "device_write_ns=50us"]
FIXED += ["device_seq_write_ns=1us", "device_discard_ns=1ms", "zero_reject_ns=1"]


def made(
    policy: str, pages: dict[str, int], changes: list[str], *, requests: int = 1, preset: str = "emmc51"
) -> Report:
    walks = sum(n * int(key.split(".")[2]) for key, n in pages.items())
    lines = sum(n * int(key.split(".")[3]) for key, n in pages.items())
    exact = {
        "indirection.lookups": walks,
        "indirection.cachelines": lines,
        "write.host_bytes": 4096 * requests,
        "write.requests": requests,
        "read.device_bytes": 0,
    }
    plain = replace(report(policy, exact), basis=Basis(pages, WORK))
    return reprice(plain, load_cost(preset, changes))


def pair(base: dict[str, int], test: dict[str, int], changes: list[str], preset: str = "emmc51") -> Diff:
    return compare(made("a", base, changes, preset=preset), [made("b", test, changes, preset=preset)])[0]


def row(found: Diff, metric: str) -> Row:
    return next(one for one in found.rows if one.metric == metric)


def test_the_price_that_turns_the_sign_is_named() -> None:
    # the test saves a read of the device (30 to 80 us) and pays 500 lines (50 us) for it
    changes = [*FIXED, "device_read_ns=30us..80us"]
    found = pair({"in.disk.1.10": 1}, {"in.buffer.1.510": 1}, changes)
    one = row(found, "cost.swap_in_ns.mean")
    assert one.verdict is Verdict.UNCLEAR
    assert [flip.parameter for flip in one.flips] == ["device_read_ns"]
    base, test = 2000 + 10 + 1000, 2000 + 200 + 10 + 51_000
    assert one.low == pytest.approx((test - base - 80_000) / (base + 80_000))
    assert one.high == pytest.approx((test - base - 30_000) / (base + 30_000))
    assert one.relative == pytest.approx((test - base - 55_000) / (base + 55_000))
    for text in (mail_diff([found]), text_diff([found])):
        assert re.search(r"^cost\.swap_in_ns\.mean \(us\) .* ~ ", text, re.M)
        assert "cost parameter device_read_ns (30..80 us)" in " ".join(text.split())
    document = json.loads(json_diff([found], [], ""))
    shown = {each["metric"]: each for each in document["tests"][0]["rows"]}
    assert shown["cost.swap_in_ns.mean"]["flips"] == ["device_read_ns"]
    assert shown["cost.swap_in_ns.mean"]["verdict"] == "unclear"
    assert shown["indirection.ns"]["flips"] == []


def test_a_sign_that_holds_over_the_whole_range_is_no_flip() -> None:
    changes = [*FIXED, "device_read_ns=52us..80us"]
    one = row(pair({"in.disk.1.10": 1}, {"in.buffer.1.510": 1}, changes), "cost.swap_in_ns.mean")
    assert (one.verdict, one.flips) == (Verdict.BETTER, ())
    assert one.high is not None
    assert one.high < 0


def test_one_side_alone_does_not_decide() -> None:
    """Both reports pay the same read: however wide its range, the delta is one line and has one sign."""
    changes = [*FIXED, "device_read_ns=1us..900us"]
    one = row(pair({"in.disk.1.10": 1}, {"in.disk.1.11": 1}, changes), "cost.swap_in_ns.p99")
    assert (one.verdict, one.flips) == (Verdict.WORSE, ())


def test_prices_that_move_together_hide_what_one_of_them_turns() -> None:
    """All low and all high the test is worse; walks at their low with lines at typical, it is better."""
    base, test = {"free.disk.10.0": 1}, {"free.disk.0.10": 1}
    changes = ["walk_ns=10..50..100", "line_ns=20..60..200"]
    one = row(pair(base, test, changes, "neutral"), "cost.free_ns.mean")
    assert one.verdict is Verdict.UNCLEAR
    assert [flip.parameter for flip in one.flips] == ["line_ns", "walk_ns"]
    assert one.low == pytest.approx((20 - 50) / 50)
    assert one.high == pytest.approx((60 - 10) / 10)


def test_a_price_that_only_makes_both_equal_turns_nothing() -> None:
    base, test = {"free.disk.10.0": 1}, {"free.disk.0.10": 1}
    one = row(pair(base, test, ["walk_ns=100..120..121", "line_ns=99..121..140"], "neutral"), "cost.free_ns.mean")
    assert [flip.parameter for flip in one.flips] == ["line_ns"]


def test_what_only_several_prices_turn_together_says_so() -> None:
    changes = [*FIXED[2:], "hash_ns=30", "walk_ns=12..20..28", "line_ns=12..20..28"]
    found = pair({"out.shared.0.0": 1}, {"out.zero.1.1": 1, "free.disk.1.1": 1}, changes)
    one = row(found, "cost.swap_out_ns.mean")  # 30 against 40, with either at its low 32, with both 24
    assert (one.verdict, one.flips) == (Verdict.UNCLEAR, ())
    assert "~ : the sign depends on cost parameters within their ranges" in text_diff([found])


def test_each_metric_with_a_price_of_its_own_has_a_line() -> None:
    fixed = [change for change in FIXED if not change.startswith("device_write_ns")]
    changes = [*fixed, "device_read_ns=30us..80us", "device_write_ns=1us..9us", "hash_ns=4500"]
    found = pair({"in.disk.1.10": 1, "out.disk.1.1": 1}, {"in.buffer.1.510": 1, "out.shared.1.1": 1}, changes)
    text = mail_diff([found])
    assert max(map(len, text.splitlines())) <= 72
    flat = " ".join(text.split())
    assert "cost.swap_in_ns.p99: the sign depends on cost parameter device_read_ns (30..80 us)" in flat
    assert "cost.swap_out_ns.p99: the sign depends on cost parameter device_write_ns (1000..9000 ns)" in flat


def test_other_prices_have_no_common_machine() -> None:
    base = made("a", {"in.disk.1.10": 1}, [*FIXED, "device_read_ns=30us..80us"])
    test = made("b", {"in.disk.1.10": 1}, [*FIXED, "device_read_ns=40us..80us"])
    found = compare(base, [test])[0]
    one = row(found, "cost.swap_in_ns.mean")
    assert one.verdict is Verdict.UNCLEAR
    assert one.flips == ()
    assert found.notes[0].startswith("different cost parameters: emmc51 walk_ns=10 line_ns=100")


def test_overrides_stand_above_the_table_and_in_the_command() -> None:
    text = mail_diff([pair({"in.disk.1.10": 1}, {"in.disk.1.11": 1}, ["device_read_ns=30us..80us"])])
    assert "device_read_ns=30000..55000..80000" in text.partition("exact")[0]
    command = text.partition("reproduce:")[2].replace("\\\n", "").split()
    assert command[-4:] == ["--cost", "emmc51", "--cost-set", "device_read_ns=30000..55000..80000"]
