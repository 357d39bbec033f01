"""The pricing function on reports small enough to price by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swaptrace.model.basis import Basis, PageClass
from swaptrace.model.cost_files import load_cost
from swaptrace.model.errors import InputError
from swaptrace.model.ops import Backing, Op
from swaptrace.model.pricing import is_whole, reprice
from swaptrace.model.report import Report
from swaptrace.model.work import work_of
from swaptrace.policies.registry import resolve
from tests.reports import report

BASIS = Basis(
    pages={"out.disk.3.4": 98, "out.zero.3.3": 2, "in.disk.4.3": 1, "free.disk.1.3": 100, "dup.disk.1.2": 7},
    work={
        "out.disk": ("zero_reject_ns", "device_write_ns"),
        "out.zero": ("zero_accept_ns",),
        "in.disk": ("fault_ns", "device_read_ns"),
        "free.disk": (),
    },
    discarded_pages=1024,
    erase_blocks=100,
)
EXACT = {
    "trace.writeouts": 100,
    "trace.reads": 1,
    "trace.frees": 100,
    "indirection.lookups": 411,
    "indirection.cachelines": 715,
    "write.host_bytes": 98 * 4096,
    "write.requests": 90,
    "write.erases": 4,
    "read.device_bytes": 4096,
}
ROUND = ["line_ns=100", "walk_ns=10", "zero_reject_ns=1", "zero_accept_ns=200", "fault_ns=3000", "pe_cycles=1000"]
DEVICE = ["device_read_ns=100us", "device_write_ns=20us", "device_seq_write_ns=2us", "device_discard_ns=1ms"]


def priced(cost: str, changes: list[str], basis: Basis = BASIS) -> Report:
    return reprice(replace(report("a", EXACT), basis=basis), load_cost(cost, changes))


def values(one: Report) -> dict[str, float]:
    return {name: figure.value for name, figure in one.metrics.items() if name not in EXACT}


def test_by_hand_without_a_device() -> None:
    found = priced("neutral", ROUND[:2])
    assert not is_whole(found)
    assert values(found) == {
        "indirection.ns": 4110 + 71500,
        "indirection.ns_per_event": 75610 / 201,
        "cost.swap_out_ns.mean": (98 * 430 + 2 * 330) / 100,
        "cost.swap_out_ns.p50": 430,
        "cost.swap_out_ns.p99": 430,
        "cost.swap_in_ns.mean": 340,
        "cost.swap_in_ns.p50": 340,
        "cost.swap_in_ns.p99": 340,
        "cost.free_ns.mean": 310,
        "cost.free_ns.p50": 310,
        "cost.free_ns.p99": 310,
    }


def test_by_hand_with_a_device() -> None:
    found = priced("emmc51", [*ROUND, *DEVICE])
    assert is_whole(found)
    got = values(found)
    assert got["cost.swap_out_ns.mean"] == (98 * 20_431 + 2 * 530) / 100
    assert (got["cost.swap_out_ns.p50"], got["cost.swap_out_ns.p99"]) == (20_431, 20_431)
    assert got["cost.swap_in_ns.p50"] == 340 + 3000 + 100_000
    assert got["cost.free_ns.p99"] == 310
    assert got["cost.device_ns"] == 100_000 + 90 * 20_000 + 8 * 2_000 + 2 * 1_000_000
    years = 92e9 / (365.25 * 86400e9)
    assert got["cost.device_life_years"] == pytest.approx(100 * 1000 / (4 / years), rel=1e-12)


def test_percentiles_are_those_of_the_pages() -> None:
    basis = replace(BASIS, pages={"out.disk.1.0": 1, "out.disk.2.0": 98, "out.disk.3.0": 1})
    got = values(priced("neutral", ROUND[:2], basis))
    assert (got["cost.swap_out_ns.p50"], got["cost.swap_out_ns.p99"]) == (20, 20)
    basis = replace(BASIS, pages={"out.disk.1.0": 50, "out.disk.2.0": 48, "out.disk.3.0": 2})
    got = values(priced("neutral", ROUND[:2], basis))
    assert (got["cost.swap_out_ns.p50"], got["cost.swap_out_ns.p99"]) == (10, 30)


def test_the_range_has_all_prices_at_their_ends() -> None:
    figure = priced("neutral", ["line_ns=1..100", "walk_ns=10..20..40"]).metrics["indirection.ns"]
    assert (figure.low, figure.value, figure.high) == (
        4110 + 715,
        411 * 20 + 715 * 50.5,
        411 * 40 + 71500,
    )


def test_a_report_keeps_the_prices_that_act_and_all_overrides() -> None:
    plain = priced("neutral", ["hash_ns=3"]).cost
    assert list(plain.prices) == ["line_ns", "walk_ns"]
    assert plain.overrides == {"hash_ns": "3"}
    whole = priced("emmc51", DEVICE).cost
    assert {"fault_ns", "zero_accept_ns", "device_read_ns", "pe_cycles"} <= whole.prices.keys()
    assert not {"hash_ns", "copy_ns", "minor_fault_ns"} & whole.prices.keys()


def test_what_cannot_be_priced_is_absent() -> None:
    unknown = replace(BASIS, work={way: work for way, work in BASIS.work.items() if way != "in.disk"})
    got = values(priced("emmc51", [], unknown))
    assert "cost.swap_in_ns.mean" not in got
    assert "cost.swap_out_ns.mean" in got
    assert "cost.device_life_years" not in values(priced("pmem", []))
    assert "cost.device_life_years" not in values(priced("emmc51", [], replace(BASIS, erase_blocks=0)))
    newer = replace(BASIS, work={**BASIS.work, "in.disk": ("warp_ns",)})
    assert "cost.swap_in_ns.mean" not in values(priced("emmc51", [], newer))


def test_other_prices_leave_no_trace_of_the_first() -> None:
    once = priced("neutral", [])
    assert reprice(priced("emmc51", DEVICE), load_cost()) == once
    assert reprice(once, load_cost()) == once


def test_an_older_report_says_that_it_has_no_basis() -> None:
    with pytest.raises(InputError) as caught:
        reprice(report("a", EXACT), load_cost())
    assert "cannot be priced again" in caught.value.what
    assert "--cost" in caught.value.next_step


@pytest.mark.parametrize("key", ["out.disk.3", "out.disk.x.3", "fly.disk.1.1", "out.moon.1.1", "out.disk. 1.1", ""])
def test_a_damaged_basis_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="no class of ops"):
        Basis(pages={key: 3})
    with pytest.raises(ValueError, match="below zero"):
        Basis(pages={"out.disk.1.1": -3})


def test_a_class_is_its_key() -> None:
    assert PageClass.of("in.zswap.4.3") == PageClass(Op.IN, Backing.ZSWAP, 4, 3)


def test_the_way_of_a_page_through_its_path() -> None:
    stages = [part.build() for part in resolve("vswap-v6+dedup").path]
    assert work_of(stages, Op.OUT, Backing.ZERO) == ("zero_accept_ns",)
    assert work_of(stages, Op.OUT, Backing.SHARED) == ("zero_reject_ns", "hash_ns", "index_ns")
    assert work_of(stages, Op.OUT, Backing.DISK) == ("zero_reject_ns", "hash_ns", "index_ns", "device_write_ns")
    assert work_of(stages, Op.IN, Backing.DISK) == ("fault_ns", "device_read_ns")
    assert work_of(stages, Op.FREE, Backing.DISK) == ()
    assert work_of(stages, Op.IN, Backing.PENDING) is None
    zswap = [part.build() for part in resolve("vswap-v6+zswap").path]
    assert work_of(zswap, Op.OUT, Backing.ZSWAP) == ("zero_reject_ns", "lz4_compress_ns")
    assert work_of(zswap, Op.OUT, Backing.DISK) == ("zero_reject_ns", "lz4_compress_ns", "device_write_ns")
    verified = [part.build() for part in resolve("vswap-v6+dedup:verify=content").path]
    hit = ("zero_reject_ns", "hash_ns", "index_ns", "device_read_ns", "compare_ns")
    assert work_of(verified, Op.OUT, Backing.SHARED) == hit
    pool = [part.build() for part in resolve("vswap-zswap:sizes=zstd1+dedup:verify=content").path]
    looked_up = ("zero_reject_ns", "hash_ns", "index_ns")
    assert work_of(pool, Op.OUT, Backing.ZSWAP_SHARED) == (*looked_up, "zstd_decompress_ns", "compare_ns")
    assert work_of(pool, Op.OUT, Backing.ZSWAP) == (*looked_up, "zstd_compress_ns")
    assert work_of(pool, Op.OUT, Backing.DISK) == (*looked_up, "zstd_compress_ns", "device_write_ns")
    assert work_of(pool, Op.IN, Backing.ZSWAP) == ("fault_ns", "zstd_decompress_ns")
    twice = [part.build() for part in resolve("vswap-v6+dedup:verify=hash").path]
    assert work_of(twice, Op.OUT, Backing.SHARED) == ("zero_reject_ns", "hash_ns", "hash_ns", "index_ns")
    assert work_of([], Op.OUT, Backing.ZSWAP) == ("lz4_compress_ns",)
    stages[0].compressors = {Backing.RAM: "zstd"}
    assert work_of(stages, Op.IN, Backing.RAM) == ("fault_ns", "zstd_decompress_ns")
    assert work_of(stages, Op.IN, Backing.ZSWAP) == ("fault_ns", "lz4_decompress_ns")
