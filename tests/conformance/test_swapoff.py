"""Swapoff at any moment equals the twin that walks its dicts then, whatever the cuts, cgroup and engine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.model.errors import UsageError
from swaptrace.model.report import Report
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.conformance.test_twins import SMALL_FLASH, SPECS
from tests.conformance.twins import slow_policy
from tests.engines import ENGINES
from tests.streams import MemoryTrace, random_trace

EVENTS = 1500
# the op that fills the buffer sends its own page to the device
WHOLE_BUFFER = ("vswap-v6+dedup+flash:buffer=64KiB,erase=64KiB", "swap-table+flash:buffer=64KiB,erase=64KiB")


def swapoff(report: Report) -> dict[str, float]:
    return {name: found.value for name, found in report.metrics.items() if name.startswith("swapoff.")}


def assert_twin(trace: MemoryTrace, spec: str, cuts: list[int], at: int, memcg: int | None, inference: str) -> None:
    policy = resolve(spec)
    report = replay(trace.cut(cuts), [policy], free_inference=inference, at=f"{at}ns", memcg=memcg)[0]
    slow = slow_policy(trace, spec, inference, until=at)
    walk = getattr(policy.layout.kind, "virtual_swapoff", False)
    assert swapoff(report) == slow.census.figures(slow.layout, walk, list(slow.stages), memcg, None)
    if memcg is None and (slow.layout.direct or walk):  # conservation: every entry in use is found
        name = "physical" if slow.layout.direct else "virtual"
        assert report.value(f"swapoff.{name}.entries") == slow.books.now["virtual"]
    assert report.options["at"] == f"{at}ns"
    assert report.options.get("memcg") == (None if memcg is None else str(memcg))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("spec", [*SPECS, *WHOLE_BUFFER])
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, EVENTS), max_size=5),
    row=st.integers(0, EVENTS - 1),
    between=st.integers(0, 9),
    memcg=st.none() | st.integers(0, 4),
    early=st.booleans(),
)
def test_swapoff_equals_its_twin(
    engine: Engine, spec: str, seed: int, cuts: list[int], row: int, between: int, memcg: int | None, early: bool
) -> None:
    trace = random_trace(seed, EVENTS)
    at = min(10 * row + between, int(trace.columns["ts"][-1]))
    with using_engine(engine):
        assert_twin(trace, spec, [*cuts, row], at, memcg, "earliest" if early else "latest")


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


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), row=st.integers(100, 599))
def test_a_page_that_the_timer_wrote_before_it_was_stored_again_waits(engine: Engine, seed: int, row: int) -> None:
    trace = random_trace(seed, 600, slots=600, rewrites=0.55, live=40)
    with using_engine(engine):
        assert_twin(trace, f"vswap-v6+{SMALL_FLASH},timer=250ns", [row], 10 * row, None, "latest")
