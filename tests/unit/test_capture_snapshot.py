"""Snapshots: page tables made by hand, read both ways, and a real one without swap."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from swaptrace.capture import pagemap
from swaptrace.capture.pagemap import anonymous_areas, swap_entries
from swaptrace.capture.settings import memory_stat, swap_settings
from swaptrace.capture.snapshot import take
from swaptrace.model.meta import SwapDevice

MAPS = """\
00001000-00003000 r-xp 00000000 08:01 77     /usr/bin/program
00005000-00009000 rw-p 00000000 00:00 0      [heap]
00010000-00020000 rw-s 00000000 00:05 9      /dev/zero (deleted)
00020000-00021000 r--p 00000000 00:00 0      [vvar]
"""
ZRAM = SwapDevice(0, 253 << 20, "/dev/zram0", "zram", 4096)
FILE = SwapDevice(1, 7 << 20, "/swap", "file", 4096)


def entry(kind: int, slot: int) -> int:
    return 1 << 62 | slot << 5 | kind


def process(proc: Path, pid: int, entries: dict[int, int], swap_kib: int = 8) -> None:
    """Make /proc/PID with a pagemap that has ``entries`` by page number."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "status").write_text(f"Name:\tp\nVmSwap:\t{swap_kib} kB\nThreads:\t1\n")
    (folder / "comm").write_text(f"p{pid}\n")
    (folder / "maps").write_text(MAPS)
    table = np.zeros(0x30, np.uint64)
    for page, value in entries.items():
        table[page] = value
    table.tofile(folder / "pagemap")


def test_areas_are_the_private_mappings() -> None:
    areas = anonymous_areas(MAPS)
    assert [(a.start, a.end, a.anonymous) for a in areas] == [(0x1000, 0x3000, False), (0x5000, 0x9000, True)]


def test_pages_and_processes(tmp_path: Path) -> None:
    present, migration, shared = 1 << 63 | 5, entry(30, 9), entry(0, 99)
    process(tmp_path, 12, {1: entry(0, 7), 5: entry(1, 8), 6: present, 7: migration, 8: entry(0, 9), 0x10: shared})
    process(tmp_path, 9, {5: entry(0, 9)})
    process(tmp_path, 10, {5: entry(0, 1)}, swap_kib=0)
    (tmp_path / "self").mkdir()
    found = take("start", [ZRAM, FILE], tmp_path)
    assert found.complete
    assert found.notes == ()
    rows = [{k: v for k, v in row.items() if k != "ts"} for row in found.pages.to_pylist()]
    assert rows == [
        {"when": "start", "swap_type": 0, "slot": 9, "owner_tgid": 9, "va": 0x5000},
        {"when": "start", "swap_type": 0, "slot": 7, "owner_tgid": 12, "va": 0x1000},
        {"when": "start", "swap_type": 1, "slot": 8, "owner_tgid": 12, "va": 0x5000},
        {"when": "start", "swap_type": 0, "slot": 9, "owner_tgid": 12, "va": 0x8000},
    ]
    rows = [{k: v for k, v in row.items() if k != "ts"} for row in found.processes.to_pylist()]
    assert rows == [
        {"when": "start", "tgid": 9, "comm": "p9", "anonymous_bytes": 0x4000, "swapped": 1},
        {"when": "start", "tgid": 12, "comm": "p12", "anonymous_bytes": 0x4000, "swapped": 3},
    ]


def test_the_types_follow_the_lines_of_proc_swaps(tmp_path: Path) -> None:
    """Type 0 was disabled before: the kernel's 1 and 2 are the lines 0 and 1, if both have a page."""
    process(tmp_path, 9, {5: entry(1, 4), 6: entry(2, 5)})
    assert take("start", [ZRAM, FILE], tmp_path).pages["swap_type"].to_pylist() == [0, 1]
    (tmp_path / "9/pagemap").unlink()
    process(tmp_path, 10, {5: entry(2, 5)})
    (tmp_path / "9/status").unlink()
    found = take("start", [ZRAM, FILE], tmp_path)
    assert found.pages["swap_type"].to_pylist() == [255]
    assert "no swap type" in found.notes[0]


@pytest.mark.parametrize(("used", "seen"), [((0, 8), 1), ((8, 0), 0), ((8, 8), 255)])
def test_areas_without_pages_tell_the_type(tmp_path: Path, used: tuple[int, int], seen: int) -> None:
    """The kernel's type 1 is the second line, or the first one after a swapoff: that which is in use."""
    process(tmp_path, 9, {5: entry(1, 4)})
    lines = [f"/dev/area{i} partition 1020 {pages} -2" for i, pages in enumerate(used)]
    (tmp_path / "swaps").write_text("\n".join(["Filename Type Size Used Priority", *lines]))
    found = take("start", [ZRAM, FILE], tmp_path)
    assert found.pages["swap_type"].to_pylist() == [seen]
    assert found.complete is (seen != 255)


def test_what_cannot_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process(tmp_path, 9, {5: entry(0, 0), 6: entry(0, 0)})  # without CAP_SYS_ADMIN the kernel hides the slots
    process(tmp_path, 10, {})
    (tmp_path / "10/pagemap").unlink()
    (tmp_path / "10/pagemap").mkdir()
    found = take("stop", [ZRAM], tmp_path)
    assert not found.complete
    assert found.pages.num_rows == 0
    assert found.notes == (
        "snapshot at stop: 1 processes with swapped pages could not be read",
        "snapshot at stop: the kernel hides the slots of 2 pages (CAP_SYS_ADMIN is needed)",
    )
    monkeypatch.setattr(pagemap, "_SPARSE", 3)
    assert "4 pages of very large mappings were not searched" in take("stop", [ZRAM], tmp_path).notes[-1]


def test_without_swapped_pages_there_are_no_rows(tmp_path: Path) -> None:
    found = take("start", [ZRAM], tmp_path)
    assert (found.pages.num_rows, found.processes.num_rows, found.complete) == (0, 0, True)
    address, kind, slot, skipped = swap_entries(os.getpid(), anonymous_areas(Path("/proc/self/maps").read_text()))
    assert len(address) == len(kind) == len(slot)
    assert skipped >= 0


def test_settings_are_those_that_are_there(tmp_path: Path) -> None:
    for name, text in {
        "sys/module/zswap/parameters/enabled": "Y",
        "sys/block/zram0/comp_algorithm": "lzo [lz4]",
        "proc/sys/vm/page-cluster": "3",
        "proc/meminfo": "MemTotal:       16316412 kB\nMemFree:  1 kB",
        "sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled": "[always]",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert swap_settings([ZRAM, FILE], tmp_path) == {
        "zswap.enabled": "Y",
        "zram0.comp_algorithm": "lzo [lz4]",
        "vm.page-cluster": "3",
        "thp.hugepages-64kB": "[always]",
        "mem_total": "16316412 kB",
    }
    (tmp_path / "memory.stat").write_text("anon 4096\nfile 0\n")
    assert memory_stat(tmp_path) == {"anon": 4096, "file": 0}
    assert memory_stat(tmp_path / "none") == {}
