"""The table of tracepoints: names by kernel, filters, and event item numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.capture.probes import select
from swaptrace.capture.vmstat import event_counters, read_vmstat, swap_items
from swaptrace.model.errors import CapabilityError
from swaptrace.model.meta import SwapDevice

ZRAM = SwapDevice(0, 253 << 20)
FILE = SwapDevice(1, 254 << 20, kind="file")


def test_filters_name_the_swap_disks_and_the_items() -> None:
    events, notes = select(lambda *_: True, [ZRAM, FILE, ZRAM, SwapDevice(2, 0)], {"pswpin": 2, "pswpout": 3})
    filters = {event.name: event.filter for event in events}
    assert notes == ()
    assert filters["block:block_bio_queue"] == f"dev == {253 << 20} || dev == {254 << 20}"
    assert filters["memcg:count_memcg_events"] == "item == 2 || item == 3"
    assert "vmscan:mm_vmscan_writepage" not in filters
    assert "kmem:mm_page_alloc" not in filters


def test_owner_adds_page_allocations() -> None:
    events, _ = select(lambda *_: True, [ZRAM], {"pswpin": 2}, owner=True)
    assert ("kmem:mm_page_alloc", "migratetype == 1") in [(event.name, event.filter) for event in events]


def test_frees_on_zram_are_recorded_by_their_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = """0000000000000000 A fixed_percpu_data
ffffffff81000100 T zs_free
ffffffff81000180 t zs_free_too
ffffffff81000200 T something
ffffffff81000300 T zs_malloc
ffffffff81000400 T other
ffffffffc0000000 t zram_free_page\t[zram]
ffffffff81000300 t zs_alias
"""
    (tmp_path / "kallsyms").write_text(symbols)
    monkeypatch.setattr("swaptrace.capture.symbols.PROC_KALLSYMS", tmp_path / "kallsyms")
    zram = SwapDevice(0, 253 << 20, kind="zram")
    events, notes = select(lambda *_: True, [zram], {"pswpin": 2}, owner=True)
    filters = {event.event: event.filter for event in events}
    assert (
        filters["kmem_cache_alloc"]
        == "bytes_req == 8 && ((call_site > 0xffffffff81000300 && call_site <= 0xffffffff81000400))"
    )
    assert filters["kmem_cache_free"] == (
        "(call_site > 0xffffffff81000100 && call_site <= 0xffffffff81000200)"
        " || (call_site > 0xffffffffc0000000 && call_site <= 0xffffffffc0010000)"
    )
    assert notes == ()
    assert "kmem_cache_free" not in {event.event for event in select(lambda *_: True, [FILE], {}, owner=True)[0]}
    # An unprivileged reader of /proc/kallsyms sees zeros.
    (tmp_path / "kallsyms").write_text("0000000000000000 T zs_malloc\n0000000000000000 T zs_free\n")
    events, notes = select(lambda *_: True, [zram], {"pswpin": 2}, owner=True)
    assert "kmem_cache_alloc" not in {event.event for event in events}
    assert notes == ("/proc/kallsyms does not tell where zsmalloc is: frees of slots on zram are not recorded",)


def test_old_kernels_write_event_is_taken_and_what_is_missing_is_said() -> None:
    old = {"mm_vmscan_writepage", "block_bio_queue", "sched_process_exec", "sched_process_exit"}
    events, notes = select(lambda system, event: event in old, [ZRAM], {})
    assert {event.event for event in events} == old
    assert len(notes) == 3
    assert any("memcg:count_memcg_events" in note for note in notes)


def test_without_the_write_event_there_is_no_recording() -> None:
    with pytest.raises(CapabilityError, match="mm_vmscan_write_folio or vmscan:mm_vmscan_writepage"):
        select(lambda system, event: system != "vmscan", [ZRAM], {})


def test_item_numbers_count_from_pgpgin(tmp_path: Path) -> None:
    path = tmp_path / "vmstat"
    path.write_text("nr_free_pages 7\npgpgin 10\npgpgout 20\npswpin 1\npswpout 2\nother 0\nswpout_zero 5\n")
    vmstat = read_vmstat(path)
    assert swap_items(vmstat) == {"pswpin": 2, "pswpout": 3, "swpout_zero": 5}
    assert list(event_counters(vmstat)) == ["pgpgin", "pgpgout", "pswpin", "pswpout", "other", "swpout_zero"]
