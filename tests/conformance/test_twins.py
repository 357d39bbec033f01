"""Every layout, stage and named policy equals its op-at-a-time twin, figure by figure, swapoff at any moment included.

The twin, which is what takes time, runs once for both engines.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import using_engine
from swaptrace.model.events import Kind
from swaptrace.model.meta import SwapDevice
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from swaptrace.testing import assert_figures
from tests.conformance.twins import slow_figures
from tests.engines import INSTALLED
from tests.streams import MemoryTrace, random_trace

SMALL_FLASH = "flash:buffer=96KiB,erase=64KiB"
SPECS = [
    *(name for name in NAMED if name != "as-recorded"),
    "swap-table:phase=p4rfc",
    "vswap-v6:mru=0,bytes=real",
    f"vswap-v5:bytes=real+dedup+{SMALL_FLASH}",
    f"vswap-v3+zswap:pool=128KiB+{SMALL_FLASH}",
    "swap-table:prefer=free",
    "direct:bytes=published,prefer=free",
    f"direct+dedup:charges=on+{SMALL_FLASH}",
    "vswap-v6+slots:prefer=free",
    "vswap-v6+zero:same=on+ftl:erase=64KiB,op=20%",
    "vswap-v6+zero:ro=on,same=on",
    "swap-table+ksm:lag=0s",
    "swap-table+dedup:index=loose,ttl=2us,verify=content+slots:discard=on+ftl:erase=64KiB",
    "vswap-v6+dedup:index=loose,ttl=inf,capacity=30",
    f"vswap-table+dedup:index=loose,ttl=5us,capacity=100,charges=on+{SMALL_FLASH},size=8192",
    "vswap-v6+ksm:lag=3us+zero:ro=on+dedup",
    f"vswap-table+ksm:lag=500ns,node=48+{SMALL_FLASH}",
    "swap-table+zero:ro=on+dedup",
    f"vswap-table+zero:ro=on+{SMALL_FLASH}",
    "swap-table+slots:discard=on+ftl:erase=64KiB",
    "vswap-table+dedup+slots:discard=on+ftl:erase=64KiB",
    f"vswap-v6+{SMALL_FLASH}+ftl:erase=64KiB",
    f"vswap-table+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"vswap-v6+dedup+{SMALL_FLASH},discard=off+ftl:erase=32KiB",
    "vswap-v6+dedup+tiers:sizes=20%/25%/60%",
    "vswap-v6+tiers:sizes=10%/90%,memcg=1@2/2@12",
    "vswap-v6+tiers:sizes=10%/90%,demote=5us",
    "vswap-table+tiers:sizes=15%/20%/70%,demote=5us,prefer=free,memcg=1@1/2@23",
    "vswap-v6+dedup+tiers:sizes=20%/80%,demote=2us",
    f"swap-table+{SMALL_FLASH}",
    "vswap-v6+flash:buffer=160KiB,erase=64KiB,size=1280,gc=fifo,low=25%,pressure=8/120ns+ftl:erase=64KiB",
    f"swap-table+{SMALL_FLASH},size=1536,gc=cost-benefit,buffered=tombstone,timer=900ns",
    f"vswap-table+{SMALL_FLASH},timer=600ns+ftl:erase=64KiB",
    f"vswap-v6+dedup+{SMALL_FLASH},buffered=tombstone",
    f"swap-table+{SMALL_FLASH},compress=recorded,pack=aligned,size=1024,gc=fifo",
    "direct+dedup+flash:buffer=160KiB,erase=64KiB,size=768,compress=recorded,low=50%,timer=2us",
    "swap-table+zswap:pool=256KiB,order=lru,load=keep,incompressible=store+ftl:erase=64KiB",
    "vswap-v6+zswap:pool=128KiB,accept=50%+slots:discard=on+ftl:erase=64KiB",
    "vswap-table+zswap:pool=1MiB,order=lru,load=keep,accept=100%",
    f"vswap-v6+zswap:pool=256KiB,load=keep+{SMALL_FLASH}",
    "vswap-v6+zswap:pool=25%,ram=1MiB,shrinker=3us,batch=16",
    "swap-table+zswap:pool=256KiB,order=lru,load=keep,shrinker=2us",
    "swap-table+zswap:pool=256KiB,batch=8+dedup:charges=on,verify=hash",
    "direct+zswap:pool=128KiB,order=lru,load=keep+dedup:shared=pin,charges=on+ftl:erase=64KiB",
    "vswap-v6+zswap:pool=128KiB,order=lru,shrinker=4us,batch=4+dedup:charges=on,verify=content+slots:discard=on+ftl:erase=64KiB",
    f"vswap-table+zswap:pool=192KiB,incompressible=store+dedup:shared=pin,entry=32+{SMALL_FLASH}",
    f"stacked+zswap:pool=128KiB,load=keep+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"swap-table+dedup+{SMALL_FLASH}",
    "stacked:upper=vswap-table+slots:discard=on+ftl:erase=64KiB",
    f"stacked+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"stacked+zswap:pool=128KiB+{SMALL_FLASH}",
    "direct+zswap:pool=64KiB+ftl:erase=64KiB",
    f"direct:bytes=published+zswap:pool=256KiB,order=lru,load=keep+{SMALL_FLASH}",
    "swap-table:phase=p1+zswap:pool=64KiB,load=keep",
    "vswap-v6+slots:alloc=append,size=2048",
    "swap-table+dedup+slots:alloc=append,discard=on+ftl:erase=64KiB",
    "direct+dedup+zram:same=off",
    "vswap-v6+slots:size=1600,discard=on+ftl:erase=64KiB,op=0%,prog=32KiB,gc=fifo,streams=2",
    "swap-table+ftl:erase=64KiB,prog=32KiB,streams=3",
    "vswap-table+dedup:index=loose,ttl=2us+zram:prefer=free,size=8192",
    f"vswap-table:redirect=24,mru=1+zswap:pool=64KiB+{SMALL_FLASH}",
    f"vswap-table:memcg_table=eager+dedup+{SMALL_FLASH}",
    "vswap-table:redirect=4+zswap:pool=256KiB",
    "vswap-table:redirect=16,mru=1+zero:same=on+dedup",
    "vswap-module:share=33.3%,mru=1+slots:discard=on+ftl:erase=64KiB",
    "vswap-module:share=100%,bypass=1/3,redirect=4+zswap:pool=64KiB,load=keep,order=lru",
    "vswap-module:redirect=16,share=70%+zero:ro=on,same=on+ksm:lag=0s",
    "vswap-module:memcg_table=eager,share=0.9+tiers:sizes=20%/25%/60%,memcg=1@2/2@13",
    "vswap-v5+zswap:shrinker=1us+tiers:sizes=20%/80%,memcg=1@1/2@2",
    # the op that fills the buffer sends its own page to the device
    "vswap-v6+dedup+flash:buffer=64KiB,erase=64KiB",
    "swap-table+flash:buffer=64KiB,erase=64KiB",
]


SEVERAL = [  # swap devices by priority
    "swap-table:priorities=on+slots:discard=on+ftl:erase=64KiB,prog=16KiB",
    "direct:priorities=on,prefer=free+dedup+slots:priorities=on",
    "vswap-v6+slots:priorities=on",
]
GROWING, CHURNING = (2200, 1500), (1400, 300)  # events, and objects that live at most


def assert_twin(
    trace: MemoryTrace,
    spec: str,
    cuts: list[int],
    free_inference: str = "latest",
    at: int | None = None,
    memcg: int | None = None,
) -> None:
    """Compare the reports of every engine with the twin; ``at`` (ns) adds a swapoff, of one cgroup if ``memcg``."""
    expected = slow_figures(trace, spec, free_inference, at, memcg)
    asked = None if at is None else f"{at}ns"
    for engine in INSTALLED:
        with using_engine(engine):
            policy = resolve(spec)
            report = replay(trace.cut(cuts), [policy], free_inference=free_inference, at=asked, memcg=memcg)[0]
        assert_figures(report, expected)
        assert report.options.get("at") == asked
        assert report.options.get("memcg") == (None if memcg is None else str(memcg))


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from([GROWING, CHURNING]),
    cuts=st.lists(st.integers(1, GROWING[0]), max_size=6),
    early=st.booleans(),
    row=st.integers(0, CHURNING[0] - 1),
    between=st.integers(0, 9),
    memcg=st.none() | st.integers(0, 4),
    tick=st.sampled_from([1, 70, 2000]),
)
def test_policy_equals_its_twin(
    spec: str, seed: int, size: tuple[int, int], cuts: list[int], early: bool, row: int, between: int,
    memcg: int | None, tick: int,
) -> None:  # fmt: skip
    events, live = size
    trace = random_trace(seed, events, live=live)
    trace.columns["ts"] -= trace.columns["ts"] % tick  # several events have one time
    at = min(10 * row + between, int(trace.columns["ts"][-1]))
    assert_twin(trace, spec, [*cuts, row], "earliest" if early else "latest", at, memcg)


CROWDED = (
    "direct",
    "swap-table",
    "swap-table:phase=p1",
    "vswap-v3",
    "vswap-v5+dedup",
    "vswap-v5+tiers:sizes=40%/80%,demote=5us",
    "vswap-v6",
    "stacked:upper=vswap-table+slots",
)


@pytest.mark.parametrize("spec", CROWDED)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 1200), max_size=6))
def test_the_scan_of_a_crowded_device_equals_its_twin(spec: str, seed: int, cuts: list[int]) -> None:
    trace = random_trace(seed, 1200, slots=560, live=520)
    assert_twin(trace, spec, cuts)


@pytest.mark.parametrize(
    "spec", ["vswap-v6+tiers:sizes=10%/91%,demote=1us", "vswap-table+dedup+tiers:sizes=5%/5%/91%,demote=1us"]
)
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, 900), max_size=6),
    tick=st.sampled_from([100, 2000]),
)
def test_idle_pages_move_in_the_order_of_their_latest_touch(spec: str, seed: int, cuts: list[int], tick: int) -> None:
    trace = random_trace(seed, 900, slots=512, live=150)
    trace.columns["ts"] -= trace.columns["ts"] % tick  # several touches have one time
    assert_twin(trace, spec, cuts)


@pytest.mark.parametrize("spec", ["vswap-v3", "vswap-v5", "vswap-v6"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 1500), max_size=6))
def test_frees_of_folios(spec: str, seed: int, cuts: list[int]) -> None:
    trace = random_trace(seed, 1500)
    frees = trace.columns["kind"] == Kind.SLOT_FREE
    trace.columns["sub"][frees] = np.random.default_rng(seed).integers(0, 12, int(frees.sum()))
    assert_twin(trace, spec, cuts)


def test_of_a_crowded_device_each_layout_reads_what_its_design_makes_it_read() -> None:
    trace = random_trace(1, 2500, slots=800, live=700).cut([])
    names = ("vswap-v3", "vswap-v5", "vswap-v6", "vswap-table")
    reports = replay(trace, [resolve(name) for name in names])

    def values(name: str) -> list[float]:
        return [report.value(name) or 0 for report in reports]

    v3, v5, *others = values("indirection.lookups.scan")
    assert v3 == v5 > 0
    assert others == [0, 0]  # a bit of the reverse map
    v3, v5, v6, table = values("indirection.cachelines.scan")
    assert v3 == v5 > v6 == table > 0
    v3, v5, *_ = values("indirection.lookups")
    assert v3 - v5 == values("trace.frees")[0]  # each on its own: one more question


@pytest.mark.parametrize("spec", SEVERAL)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2500), max_size=6), levels=st.permutations([1, 1, -2]))
def test_devices_by_priority_equal_their_twin(spec: str, seed: int, cuts: list[int], levels: list[int]) -> None:
    trace = random_trace(seed, 2500)
    sizes = zip((600, 513, 3000), levels, strict=True)
    devices = tuple(SwapDevice(n, n + 1, pages=pages, priority=level) for n, (pages, level) in enumerate(sizes))
    several = MemoryTrace(trace.columns, trace.valid, dataclasses.replace(trace.meta, devices=devices))
    assert_twin(several, spec, cuts)


@pytest.mark.parametrize("spec", ["swap-table+dedup", "zswap+dedup", "vswap-zswap+dedup:scope=zswap+zswap:pool=64KiB"])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2500), max_size=6), first=st.integers(1, 2400))
def test_memory_cgroups_that_appear_late(spec: str, seed: int, cuts: list[int], first: int) -> None:
    trace = random_trace(seed, 2500)
    trace.columns["memcg"][:first] = np.minimum(trace.columns["memcg"][:first], 1)
    assert_twin(trace, spec, cuts)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), row=st.integers(100, 599))
def test_a_page_that_the_timer_wrote_before_it_was_stored_again_waits(seed: int, row: int) -> None:
    trace = random_trace(seed, 600, slots=600, rewrites=0.55, live=40)
    assert_twin(trace, f"vswap-v6+{SMALL_FLASH},timer=250ns", [row], at=10 * row)
