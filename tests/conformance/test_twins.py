"""Law 2: every layout, stage and named policy equals its op-at-a-time twin, figure by figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.conformance.twins import slow_figures
from tests.engines import ENGINES
from tests.streams import MemoryTrace, random_trace

SMALL_FLASH = "flash:buffer=96KiB,erase=64KiB"
SPECS = [
    *(name for name in NAMED if name != "as-recorded"),
    "swap-table:phase=p4rfc",
    "vswap-v6:mru=0,bytes=real",
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
    "swap-table+dedup+tiers:sizes=20%/25%/60%",
    "vswap-v6+tiers:sizes=10%/90%,memcg=1@2/2@12",
    "vswap-table+tiers:sizes=15%/20%/70%,demote=5us,prefer=free,memcg=1@1/2@23",
    "vswap-v6+dedup+tiers:sizes=20%/80%,demote=2us",
    f"swap-table+{SMALL_FLASH}",
    "swap-table+zswap:pool=256KiB,order=lru,load=keep,incompressible=store+ftl:erase=64KiB",
    "vswap-v6+zswap:pool=128KiB,accept=50%+slots:discard=on+ftl:erase=64KiB",
    "vswap-table+zswap:pool=1MiB,order=lru,accept=100%",
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
    f"direct:bytes=published+zswap:pool=256KiB,order=lru+{SMALL_FLASH}",
    "swap-table:phase=p1+zswap:pool=64KiB,load=keep",
]


def assert_twin(trace: MemoryTrace, spec: str, cuts: list[int], free_inference: str = "latest") -> None:
    report = replay(trace.cut(cuts), [resolve(spec)], free_inference=free_inference)[0]
    expected = slow_figures(trace, spec, free_inference)
    shown = {
        name: figure.value
        for name, figure in report.metrics.items()
        if not name.startswith(("trace.", "cost.", "indirection.ns", "write.logical", "write.amplification"))
        and not name.endswith("_per_event")
    }
    assert shown == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2500), max_size=6), early=st.booleans())
def test_policy_equals_its_twin(engine: Engine, spec: str, seed: int, cuts: list[int], early: bool) -> None:
    with using_engine(engine):
        assert_twin(random_trace(seed, 2500), spec, cuts, "earliest" if early else "latest")


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2500), max_size=6), first=st.integers(1, 2400))
def test_memory_cgroups_that_appear_late(engine: Engine, seed: int, cuts: list[int], first: int) -> None:
    trace = random_trace(seed, 2500)
    trace.columns["memcg"][:first] = np.minimum(trace.columns["memcg"][:first], 1)
    with using_engine(engine):
        assert_twin(trace, "swap-table+dedup", cuts)
