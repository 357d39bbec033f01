"""Which moment a swapoff is asked for. That it finds what its twin finds is in test_twins.py."""

from __future__ import annotations

import pytest

from swaptrace.model.errors import UsageError
from swaptrace.model.report import Report
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.streams import random_trace

EVENTS = 1500


def swapoff(report: Report) -> dict[str, float]:
    return {name: found.value for name, found in report.metrics.items() if name.startswith("swapoff.")}


@pytest.mark.parametrize("spec", ["swap-table", "vswap-table+dedup", "flash-vswap"])
def test_the_moment_changes_no_other_figure(spec: str) -> None:
    trace = random_trace(5, EVENTS).cut([])
    plain = replay(trace, [resolve(spec)])[0]
    asked = replay(trace, [resolve(spec)], at="37%", memcg=2)[0]
    assert not swapoff(plain)
    assert plain.options.keys() == {"free_inference"}
    assert {name: asked.metrics[name] for name in plain.metrics} == plain.metrics


def test_times_and_shares_name_the_same_moment() -> None:
    trace = random_trace(6, 1001).cut([])  # 10 us long
    half, whole, end = (swapoff(replay(trace, [resolve("swap-table")], at=at)[0]) for at in ("50%", "5us", "100%"))
    assert half == whole != end
    assert end == swapoff(replay(trace, [resolve("swap-table")], memcg=None, at="10us")[0])
    first = swapoff(replay(trace, [resolve("swap-table")], at="0s")[0])
    assert first["swapoff.physical.entries"] == 1


@pytest.mark.parametrize("at", ["11us", "101%", "-1s", "soon", "5 parsecs", ""])
def test_a_moment_that_the_trace_does_not_have_is_refused(at: str) -> None:
    with pytest.raises(UsageError):
        replay(random_trace(6, 1001).cut([]), [resolve("swap-table")], at=at)


def test_a_cgroup_without_entries_is_named() -> None:
    report = replay(random_trace(6, 1001).cut([]), [resolve("vswap-v6")], memcg=77)[0]
    assert any("memory cgroup 77" in text for text in report.warnings)
    assert set(swapoff(report).values()) == {0}
