"""Every layout, stage and named policy equals its op-at-a-time twin, figure by figure, swapoff at any moment included.

The twin, which is what takes time, runs once for both engines.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import using_engine
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
    "swap-table:prefer=free",
    "direct:bytes=published,prefer=free",
    f"direct+dedup+{SMALL_FLASH}",
    "vswap-v6+slots:prefer=free",
    "vswap-v6+zero:same=on+ftl:erase=64KiB,op=20%",
    "vswap-v6+zero:ro=on,same=on",
    "swap-table+ksm:lag=0s",
    "swap-table+dedup:index=loose,ttl=2us,verify=full+slots:discard=on+ftl:erase=64KiB",
    "vswap-v6+dedup:index=loose,ttl=inf,capacity=30",
    f"vswap-table+dedup:index=loose,ttl=5us,capacity=100+{SMALL_FLASH},size=8192",
    "vswap-v6+ksm:lag=3us+zero:ro=on+dedup",
    f"vswap-table+ksm:lag=500ns,node=48+{SMALL_FLASH}",
    "swap-table+zero:ro=on+dedup",
    f"vswap-table+zero:ro=on+{SMALL_FLASH}",
    "swap-table+slots:discard=on+ftl:erase=64KiB",
    "vswap-table+dedup+slots:discard=on+ftl:erase=64KiB",
    f"vswap-v6+{SMALL_FLASH}+ftl:erase=64KiB",
    f"vswap-table+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"vswap-v6+dedup+{SMALL_FLASH},discard=off+ftl:erase=32KiB",
    "swap-table+dedup+tiers:sizes=20%/25%/60%",
    "vswap-v6+tiers:sizes=10%/90%,memcg=1@2/2@12",
    "vswap-table+tiers:sizes=15%/20%/70%,demote=5us,prefer=free,memcg=1@1/2@23",
    "vswap-v6+dedup+tiers:sizes=20%/80%,demote=2us",
    f"swap-table+{SMALL_FLASH}",
    "swap-table+zswap:pool=256KiB,order=lru,load=keep,incompressible=store+ftl:erase=64KiB",
    "vswap-v6+zswap:pool=128KiB,accept=50%+slots:discard=on+ftl:erase=64KiB",
    "vswap-table+zswap:pool=1MiB,order=lru,accept=100%",
    f"vswap-v6+zswap:pool=256KiB,load=keep+{SMALL_FLASH}",
    f"swap-table+dedup+{SMALL_FLASH}",
    "stacked:upper=vswap-table+slots:discard=on+ftl:erase=64KiB",
    f"stacked+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"stacked+zswap:pool=128KiB+{SMALL_FLASH}",
    "direct+zswap:pool=64KiB+ftl:erase=64KiB",
    f"direct:bytes=published+zswap:pool=256KiB,order=lru+{SMALL_FLASH}",
    "swap-table:phase=p1+zswap:pool=64KiB,load=keep",
    # the op that fills the buffer sends its own page to the device
    "vswap-v6+dedup+flash:buffer=64KiB,erase=64KiB",
    "swap-table+flash:buffer=64KiB,erase=64KiB",
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
)
def test_policy_equals_its_twin(
    spec: str, seed: int, size: tuple[int, int], cuts: list[int], early: bool, row: int, between: int, memcg: int | None
) -> None:
    events, live = size
    trace = random_trace(seed, events, live=live)
    at = min(10 * row + between, int(trace.columns["ts"][-1]))
    assert_twin(trace, spec, [*cuts, row], "earliest" if early else "latest", at, memcg)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2500), max_size=6), first=st.integers(1, 2400))
def test_memory_cgroups_that_appear_late(seed: int, cuts: list[int], first: int) -> None:
    trace = random_trace(seed, 2500)
    trace.columns["memcg"][:first] = np.minimum(trace.columns["memcg"][:first], 1)
    assert_twin(trace, "swap-table+dedup", cuts)
