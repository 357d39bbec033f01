"""What zram refuses, and its figures beside those of the kernel that recorded on a real zram."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.model.cost_files import load_cost
from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.refusals import refusal, refusal_without_sizes
from tests.streams import random_trace

TRACES = Path(__file__).parents[2] / "traces"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("zram+zswap", "no compressed size of its own"),
        ("swap-table+zram:size=4096", "cannot act"),
        ("direct+dedup+zram:prefer=free", "cannot act"),
        ("zram+ftl", "ftl cannot act under zram"),
        ("stacked+zram", "stacked cannot act over zram"),
    ],
)
def test_what_cannot_act_is_refused(spec: str, text: str) -> None:
    assert text in refusal(spec)


def test_a_trace_without_compressed_sizes_says_how_to_record_them() -> None:
    assert "compressed sizes" in refusal_without_sizes("zram")


def test_the_table_of_zram_is_what_it_adds_to_the_swap_table() -> None:
    trace = random_trace(4, 3000, folios=0.0, rewrites=0.0)
    plain, zram = (replay(trace.cut([]), [resolve(spec)])[0] for spec in ("swap-table", "zram"))

    def more(name: str) -> float:
        return (zram.value(name) or 0) - (plain.value(name) or 0)

    stores, loads = zram.value("zram.stores") or 0, zram.value("zram.loads") or 0
    ends = stores - (zram.value("zram.pages_end") or 0)
    assert more("indirection.lookups.swap_out") == stores
    assert more("indirection.lookups.swap_in") == loads
    # one that proves an unseen free is a new object: it ends the old one
    assert more("indirection.lookups.free") == ends
    assert more("indirection.cachelines") == stores + loads + ends
    assert more("indirection.metadata_bytes.static") == 16 * trace.meta.devices[0].pages
    assert (plain.value("write.host_bytes"), plain.value("read.device_bytes")) == (4096 * stores, 4096 * loads)


def test_a_page_pays_its_compressor() -> None:
    trace = random_trace(4, 500).cut([])
    lz4, zstd = (
        replay(trace, [resolve(f"zram:compressor={name}")], cost=load_cost("zram", []))[0] for name in ("lz4", "zstd")
    )
    for op in ("swap_out", "swap_in"):
        assert (lz4.value(f"cost.{op}_ns.p99") or 0) < (zstd.value(f"cost.{op}_ns.p99") or 0)
    assert lz4.value("cost.device_ns") == 0


def test_the_pool_is_a_little_more_than_what_the_recording_zram_stored() -> None:
    """Size classes and the handle in front of each object cost a few percent; nothing is lost or counted twice."""
    trace = Trace(TRACES / "redis_zram.parquet")
    report = replay(trace, [resolve("zram")])[0]
    stored, peak = 0, 0
    live: dict[int, int] = {}
    for events in trace.batches(["kind", "backend", "slot", "csize"]):
        rows = (events[name].tolist() for name in ("kind", "backend", "slot", "csize"))
        for kind, backend, slot, size in zip(*rows, strict=True):
            if kind in (Kind.SWAP_OUT, Kind.SLOT_FREE):
                stored -= live.pop(slot, 0)
            if kind == Kind.SWAP_OUT and backend == Backend.DISK:
                live[slot] = size
                stored += size
            peak = max(peak, stored)
    assert report.value("zram.pages_end") == len(live)
    assert peak < (report.value("zram.pool_bytes_peak") or 0) < 1.04 * peak
