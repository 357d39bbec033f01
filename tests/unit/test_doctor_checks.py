"""Every check of doctor on machines written down as files: what it says."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from swaptrace.capture.doctor.bpf_probe import fentry_errno, kprobe_errno, load_errno
from swaptrace.capture.doctor.disk import NEEDED, write_speed
from swaptrace.capture.doctor.root import Check, State, recorder_problem
from swaptrace.capture.doctor.table import CHECKS, examine
from swaptrace.model.errors import CapabilityError
from tests.unit.doctor_machine import (
    ADMIN,
    ARM,
    BTRFS,
    DEBUGFS,
    FEATURES,
    MOUNTS,
    NO_FEATURES,
    NO_TRACEFS,
    NOBODY,
    OLD,
    SWAP_FILE,
    SWAPS,
    ZSMALLOC,
    T,
    fields,
    machine,
    unprivileged,
    without,
)

CASES: list[tuple[dict[str, str | None], dict[str, Any], str, State, str]] = [
    ({}, {}, "privileges", State.OK, "all capabilities"),
    ({"/proc/self/status": "CapEff:\t0000000000000000\n"}, {}, "privileges", State.NO, "CAP_BPF (BPF)"),
    ({"/proc/self/status": f"CapEff:\t{1 << 21:016x}\n"}, {}, "privileges", State.WARN, "CAP_SYSLOG"),
    ({}, {}, "snapshot", State.OK, "all processes"),
    (ADMIN, {}, "snapshot", State.WARN, "own processes only"),
    ({"/proc/self/status": f"CapEff:\t{1 << 21 | 1 << 19:016x}\n"}, {}, "snapshot", State.OK, "all processes"),
    ({"/proc/self/status": f"CapEff:\t{1 << 19:016x}\n"}, {}, "snapshot", State.NO, "hides slots"),
    ({}, {}, "tracefs", State.OK, T),
    (NO_TRACEFS, {}, "tracefs", State.NO, "not mounted"),
    (DEBUGFS, {}, "tracefs", State.WARN, "/sys/kernel/debug/tracing"),
    ({"/proc/self/mounts": MOUNTS.replace("tracefs rw", "tracefs ro")}, {}, "tracefs", State.NO, "read-only"),
    ({f"{T}/instances/.keep": None}, {}, "tracefs", State.NO, "no instances"),
    ({}, {"access": unprivileged}, "tracefs", State.NO, "not writable"),
    (without(T), {}, "tracefs", State.NO, "cannot be read"),
    ({}, {}, "perf", State.OK, "may record tracepoints"),
    ({"/proc/self/status": f"CapEff:\t{1 << 38:016x}\n"}, {}, "perf", State.OK, "with --buffer 512KiB at most"),
    (
        {
            "/proc/self/status": f"CapEff:\t{1 << 38:016x}\n",
            "/proc/sys/kernel/perf_event_mlock_kb": "300\n",
            "/proc/sys/kernel/perf_event_paranoid": "0\n",
        },
        {},
        "perf",
        State.OK,
        "--buffer 256KiB",
    ),
    ({"/usr/bin/perf": None}, {}, "perf", State.WARN, "not installed"),
    ({"/proc/sys/kernel/perf_event_paranoid": None}, {}, "perf", State.NO, "no perf events"),
    ({"/proc/self/status": "CapEff:\t0000000000000000\n"}, {}, "perf", State.NO, "without CAP_PERFMON"),
    ({}, {}, "lockdown", State.OK, "none"),
    ({"/sys/kernel/security/lockdown": None}, {}, "lockdown", State.OK, "no lockdown"),
    ({"/sys/kernel/security/lockdown": "none [integrity] confidentiality"}, {}, "lockdown", State.OK, "integrity"),
    ({"/sys/kernel/security/lockdown": "none integrity [confidentiality]"}, {}, "lockdown", State.NO, "refuses"),
    ({}, {}, "memlock", State.OK, "8192 KiB"),
    ({}, {"memlock": -1}, "memlock", State.OK, "no limit"),
    (
        {"/proc/sys/kernel/osrelease": "5.10.1", "/proc/self/status": f"CapEff:\t{3 << 38:016x}\n"},
        {"memlock": 65536},
        "memlock",
        State.WARN,
        "64 KiB",
    ),
    ({}, {}, "writeouts", State.OK, "mm_vmscan_write_folio"),
    (OLD, {}, "writeouts", State.OK, "mm_vmscan_writepage"),
    (without(f"{T}/events/vmscan"), {}, "writeouts", State.NO, "is seen"),
    (
        {f"{T}/events/vmscan/mm_vmscan_write_folio/format": fields("page")},
        {},
        "writeouts",
        State.NO,
        "no field pfn, reclaim_flags",
    ),
    ({}, {}, "bios", State.OK, "block_bio_queue"),
    (without(f"{T}/events/block"), {}, "bios", State.NO, "no slot is seen"),
    (NO_TRACEFS, {}, "bios", State.NO, "unknown without tracefs"),
    ({}, {}, "faults", State.OK, "page_fault_user"),
    (ARM, {"machine": "aarch64"}, "faults", State.WARN, "aarch64 has no page-fault tracepoints"),
    (ARM, {}, "faults", State.WARN, "hides it"),
    ({}, {}, "owners", State.OK, "mm_page_alloc"),
    (without(f"{T}/events/kmem/mm_"), {}, "owners", State.WARN, "no owners"),
    ({}, {}, "memcg events", State.OK, "count_memcg_events"),
    (OLD, {}, "memcg events", State.WARN, "look alike"),
    (NO_TRACEFS, {}, "memcg events", State.WARN, "unknown without tracefs"),
    ({}, {}, "slab events", State.OK, "names in alloc and free"),
    (OLD | ZSMALLOC, {}, "slab events", State.OK, "without cache names"),
    (OLD, {}, "slab events", State.WARN, "where zsmalloc is"),
    (without(f"{T}/events/kmem/kmem_"), {}, "slab events", State.WARN, "no frees on zram"),
    ({}, {}, "BTF", State.OK, "vmlinux"),
    ({"/sys/kernel/btf/vmlinux": None}, {}, "BTF", State.NO, "does not describe"),
    ({}, {}, "libbpf", State.OK, "libbpf.so.1"),
    (without("/usr/lib"), {}, "libbpf", State.NO, "not installed"),
    (without("/usr/lib") | {"/usr/lib/aarch64-linux-gnu/libbpf.so.0": "ELF"}, {}, "libbpf", State.NO, "too old"),
    ({}, {}, "BPF", State.OK, "loads"),
    ({}, {"bpf_errno": lambda: errno.EPERM}, "BPF", State.NO, "EPERM"),
    ({}, {"bpf_errno": lambda: errno.ENOSYS}, "BPF", State.NO, "ENOSYS"),
    ({}, {"bpf_errno": lambda: errno.EINVAL}, "BPF", State.NO, "EINVAL"),
    ({}, {}, "BPF recorder", State.OK, "can start"),
    ({}, {"problem": lambda name: CapabilityError("no.", "Why.", "Do.")}, "BPF recorder", State.NO, "no: Why"),
    ({}, {"bpf_errno": lambda: errno.EPERM}, "BPF recorder", State.NO, "cannot start without BPF"),
    ({}, FEATURES, "slot frees", State.OK, "fentry_entries_free"),
    ({}, NO_FEATURES, "slot frees", State.WARN, "kprobe: No such file"),
    ({}, FEATURES, "contents", State.OK, "ksyms"),
    ({}, NO_FEATURES, "contents", State.WARN, "no hashes"),
    ({}, {}, "kprobes", State.OK, "can be made"),
    ({}, {"kprobe_errno": lambda kind: 1 if kind == 8 else 0}, "kprobes", State.WARN, "EPERM (Operation not"),
    (without("/sys/bus") | {f"{T}/kprobe_events": None}, {}, "kprobes", State.WARN, "no kprobe events"),
    (without("/sys/bus"), {}, "kprobes", State.OK, "not tried"),
    ({}, {}, "fentry", State.OK, "loads"),
    ({}, {"fentry_errno": lambda: 524}, "fentry", State.WARN, "524"),
    ({}, {"bpf_errno": lambda: errno.EPERM}, "fentry", State.WARN, "not tried without BPF"),
    (without("/usr/lib"), {}, "fentry", State.WARN, "not tried without libbpf"),
    ({}, {}, "kallsyms", State.OK, "readable"),
    ({"/proc/kallsyms": None}, {}, "kallsyms", State.WARN, "not readable"),
    ({"/proc/kallsyms": "0000000000000000 T _text\n"}, {}, "kallsyms", State.WARN, "hidden (kptr_restrict 0)"),
    ({"/proc/kallsyms": "ffffffff81 T _text\n"}, {}, "kallsyms", State.OK, "by calibration"),
    (NOBODY | {"/proc/kallsyms": "ffffffff81 T _text\n"}, {}, "kallsyms", State.WARN, "KALLSYMS_ALL"),
    ({}, {}, "page size", State.OK, "4 KiB"),
    ({}, {"page_size": 16384}, "page size", State.NO, "16 KiB"),
    ({}, {}, "swap", State.OK, "/dev/vdb: partition, 1024 MiB, 1024 MiB free, priority -2"),
    ({"/proc/swaps": SWAPS.splitlines()[0]}, {}, "swap", State.NO, "no swap area"),
    ({"/proc/swaps": None}, {}, "swap", State.NO, "cannot swap"),
    ({"/proc/swaps": SWAPS.replace(" 0 -2", " 1048000 -2")}, {}, "swap", State.WARN, "572 KiB free"),
    (SWAP_FILE, {}, "swap file", State.OK, "/s on ext4: slots are found by FIEMAP"),
    (SWAP_FILE, {"block_size": lambda path: 1024}, "swap file", State.OK, "blocks of 1 KiB: slot n is not page n"),
    (SWAP_FILE, {"block_size": lambda path: os.statvfs(path / "no").f_bsize}, "swap file", State.WARN, "unknown"),
    (
        BTRFS,
        {},
        "swap file",
        State.NO,
        "/b/s on btrfs",
    ),
    (
        {
            "/proc/swaps": SWAPS.replace("/dev/vdb partition", "/f2fs/s file"),
            "/proc/self/mounts": MOUNTS + "/dev/x /f2fs f2fs rw 0 0\n",
        },
        {},
        "swap file",
        State.WARN,
        "only checked on",
    ),
    ({}, {}, "zram bios", State.OK, "block events"),
    (OLD, {}, "zram bios", State.NO, "without block events"),
    (
        OLD | {"/proc/swaps": f"{OLD['/proc/swaps']}/dev/vdc partition 4096 0 -3"},
        {},
        "zram bios",
        State.WARN,
        "without block events",
    ),
    (
        {"/sys/block/zram0/disksize": "2147483648", "/sys/block/zram0/comp_algorithm": "lzo [lz4] zstd"},
        {},
        "zram",
        State.OK,
        "/dev/zram0: 2 GiB, lz4",
    ),
    ({}, {}, "zswap", State.OK, "off"),
    ({"/sys/module/zswap/parameters/enabled": None}, {}, "zswap", State.OK, "not in this kernel"),
    (
        {
            "/sys/module/zswap/parameters/enabled": "Y",
            "/sys/module/zswap/parameters/compressor": "lzo",
            "/sys/module/zswap/parameters/max_pool_percent": "20",
        },
        {},
        "zswap",
        State.WARN,
        "on, compressor lzo, max_pool_percent 20",
    ),
    ({}, {}, "readahead", State.OK, "up to 8 pages"),
    ({"/proc/sys/vm/page-cluster": "0"}, {}, "readahead", State.OK, "up to 1 page at once"),
    ({"/proc/sys/vm/page-cluster": None}, {}, "readahead", State.WARN, "not readable"),
    ({}, {}, "THP", State.OK, "madvise; folios of 64kB, 2048kB"),
    (without("/sys/kernel/mm"), {}, "THP", State.OK, "not in this kernel"),
    ({}, {}, "cgroup", State.OK, "v2 at /sys/fs/cgroup"),
    ({"/proc/self/mounts": MOUNTS + "c /m cgroup rw,memory 0 0\n"}, {}, "cgroup", State.OK, "v1 at /m"),
    ({"/sys/fs/cgroup/cgroup.controllers": "cpu"}, {}, "cgroup", State.WARN, "no memory controller"),
    ({}, {}, "swap limit", State.OK, "none"),
    ({"/sys/fs/cgroup/user/memory.swap.max": "0"}, {}, "swap limit", State.NO, "of /user is 0 KiB"),
    ({"/sys/fs/cgroup/user/memory.swap.max": "1048576"}, {}, "swap limit", State.WARN, "of /user is 1 MiB"),
    ({"/proc/self/mounts": "proc /proc proc rw 0 0\n"}, {}, "swap limit", State.OK, "no cgroup v2"),
    ({}, {}, "clocks", State.OK, "boot a-b-c"),
    ({f"{T}/trace_clock": "[local] global"}, {}, "clocks", State.NO, "no clock mono"),
    ({"/proc/sys/kernel/random/boot_id": None}, {}, "clocks", State.WARN, "no boot_id"),
    ({}, {}, "other tracers", State.OK, "none"),
    (NO_TRACEFS, {}, "other tracers", State.OK, "none can be seen"),
    ({f"{T}/current_tracer": "function"}, {}, "other tracers", State.WARN, "current_tracer is function"),
    ({f"{T}/instances/swaptrace-9/tracing_on": "1"}, {}, "other tracers", State.WARN, "swaptrace-9"),
]


def named(found: Iterable[Check], name: str) -> Check:
    return next(check for check in found if check.name == name)


@pytest.mark.parametrize(("changes", "facts", "name", "state", "words"), CASES)
def test_a_check_says_what_is_so(
    tmp_path: Path, changes: dict[str, str | None], facts: dict[str, Any], name: str, state: State, words: str
) -> None:
    check = named(examine(machine(tmp_path, changes, **facts)), name)
    assert check.state is state
    assert words in check.what
    if state is State.NO:
        assert check.fix or name == "BPF recorder"


def test_the_cases_cover_every_check(tmp_path: Path) -> None:
    assert len(CHECKS) == 31
    seen = {name for _, _, name, _, _ in CASES}
    told = {check.name for check in examine(machine(tmp_path, dict(OLD)))} | {
        "swap file",
        "zram",
        "slot frees",
        "contents",
    }
    assert seen == told


def test_a_missing_recorder_is_said() -> None:
    problem = recorder_problem("nonsense")
    assert problem is not None
    assert "no nonsense recorder" in problem.what


def test_the_empty_program_loads_or_is_refused_with_an_errno() -> None:
    assert load_errno() in (0, errno.EPERM, errno.EACCES, errno.ENOSYS)
    assert fentry_errno() in (0, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOENT, errno.ESRCH)
    assert kprobe_errno(1 << 20) in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOSYS)  # no such PMU


@pytest.mark.parametrize(("seconds", "state"), [(1.0, State.OK), (1.3, State.WARN), (100.0, State.WARN)])
def test_a_disk_is_too_slow_below_what_a_recorder_writes(tmp_path: Path, seconds: float, state: State) -> None:
    """16 MiB in 1.18 s are 46 bytes for each of 310,000 events a second."""
    now = iter([0.0, *(seconds * part / 4 for part in (1, 2, 3, 4))])
    check = write_speed(machine(tmp_path / "root"), tmp_path, lambda: next(now))
    assert check.state is state
    assert NEEDED == 14_260_000
    assert {1.0: " 17 MB/s; ", 1.3: " 13 MB/s, less than 14 MB/s", 100.0: " 0.2 MB/s, less"}[seconds] in check.what
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert len(list(now)) == (3 if seconds == 100.0 else 0)  # it does not wait for a slow disk


def test_a_folder_that_cannot_be_written_is_not_measured(tmp_path: Path) -> None:
    check = write_speed(machine(tmp_path), tmp_path / "no")
    assert check.state is State.WARN
    assert "No such file or directory; its speed was not measured" in check.what
    assert check.fix
