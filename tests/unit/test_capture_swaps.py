"""Swap areas: /proc/swaps, sysfs, FIEMAP, and the kernel's rule that makes slots of extents."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from swaptrace.capture import swaps
from swaptrace.capture.fiemap import file_extents, swap_extents
from swaptrace.capture.swaps import device_number, parse_swaps, read_swaps
from swaptrace.model.errors import CapabilityError

HEADER = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def test_sizes_count_the_header_page() -> None:
    text = HEADER + "/dev/zram1                              partition\t16380\t\t0\t\t-2\n"
    assert parse_swaps(text) == [("/dev/zram1", "partition", 4096, -2)]


def test_blanks_of_a_path_are_octal_in_the_file() -> None:
    text = HEADER + "/my\\040swap\\134file                     file\t1020\t\t8\t\t5\n"
    assert parse_swaps(text) == [("/my swap\\file", "file", 256, 5)]


def test_a_path_may_be_any_bytes(tmp_path: Path) -> None:
    swaps_file = tmp_path / "swaps"
    swaps_file.write_bytes(HEADER.encode() + b"/swap\xff                     file\t1020\t\t8\t\t5\n")
    ((area,), (note,)) = read_swaps(swaps_file)
    assert area.path == "/swap\\xff"
    assert "not recorded" in note


def test_no_area() -> None:
    assert parse_swaps(HEADER) == []


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /sys/dev/block with disk 7:1 and its partition 259:0 from sector 2048, and zram 253:0."""
    disk = tmp_path / "devices/loop1"
    (disk / "loop1p1").mkdir(parents=True)
    (disk / "dev").write_text("7:1\n")
    (disk / "loop1p1/partition").write_text("1\n")
    (disk / "loop1p1/start").write_text("2048\n")
    zram = tmp_path / "devices/zram0"
    zram.mkdir()
    block = tmp_path / "block"
    block.mkdir()
    for name, target in (("7:1", disk), ("259:0", disk / "loop1p1"), ("253:0", zram)):
        (block / name).symlink_to(target)
    monkeypatch.setattr(swaps, "_BLOCK", block)
    return block


def test_a_partition_is_named_by_its_disk(sysfs: Path) -> None:
    assert swaps.disk_of(259, 0) == (device_number(7, 1), 2048, "loop1p1")
    assert swaps.disk_of(7, 1) == (device_number(7, 1), 0, "loop1")
    assert swaps.disk_of(253, 0) == (device_number(253, 0), 0, "zram0")


def test_kinds_and_types(sysfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"/dev/zram0": (253, 0), "/dev/loop1p1": (259, 0), "/dev/loop1": (7, 1)}
    real = os.stat

    class Stat:
        def __init__(self, major: int, minor: int) -> None:
            self.st_rdev = os.makedev(major, minor)

    monkeypatch.setattr(
        os, "stat", lambda path, **more: Stat(*numbers[path]) if path in numbers else real(path, **more)
    )
    proc = tmp_path / "swaps"
    proc.write_text(HEADER + "".join(f"{path} partition 1020 0 {-2 - i}\n" for i, path in enumerate(numbers)))
    devices, notes = read_swaps(proc)
    assert notes == ()
    assert [(d.swap_type, d.kind, d.start_sector, d.pages, d.priority) for d in devices] == [
        (0, "zram", 0, 256, -2),
        (1, "partition", 2048, 256, -3),
        (2, "disk", 0, 256, -4),
    ]


def test_an_area_that_cannot_be_resolved_keeps_its_type_and_is_named(tmp_path: Path) -> None:
    proc = tmp_path / "swaps"
    proc.write_text(HEADER + "/gone\\040(deleted) file 1020 0 -2\n/dev/no-such-device partition 1020 0 -3\n")
    devices, notes = read_swaps(proc)
    assert [(d.swap_type, d.dev) for d in devices] == [(0, 0), (1, 0)]
    assert "/gone (deleted)" in notes[0]
    assert "No such file" in notes[1]


@pytest.mark.parametrize(
    ("extents", "slots"),
    [
        ([], ()),
        ([(0, 40960, 8192), (8192, 409600, 4096)], ((0, 80, 2), (2, 800, 1))),
        # neighbours on the device are one extent, so a page across their seam is a slot
        ([(0, 1024, 3072), (3072, 4096, 4096)], ((0, 8, 1),)),
        ([(0, 4096, 2048), (2048, 6144, 2048)], ((0, 8, 1),)),
        # 1 KiB blocks: no whole page in the first extent, so file page 1 becomes slot 0
        ([(0, 5120, 4096), (4096, 81920, 4096)], ((0, 160, 1),)),
    ],
)
def test_slots_follow_the_kernels_rule(
    extents: list[tuple[int, int, int]], slots: tuple[tuple[int, int, int], ...]
) -> None:
    assert swap_extents(extents) == slots


def test_a_partitions_start_is_added() -> None:
    assert swap_extents([(0, 4096, 4096)], 2048) == ((0, 2056, 1),)


def test_fiemap_covers_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    try:
        extents = file_extents(str(path))
    except CapabilityError as error:
        pytest.skip(f"no FIEMAP here: {error.why}")
    assert sum(length for _, _, length in extents) == 1 << 20
    assert [logical for logical, _, _ in extents] == sorted(logical for logical, _, _ in extents)


def test_a_file_system_without_fiemap_is_an_error_with_a_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    with pytest.raises(CapabilityError, match="cannot be found") as caught:
        file_extents(str(path))
    assert "FIEMAP" in caught.value.why
    assert caught.value.next_step
