"""Real swap areas and memory cgroups for the live tests, taken away again whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swaptrace.capture.bpf.refusal import problem

pytest.register_assert_rewrite("tests.live.recording", "tests.live.bpf_tier")  # a failed count shows its numbers

ZRAM = Path("/sys/class/zram-control")
ZSWAP = Path("/sys/module/zswap/parameters/enabled")
THP = Path("/sys/kernel/mm/transparent_hugepage")
TRACEFS = Path("/sys/kernel/tracing")
CGROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
LIMIT = 64 << 20


def sh(*words: str | Path) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def machine() -> Iterator[None]:
    """Skip where the running kernel cannot be recorded, and say why; mount tracefs where nobody has."""
    if os.geteuid() != 0:
        pytest.skip("live: needs root")
    if Path("/proc/swaps").read_text().count("\n") > 1:
        pytest.skip("live: this machine swaps already; the counts would not be the workload's")
    with _tracefs():
        if not os.access(TRACEFS / "instances", os.W_OK):
            pytest.skip(f"live: {TRACEFS} is not writable")
        yield


@contextmanager
def _tracefs() -> Iterator[None]:
    if (TRACEFS / "instances").is_dir():
        yield
        return
    try:
        sh("mount", "-t", "tracefs", "nodev", TRACEFS)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"live: tracefs cannot be mounted at {TRACEFS}: {error}")
    try:
        yield
    finally:
        sh("umount", TRACEFS)


@pytest.fixture(autouse=True)
def clean_machine(machine: None) -> Iterator[None]:
    """Fail the test that leaves anything behind: swap, zram, loop devices, cgroups, tracing instances."""
    before = state()
    yield
    assert state() == before


def state() -> dict[str, object]:
    """Return what a recording or a fixture could leave behind."""
    return {
        "swaps": Path("/proc/swaps").read_text(),
        "zram": sorted(path.name for path in Path("/sys/block").glob("zram*")),
        "loops": sorted(path.parent.name for path in Path("/sys/block").glob("loop*/loop")),
        "partitions": sorted(path.name for path in Path("/sys/block").glob("loop*/loop*p*")),
        "zswap": ZSWAP.read_text() if ZSWAP.exists() else "",
        "mounts": sorted(m for m in Path("/proc/mounts").read_text().splitlines() if "loop" in m or "swaptrace" in m),
        "instances": sorted(path.name for path in (TRACEFS / "instances").iterdir()),
        "cgroups": sorted(str(path) for root in CGROUPS if root.is_dir() for path in root.glob("swaptrace*")),
    }


@contextlib.contextmanager
def swapped_on(area: Path) -> Iterator[Path]:
    """Enable ``area`` inside the block."""
    sh("mkswap", area)
    sh("swapon", "-p", "5", area)  # all areas alike: the kernel takes turns between them
    try:
        yield area
    finally:
        sh("swapoff", area)


@contextlib.contextmanager
def zram_device(size: str) -> Iterator[Path]:
    """Make a zram device inside the block."""
    number = (ZRAM / "hot_add").read_text().strip()
    block = Path(f"/sys/block/zram{number}")
    try:
        (block / "disksize").write_text(size)
        yield Path(f"/dev/zram{number}")
    finally:
        settle(lambda: (block / "reset").write_text("1"))
        settle(lambda: (ZRAM / "hot_remove").write_text(number))


def settle(action: Callable[[], object]) -> None:
    """Do ``action``; udev or blkid may hold the device for a moment."""
    for _ in range(50):
        try:
            action()
            return
        except OSError:
            time.sleep(0.1)
    action()


@pytest.fixture
def bpf() -> None:
    """Skip where the BPF programs cannot be loaded, and say why."""
    why = problem()
    if why is not None:
        pytest.skip(f"live: {why.what} {why.why}")


@pytest.fixture
def zram(machine: None) -> Iterator[Path]:
    """A zram swap area of 192 MiB."""
    if not ZRAM.is_dir():
        pytest.skip("live: no zram in this kernel")
    with zram_device("192M") as device, swapped_on(device):
        yield device


@pytest.fixture
def loop(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A swap area of 128 MiB on a whole loop device."""
    image = tmp_path / "loop.img"
    sh("dd", "if=/dev/zero", f"of={image}", "bs=1M", "count=128")
    try:
        device = sh("losetup", "-f", "--show", image)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"live: no loop device: {error}")
    try:
        with swapped_on(Path(device)):
            yield Path(device)
    finally:
        sh("losetup", "-d", device)
        image.unlink()


@pytest.fixture
def swap_file(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A fragmented swap file of 96 MiB on ext4, on a partition of a loop device."""
    image, where = tmp_path / "disk.img", tmp_path / "mnt"
    where.mkdir()
    sh("truncate", "-s", "224M", image)
    try:
        loop = sh("losetup", "-f", "--show", image)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"live: no loop device: {error}")
    try:
        # The kernel may know no partition tables: tell it of the partition.
        sh("addpart", loop, "1", "2048", str((223 << 20) // 512))
        partition = Path(f"{loop}p1")
        settle(partition.stat)
        sh("mkfs.ext4", "-q", "-O", "^has_journal", partition)
        sh("mount", partition, where)
        try:
            yield from _fragmented(where)
        finally:
            sh("umount", where)
    finally:
        subprocess.run(["delpart", loop, "1"], check=False, capture_output=True)
        sh("losetup", "-d", loop)
        image.unlink()


def _fragmented(where: Path) -> Iterator[Path]:
    """Fill the file system with small files, delete every other one, and put the swap file into the holes."""
    fillers = [where / f"filler{i}" for i in range(24)]
    for filler in fillers:
        sh("fallocate", "-l", "8M", filler)
    for filler in fillers[::2]:
        filler.unlink()
    area = where / "swap"
    sh("dd", "if=/dev/zero", f"of={area}", "bs=1M", "count=96", "conv=fsync")
    area.chmod(0o600)
    with swapped_on(area):
        yield area


@pytest.fixture
def xfs_file(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A swap file of 96 MiB on xfs, on a loop device."""
    if shutil.which("mkfs.xfs") is None or "xfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("live: no mkfs.xfs, or no xfs in this kernel")
    image, where = tmp_path / "xfs.img", tmp_path / "xfs"
    where.mkdir()
    sh("truncate", "-s", "400M", image)
    try:
        loop = sh("losetup", "-f", "--show", image)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"live: no loop device: {error}")
    try:
        sh("mkfs.xfs", "-q", loop)
        sh("mount", loop, where)
        try:
            yield from _fragmented(where)
        finally:
            sh("umount", where)
    finally:
        sh("losetup", "-d", loop)
        image.unlink()


@pytest.fixture
def small_disk(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    where = tmp_path / "small"
    where.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=6m", "swaptrace-test", where)
    try:
        yield where
    finally:
        settle(lambda: sh("umount", where))


@pytest.fixture
def zswap(machine: None) -> Iterator[None]:
    """Compress pages in memory before they reach a swap area."""
    if not ZSWAP.exists():
        pytest.skip("live: no zswap in this kernel")
    limit = ZSWAP.with_name("max_pool_percent")
    before = ZSWAP.read_text(), limit.read_text()
    ZSWAP.write_text("Y")
    try:
        yield
    finally:
        ZSWAP.write_text(before[0])
        limit.write_text(before[1])


@contextmanager
def only_folios_of(kib: int) -> Iterator[None]:
    """Let anonymous memory that asks for huge pages have folios of one size only."""
    sizes = sorted(THP.glob("hugepages-*kB/enabled"))
    if not any(size.parent.name == f"hugepages-{kib}kB" for size in sizes):
        pytest.skip(f"live: this kernel has no folios of {kib} KiB (multi-size THP, Linux 6.8)")
    switches = [THP / "enabled", *sizes]
    before = [switch.read_text().split("[")[1].split("]")[0] for switch in switches]
    try:
        (THP / "enabled").write_text("madvise")
        for size in sizes:
            size.write_text("madvise" if size.parent.name == f"hugepages-{kib}kB" else "never")
        yield
    finally:
        for switch, setting in zip(switches, before, strict=True):
            switch.write_text(setting)


@pytest.fixture
def limited(machine: None) -> Iterator[Path]:
    """A memory cgroup of 64 MiB: its directory."""
    for root, limit in zip(CGROUPS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        if not (root / "cgroup.procs").exists():
            continue
        group = root / f"swaptrace-test-{os.getpid()}"
        group.mkdir()
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(LIMIT))
                yield group
                return
        finally:
            settle(group.rmdir)
    pytest.skip("live: no memory cgroup controller")
