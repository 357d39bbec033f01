"""What a trace may not hold is named before it costs memory."""

from __future__ import annotations

import pytest

from swaptrace.model.errors import InputError, SpaceError, UsageError
from swaptrace.model.events import Kind
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.streams import random_trace


def test_a_slot_beyond_any_device_is_named() -> None:
    trace = random_trace(1, 500)
    trace.columns["slot"][100] = 1 << 41
    with pytest.raises(InputError, match="slot 2,199,023,255,552"):
        replay(trace.cut([]), [resolve("swap-table")])


def test_a_device_that_is_too_small_is_an_error_and_no_figure() -> None:
    with pytest.raises(SpaceError, match="full"):
        replay(random_trace(1, 4000).cut([]), [resolve("vswap-v6+slots:size=512")])


@pytest.mark.parametrize(
    "spec",
    [
        "vswap-v6+slots:size=1",
        "vswap-v6+slots:size=99999999999",
        "vswap-v6+ftl:erase=99999TiB",
        "vswap-v6+ftl:op=5000000%",
        "vswap-v6+flash:erase=5000",
        "vswap-v6+dedup:entry=0",
    ],
)
def test_parameters_have_bounds(spec: str) -> None:
    with pytest.raises(UsageError):
        resolve(spec)


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        ("vswap-module:bypass={}+slots", "vswap-module:bypass"),
        ("swap-table+tiers:sizes=25%/75%,memcg={}", "tiers:memcg"),
    ],
)
def test_a_memory_cgroup_that_swaps_nothing_is_named(spec: str, option: str) -> None:
    trace = random_trace(3, 400)
    present = int(trace.columns["memcg"][trace.columns["kind"] == Kind.SWAP_OUT][0])
    at = "@2" if "tiers" in option else ""
    [report] = replay(trace.cut([150]), [resolve(spec.format(f"{present}{at}/99{at}"))])
    assert [text.partition(": ")[0] for text in report.warnings if option in text] == [f"{option}=99"]


def test_the_span_of_a_report_is_that_of_its_trace() -> None:
    trace = random_trace(1, 1000)
    report = replay(trace.cut([]), [resolve("swap-table")])[0]
    assert report.trace.span_ns == int(trace.columns["ts"][-1] - trace.columns["ts"][0])
