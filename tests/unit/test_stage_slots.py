"""What the placement in slots refuses, and two devices small enough to follow by hand."""

from __future__ import annotations

import dataclasses

import pytest

from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.model.component import Area
from swaptrace.model.errors import UsageError
from swaptrace.model.meta import SwapDevice
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.engines import ENGINES
from tests.refusals import refusal
from tests.streams import MemoryTrace, random_trace


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("swap-table+slots:alloc=append", "slots:alloc cannot act"),
        ("vswap-v6+slots:alloc=append,prefer=free", "knows no clusters"),
        ("vswap-v6+slots:alloc=append,priorities=on", "knows one device"),
        ("vswap-v6+slots:size=4096,priorities=on", "sizes that the recording had"),
        ("swap-table+slots:priorities=on", "Give swap-table:priorities=on, and leave it out at slots"),
        ("direct:priorities=on+dedup", "and slots:priorities=on as well"),
        ("swap-table:priorities=on+zram", "Only slots places pages"),
        ("swap-table:priorities=on+flash", "Only slots places pages"),
    ],
)
def test_what_cannot_act_is_refused(spec: str, text: str) -> None:
    assert text in refusal(spec)


@pytest.mark.parametrize("spec", ["swap-table:priorities=on", "vswap-v6+slots:priorities=on"])
def test_one_device_has_no_priorities(spec: str) -> None:
    with pytest.raises(UsageError) as error:
        replay(random_trace(1, 100).cut([]), [resolve(spec)])
    assert "names 1 swap device" in error.value.why


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cpu_uses_its_cluster_up_before_it_asks_for_the_highest_priority(engine: Engine) -> None:
    """Two devices of 4 slots, one header each, clusters of 4; the second one has the higher priority."""
    areas = [Area(0, 4, -2), Area(4, 4, 5)]
    with using_engine(engine):
        clusters = PhysicalClusters(8, cpus=2, cluster=4, areas=areas)

        def take(unit: int, cpu: int = 0) -> int:
            return int(clusters.feed([False], [unit], [cpu])[0][0])

        assert [take(unit) for unit in range(3)] == [5, 6, 7]
        assert take(3) == 1  # the fast device is full
        clusters.feed([True], [1], [0])
        assert take(4) == 2  # it has room again, but this CPU's cluster is on the other one
        assert take(5, cpu=1) == 6  # another CPU asks by priority


@pytest.mark.parametrize("engine", ENGINES)
def test_devices_of_one_priority_take_turns_by_cluster(engine: Engine) -> None:
    areas = [Area(0, 8, 1), Area(8, 8, 1)]
    with using_engine(engine):
        clusters = PhysicalClusters(16, cpus=1, cluster=4, areas=areas)
        slots, _ = clusters.feed([False] * 14, range(14), [0] * 14)
    assert slots.tolist() == [1, 2, 3, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]


def test_each_device_has_figures_of_its_own() -> None:
    trace = random_trace(2, 3000)
    devices = (SwapDevice(0, 1, pages=700, priority=9), SwapDevice(1, 2, pages=4000, priority=-1))
    several = MemoryTrace(trace.columns, trace.valid, dataclasses.replace(trace.meta, devices=devices))
    one, two = replay(several.cut([]), [resolve("swap-table"), resolve("swap-table:priorities=on")])
    assert one.value("devices.1.pages_peak") is None
    assert 512 < (two.value("devices.1.pages_peak") or 0) <= 699  # two CPUs hold its clusters, the others go on
    for name in ("written", "read"):
        total = two.value("write.host_bytes" if name == "written" else "read.device_bytes")
        assert sum(two.value(f"devices.{n}.{name}_bytes") or 0 for n in (1, 2)) == total
        assert (two.value(f"devices.2.{name}_bytes") or 0) > 0
    for name in ("write.host_bytes", "indirection.lookups", "slots.physical_peak"):
        assert one.value(name) == two.value(name)
