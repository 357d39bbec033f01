"""The laws of ARCHITECTURE.md: the contract for every named policy, and what single stages promise besides.

The contract is the one that plugins are held to: swaptrace.testing. Twins are in test_twins.py, stages in random
compositions in test_compositions.py.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.model.report import Report
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from swaptrace.testing import policy_contract
from swaptrace.testing.streams import all_zero, nothing_to_do
from tests.conformance.test_twins import SMALL_FLASH
from tests.streams import MemoryTrace, random_trace

PAGE = 4096
SMALL_POOLS = [
    "swap-table+zswap:pool=256KiB,order=lru,load=keep",
    f"vswap-v6+zswap:pool=256KiB,incompressible=store+{SMALL_FLASH}+ftl:erase=64KiB",
    "swap-table+zswap:pool=256KiB+dedup",
    f"vswap-v6+zswap:pool=256KiB+dedup:charges=on+{SMALL_FLASH}",
]
FLASH = [
    f"vswap-v6+dedup+{SMALL_FLASH}+ftl:erase=64KiB",
    f"swap-table+{SMALL_FLASH}",
    "vswap-v6+flash:buffer=256KiB,erase=64KiB,gc=fifo,low=25%,pressure=8/120ns,timer=2us",
    f"stacked+{SMALL_FLASH},gc=cost-benefit,buffered=tombstone,timer=3us+ftl:erase=64KiB",
]
SPECS = [*NAMED, *FLASH, *SMALL_POOLS]


def run(trace: MemoryTrace, spec: str, cuts: list[int] | None = None) -> Report:
    return replay(trace.cut(cuts or []), [resolve(spec)])[0]


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_policy_keeps_the_contract(spec: str, seed: int) -> None:
    policy_contract(spec, seeds=[seed])


@pytest.mark.parametrize("layout", ["swap-table", "vswap-v6", "vswap-table", "flash-vswap"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_dedup_stage_has_nothing_to_share_among_unique_hashes(layout: str, seed: int) -> None:
    """That it changes nothing but its index cost then is the contract's law of neutrality."""
    trace = nothing_to_do(random_trace(seed, 3000), seed)
    dedup = run(trace, layout + "+dedup")
    assert dedup.value("dedup.hits") == 0
    policy_contract(layout + "+dedup", seeds=[seed], laws=["neutrality"])


@pytest.mark.parametrize(
    "spec",
    [
        "zswap:pool=128KiB",
        "vswap-zswap:pool=256KiB,order=lru,load=keep",
        "vswap-table+zswap:pool=64KiB,incompressible=store+slots:discard=on+ftl:erase=64KiB",
        f"swap-table+zswap:pool=64KiB+{SMALL_FLASH}",
    ],
)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 3000), max_size=4))
def test_an_index_in_the_pool_with_nothing_to_share_changes_nothing_else(spec: str, seed: int, cuts: list[int]) -> None:
    trace = random_trace(seed, 3000, unhashed=0.1)
    trace.columns["hash"] = np.random.default_rng(seed).permutation(trace.rows).astype("u8") + np.uint64(1)
    plain, dedup = run(trace, spec), run(trace, spec + "+dedup:charges=on", cuts)
    priced = ("indirection.ns", "cost.")
    assert {name: figure for name, figure in dedup.metrics.items() if name in plain.metrics} == plain.metrics
    added = {n for n, f in dedup.metrics.items() if f.value and not n.startswith(priced)} - plain.metrics.keys()
    assert added - {f"dedup.charges.{rule}_{when}" for rule in ("first", "split", "all") for when in WHEN} == {
        "dedup.index_bytes_peak", "dedup.unique_peak", "dedup.refs_max", "dedup.unhashed", "dedup.charges.memcgs",
    }  # fmt: skip
    assert dedup.value("dedup.unique_peak") == plain.value("zswap.pages_peak")
    assert dedup.value("dedup.index_bytes_peak") == (24 + 24) * (plain.value("zswap.pages_peak") or 0)


WHEN = ("bytes_peak", "total_bytes_end")


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_owner_of_a_shared_page_is_pointed_to_its_slot_or_gets_a_copy(seed: int) -> None:
    trace = random_trace(seed, 3000, zero=0.0)
    virtual, direct = (run(trace, f"{name}:pool=128KiB+dedup:charges=on") for name in ("vswap-zswap", "zswap"))
    assert (virtual.value("dedup.repointed") or 0) == (direct.value("dedup.copied_pages") or 0) > 0
    assert virtual.value("dedup.copied_pages") == direct.value("dedup.repointed") == 0
    for name in ("dedup.hits", "zswap.writebacks", "zswap.loads", "dedup.charges.all_bytes_peak"):
        assert virtual.value(name) == direct.value(name)
    for rule in ("first", "all"):
        end = virtual.value(f"dedup.charges.{rule}_total_bytes_end") or 0
        assert end >= (virtual.value("dedup.charges.first_total_bytes_end") or 0) > 0
    pinned = run(trace, "vswap-zswap:pool=128KiB+dedup:shared=pin")
    assert pinned.value("dedup.repointed") == 0
    assert (pinned.value("zswap.pinned_bytes_peak") or 0) > 0


@pytest.mark.parametrize("layout", ["swap-table", "vswap-v6", "vswap-table", "flash-vswap"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_same_filled_elision_with_no_such_page_changes_nothing(layout: str, seed: int) -> None:
    trace = random_trace(seed, 2000)
    trace.valid["fill"] &= trace.columns["fill"] == 0
    assert run(trace, layout).metrics == run(trace, layout + "+zero:same=on").metrics


@pytest.mark.parametrize("layout", ["swap-table", "vswap-v6", "vswap-table"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_unlimited_pool_that_takes_every_page_leaves_the_device_alone(layout: str, seed: int) -> None:
    trace = random_trace(seed, 2000)
    plain, pooled = run(trace, layout), run(trace, layout + "+zswap:incompressible=store,load=keep")
    assert (pooled.value("write.host_bytes"), pooled.value("read.device_bytes")) == (0, 0)
    assert pooled.value("zswap.stores") == (plain.value("write.host_bytes") or 0) / PAGE
    assert pooled.value("zswap.loads") == (plain.value("read.device_bytes") or 0) / PAGE
    for name in ("slots.virtual_peak", "dedup.zero_pages"):
        assert pooled.value(name) == plain.value(name)


@pytest.mark.parametrize("options", ["pack=straddle,timer=2us", "pack=aligned,buffered=tombstone"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_packed_pages_and_bytes_are_accounted_for_once(options: str, seed: int) -> None:
    report = run(random_trace(seed, 3000), f"swap-table+dedup+{SMALL_FLASH},compress=recorded,{options}")

    def value(name: str) -> float:
        return report.value(name) or 0

    elided = value("dedup.zero_pages") + value("dedup.hits")
    waiting = value("write.absorbed_pages") + value("buffer.pages_end")
    assert value("trace.writeouts") == elided + waiting + value("write.packed_pages")
    filled = value("write.packed_bytes") + value("write.host_gc_bytes") + value("write.host_padding_bytes")
    assert value("write.host_bytes") == filled
    assert 0 < value("write.packed_bytes") < PAGE * value("write.packed_pages")


@pytest.mark.parametrize(
    "spec", [name for name in (*NAMED, "flash-device+flash:compress=recorded") if "csize" in resolve(name).columns]
)
def test_a_recorded_size_above_a_page_is_that_of_a_page(spec: str) -> None:
    seen = []
    for size in (4096, 4097, 2**32 - 1):
        trace = random_trace(6, 900)
        trace.columns["csize"][trace.columns["csize"] > 3000] = size
        seen.append(run(trace, spec).metrics)
    assert seen[0] == seen[1] == seen[2]


def test_a_page_in_the_place_of_a_freed_zero_page_is_not_taken_for_it() -> None:
    """A batch of one op, with no zero page alive: the handle of the one that was freed is used again."""
    trace = random_trace(251479, 2200)
    whole, cut = (
        replay(trace.cut(cuts), [resolve("swap-table")], free_inference="earliest")[0] for cuts in ([], [22, 23])
    )
    assert cut.metrics == whole.metrics


def test_as_recorded_does_see_them() -> None:
    trace = random_trace(1, 3000)
    before = run(trace, "as-recorded")
    trace.columns["slot"] = trace.columns["slot"][::-1].copy() * 0 + np.arange(trace.rows) % 4000 + 1
    assert run(trace, "as-recorded").value("write.requests") != before.value("write.requests")


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec != "as-recorded"])
def test_every_zero_page_is_counted(spec: str) -> None:
    """That none is written is in the contract."""
    report = run(all_zero(random_trace(5, 2000)), spec)
    merged = report.value("ksm.merged_pages") or 0
    assert (report.value("dedup.zero_pages") or 0) + merged == report.value("trace.writeouts")


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_zero_pages_that_are_mapped_cost_no_swap_metadata(seed: int) -> None:
    report = run(all_zero(random_trace(seed, 2000)), "zero-ro")
    for name in ("slots.virtual_peak", "slots.physical_peak", "indirection.lookups"):
        assert not report.value(name)
    static = report.value("indirection.metadata_bytes.static")
    assert (report.value("indirection.metadata_bytes.peak") or static) == static
    assert report.value("zero.mapped_pages") == report.value("trace.writeouts")
    assert (report.value("zero.mapped_end") or 0) == len_live(report)


def len_live(report: Report) -> float:
    return (report.value("trace.objects") or 0) - (report.value("trace.frees") or 0)


@pytest.mark.parametrize("layout", ["swap-table", "vswap-v6", "flash-vswap+dedup"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 2000), max_size=4))
def test_stages_with_nothing_to_do_change_nothing_else(layout: str, seed: int, cuts: list[int]) -> None:
    trace = random_trace(seed, 2000, zero=0.0)
    trace.valid["fill"] &= trace.columns["fill"] != 0
    unique = random_trace(seed, 2000, contents=2)
    unique.columns["hash"] = np.random.default_rng(seed).permutation(unique.rows).astype("u8")
    for stream, stage in ((trace, "zero:ro=on"), (trace, "ksm:lag=inf"), (unique, "ksm:lag=0s")):
        plain, other = run(stream, layout).metrics, run(stream, f"{layout}+{stage}", cuts).metrics
        assert {name: other[name] for name in plain} == plain
        assert {n: f.value for n, f in other.items() if n not in plain and f.value} == pytest.approx(
            {n: f.value for n, f in other.items() if n in ("ksm.metadata_bytes_peak", "ksm.profit_bytes_avg")}
        )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), ttl=st.sampled_from(["0s", "1us", "inf"]))
def test_a_loose_index_saves_its_stale_hits_and_no_other_write(seed: int, ttl: str) -> None:
    trace = random_trace(seed, 3000)
    strict = run(trace, "vswap-v6+dedup")
    loose = run(trace, f"vswap-v6+dedup:index=loose,ttl={ttl},verify=content")
    for name in ("dedup.hits", "dedup.unique_peak", "dedup.refs_max", "dedup.cross_memcg_hits", "dedup.unhashed"):
        assert loose.value(name) == strict.value(name)
    stale = loose.value("dedup.stale_hits") or 0
    assert (loose.value("write.host_bytes") or 0) == (strict.value("write.host_bytes") or 0) - PAGE * stale
    assert loose.value("dedup.verify_bytes") == loose.value("dedup.saved_bytes")
    assert (stale > 0) == (ttl != "0s")


@pytest.mark.parametrize("ttl", ["1us", "inf"])
def test_a_loose_index_on_unique_hashes_only_grows(ttl: str) -> None:
    trace = random_trace(9, 3000, unhashed=0.0)
    trace.columns["hash"] = np.random.default_rng(9).permutation(trace.rows).astype("u8")
    strict, loose = run(trace, "swap-table+dedup"), run(trace, f"swap-table+dedup:index=loose,ttl={ttl}")
    assert loose.value("dedup.stale_hits") == 0
    assert (loose.value("dedup.stale_peak") or 0) > 0
    for name in ("write.host_bytes", "read.device_bytes", "dedup.hits", "dedup.unique_peak", "slots.virtual_peak"):
        assert loose.value(name) == strict.value(name)


def test_ksm_saves_the_less_the_slower_it_scans() -> None:
    trace = random_trace(3, 6000)
    merged = [run(trace, f"swap-table+ksm:lag={lag}").value("ksm.merged_pages") for lag in ("0s", "1us", "20us", "inf")]
    assert merged == sorted(merged, reverse=True)  # type: ignore[type-var]
    assert merged[0] > merged[2] > merged[3] == 0  # type: ignore[operator]


def test_the_random_streams_reach_every_regime() -> None:
    """What the other tests lean on: hits, in-place rewrites, cross-memcg hits, cleaning, absorption, erases."""
    trace = random_trace(3, 6000, slots=1024, live=500)
    report = run(trace, f"vswap-v6+dedup+{SMALL_FLASH}+ftl:erase=64KiB")
    for name in (
        "dedup.hits",
        "dedup.cross_memcg_hits",
        "dedup.unhashed",
        "write.absorbed_pages",
        "write.host_gc_bytes",
        "buffer.hits",
        "write.erases",
        "indirection.lookups.gc",
        "trace.inferred_frees",
        "trace.cache_hits",
    ):
        assert (report.value(name) or 0) > 0, name
    plain = run(trace, "swap-table+ftl:erase=64KiB")
    assert (plain.value("write.amplification_flash") or 0) > 1
    assert (plain.value("slots.physical_idle_peak") or 0) > 0


PATHS = ["", "+zswap:pool=128KiB", "+tiers", "+zero:ro=on,same=on+slots:discard=on+ftl:erase=64KiB", "+ksm:lag=0s"]


@pytest.mark.parametrize("path", [*PATHS, "+dedup", f"+{SMALL_FLASH}"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_module_that_nothing_goes_past_is_the_swap_table_edition(path: str, seed: int) -> None:
    trace = random_trace(seed, 2000).cut([700])
    knobs = "redirect=24,mru=1" if seed % 2 else "memcg_table=eager"
    specs = (f"vswap-module:share=100%,{knobs}{path}", f"vswap-table:{knobs}{path}")
    module, table = replay(trace, [resolve(spec) for spec in specs], at="60%", memcg=seed % 4 or None)
    assert module.metrics == table.metrics


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("module", "phase"),
    [("share=0%", "p4"), ("share=100%,bypass=1/2/3", "p4"), ("share=0%,redirect=16", "p4rfc")],
)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_module_that_everything_goes_past_is_the_swap_table(module: str, phase: str, path: str, seed: int) -> None:
    trace = random_trace(seed, 2000).cut([700])
    specs = (f"vswap-module:{module}{path}", f"swap-table:phase={phase}{path}")
    past, table = (replay(trace, [resolve(spec)], at="60%", memcg=seed % 4 or None)[0].metrics for spec in specs)
    assert past.pop("slots.virtual_peak").value == 0
    table.pop("slots.virtual_peak")
    virtual = [name for name in past if name.startswith(("swapoff.virtual.", "cost.swapoff_ns.virtual"))]
    assert {past.pop(name).value for name in virtual} == {0}
    if path == "+tiers":  # the direct layout counts the clusters of one device, the module those of each tier
        for name in [name for name in past if name.startswith("indirection.metadata_bytes")]:
            del past[name], table[name]
    assert past == table


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), millionths=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 2000), max_size=5))
def test_exactly_the_share_that_was_asked_for_goes_through_the_module(
    seed: int, millionths: int, cuts: list[int]
) -> None:
    """On single pages that are never freed: of n, floor(n * share) are virtual."""
    trace = random_trace(seed, 2000, slots=4096, folios=0.0, rewrites=0.0, live=4000)
    kept = (trace.columns["kind"] == 0).nonzero()[0]
    _, first = np.unique(trace.columns["slot"][kept], return_index=True)
    kept = kept[np.sort(first)]
    columns = {name: values[kept] for name, values in trace.columns.items()}
    valid = {name: mask[kept] for name, mask in trace.valid.items()}
    births = MemoryTrace(columns, valid, dataclasses.replace(trace.meta, rows=len(kept)))
    report = run(births, f"vswap-module:share={millionths / 10**4:.4f}%", cuts)
    assert report.value("trace.objects") == len(kept)
    assert (report.value("slots.virtual_peak") or 0) == len(kept) * millionths // 10**6
