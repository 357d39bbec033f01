"""Every check of doctor on machines written down as files: what it says, and what follows for each tier."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swaptrace.capture.doctor.bpf_probe import fentry_errno, kprobe_errno, load_errno
from swaptrace.capture.doctor.disk import NEEDED, write_speed
from swaptrace.capture.doctor.root import Check, Root, State, recorder_problem
from swaptrace.capture.doctor.selftest import _parent, _seen_places, run_selftest
from swaptrace.capture.doctor.swap import kinds
from swaptrace.capture.doctor.table import CHECKS, can_record, examine, tiers
from swaptrace.capture.swap_types import possible_types
from swaptrace.cli.doctor import _text
from swaptrace.model.errors import CapabilityError
from swaptrace.model.events import Kind
from swaptrace.model.meta import Capability, SwapDevice
from tests.traces import write_trace

T = "/sys/kernel/tracing"
ALL = f"{(1 << 41) - 1:016x}"
MOUNTS = (
    "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    "nodev /sys/kernel/tracing tracefs rw 0 0\n"
)
SWAPS = "Filename\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vdb partition 1048572 0 -2\n"
FORMAT = "name: {}\nformat:\n{}\n"


def fields(*names: str) -> str:
    return FORMAT.format("x", "\n".join(f"\tfield:unsigned long {n};\toffset:8;\tsize:8;\tsigned:0;" for n in names))


HEALTHY: dict[str, str] = {
    "/proc/self/mounts": MOUNTS,
    "/proc/self/status": f"Name:\tx\nCapEff:\t{ALL}\n",
    "/proc/self/cgroup": "0::/user/me\n",
    "/proc/swaps": SWAPS,
    "/proc/sys/kernel/osrelease": "6.18.1-test\n",
    "/proc/sys/kernel/perf_event_paranoid": "2\n",
    "/proc/sys/kernel/random/boot_id": "a-b-c\n",
    "/proc/sys/kernel/kptr_restrict": "0\n",
    "/proc/sys/vm/page-cluster": "3\n",
    "/proc/kallsyms": "ffffffff81 T _text\nffffffff82 D page_offset_base\nffffffff83 D vmemmap_base\n",
    "/sys/kernel/btf/vmlinux": "BTF",
    "/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled": "always inherit [madvise] never\n",
    "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled": "always [inherit] madvise never\n",
    "/sys/bus/event_source/devices/kprobe/type": "8\n",
    "/sys/module/zswap/parameters/enabled": "N\n",
    "/sys/block/zram0/disksize": "0\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "/sys/fs/cgroup/cgroup.subtree_control": "cpu memory\n",
    "/sys/fs/cgroup/cgroup.procs": "1\n",
    "/sys/fs/cgroup/user/me/memory.swap.max": "max\n",
    "/usr/bin/perf": "#!",
    "/usr/lib/x86_64-linux-gnu/libbpf.so.1": "ELF",
    f"{T}/instances/.keep": "",
    f"{T}/current_tracer": "nop\n",
    f"{T}/trace_clock": "[local] global mono boot\n",
    f"{T}/kprobe_events": "",
    f"{T}/events/vmscan/mm_vmscan_write_folio/format": fields("pfn", "reclaim_flags"),
    f"{T}/events/block/block_bio_queue/format": fields("dev", "sector", "nr_sector", "rwbs[10]"),
    f"{T}/events/exceptions/page_fault_user/format": fields("address"),
    f"{T}/events/kmem/mm_page_alloc/format": fields("pfn", "migratetype"),
    f"{T}/events/kmem/kmem_cache_alloc/format": fields("name"),
    f"{T}/events/kmem/kmem_cache_free/format": fields("name"),
    f"{T}/events/memcg/count_memcg_events/format": fields("item"),
}


def machine(path: Path, changes: dict[str, str | None] | None = None, **facts: Any) -> Root:
    """Write a healthy machine with ``changes`` (None: the file is missing) below ``path``."""
    files = {name: text for name, text in (HEALTHY | (changes or {})).items() if text is not None}
    for name, text in files.items():
        file = path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if name == "/usr/bin/perf" else 0o644)
    usual: dict[str, Any] = {
        "machine": "x86_64",
        "page_size": 4096,
        "memlock": 8 << 20,
        "search": "/usr/local/bin:/usr/bin",
        "block_size": lambda path: 4096,
        "bpf_errno": lambda: 0,
        "fentry_errno": lambda: 0,
        "kprobe_errno": lambda kind: 0,
        "features": dict,
        "problem": lambda name: None,
    }
    return Root(path, **(usual | facts))


def without(prefix: str) -> dict[str, str | None]:
    return dict.fromkeys((name for name in HEALTHY if name.startswith(prefix)), None)


def unprivileged(path: Path, mode: int) -> bool:
    return os.access(path, mode) and not (mode & os.W_OK)


NO_TRACEFS: dict[str, str | None] = {
    **without(T),
    "/proc/self/mounts": MOUNTS.replace("nodev /sys/kernel/tracing tracefs rw 0 0\n", ""),
}
DEBUGFS: dict[str, str | None] = {
    **NO_TRACEFS,
    "/proc/self/mounts": NO_TRACEFS["/proc/self/mounts"] + "none /sys/kernel/debug debugfs rw 0 0\n",  # type: ignore[operator]
    **{
        name.replace(T, "/sys/kernel/debug/tracing"): text
        for name, text in HEALTHY.items()
        if name.startswith(T)
    },
}  # fmt: skip
OLD: dict[str, str | None] = {
    "/proc/sys/kernel/osrelease": "5.10.0-32-cloud-amd64",
    "/proc/swaps": SWAPS.replace("/dev/vdb", "/dev/zram0"),
    f"{T}/events/vmscan/mm_vmscan_write_folio/format": None,
    f"{T}/events/vmscan/mm_vmscan_writepage/format": fields("pfn", "reclaim_flags"),
    f"{T}/events/memcg/count_memcg_events/format": None,
    f"{T}/events/kmem/kmem_cache_free/format": fields("call_site"),
    f"{T}/events/kmem/kmem_cache_alloc/format": fields("call_site"),
}
SWAP_FILE: dict[str, str | None] = {"/proc/swaps": SWAPS.replace("/dev/vdb partition", "/s file")}
FEATURES: dict[str, Any] = {
    "features": lambda: {"slot frees": (True, "fentry_entries_free"), "content and faults": (True, "ksyms")}
}
NO_FEATURES: dict[str, Any] = {
    "features": lambda: {
        "slot frees": (False, "kprobe: No such file or directory"),
        "content and faults": (False, "pagemap hides pfns"),
    }
}
ZSMALLOC: dict[str, str | None] = {"/proc/kallsyms": f"{HEALTHY['/proc/kallsyms']}ffffffff84 t zs_malloc\t[zsmalloc]\n"}
BTRFS: dict[str, str | None] = {
    "/proc/swaps": SWAPS.replace("/dev/vdb partition", "/b/s file"),
    "/proc/self/mounts": MOUNTS + "/dev/x /b btrfs rw 0 0\n",
}
ARM: dict[str, str | None] = {f"{T}/events/exceptions/page_fault_user/format": None}
ADMIN: dict[str, str | None] = {"/proc/self/status": f"CapEff:\t{1 << 21:016x}\n"}
NOBODY: dict[str, str | None] = {"/proc/self/status": "CapEff:\t0000000000000000\n"}
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


# -- what follows ------------------------------------------------------------------------------------------------


def verdict(root: Root) -> tuple[list[str], list[Capability]]:
    checks = examine(root)
    found = tiers(checks, kinds(root))
    return [tier.name for tier in found if tier.possible], can_record(checks, found)[0]


SLOTS_AND_OWNERS = [Capability.SLOT, Capability.OWNER, Capability.SNAPSHOT]
NO_SIZES = [each for each in Capability if each is not Capability.CLEN]
NO_BPF: dict[str, Any] = {"problem": lambda name: CapabilityError("not in this version")}
REFUSED: dict[str, Any] = {"kprobe_errno": lambda kind: errno.ENOENT, "fentry_errno": lambda: errno.EPERM}
LOCKED: dict[str, str | None] = {"/sys/kernel/security/lockdown": "none integrity [confidentiality]"}


@pytest.mark.parametrize(
    ("changes", "facts", "names", "can"),
    [
        ({}, {}, ["T0", "T1", "T2", "T3"], NO_SIZES),
        ({"/sys/module/zswap/parameters/enabled": "Y"}, {}, ["T0", "T1", "T2", "T3"], list(Capability)),
        ({}, FEATURES, ["T0", "T1", "T2", "T3"], NO_SIZES),
        ({}, NO_FEATURES, ["T0", "T1", "T2"], SLOTS_AND_OWNERS),
        ({}, REFUSED, ["T0", "T1", "T2"], [each for each in NO_SIZES if each is not Capability.FREE]),
        ({}, REFUSED | {"fentry_errno": lambda: 0}, ["T0", "T1", "T2", "T3"], NO_SIZES),
        (ADMIN, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        ({"/proc/self/status": f"CapEff:\t{1 << 38:016x}\n"}, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS[:2]),
        ({}, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        (ARM, {**NO_BPF, "machine": "aarch64"}, ["T0"], [Capability.SLOT, Capability.SNAPSHOT]),
        (NO_TRACEFS, NO_BPF, [], []),
        (DEBUGFS, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        (OLD, NO_BPF, [], []),  # zram without bios: nothing without BPF
        (LOCKED, {**NO_BPF, "bpf_errno": lambda: errno.EPERM}, [], []),
        ({"/proc/swaps": SWAPS.splitlines()[0]}, {}, ["T0", "T1", "T2", "T3"], []),
        ({}, {"access": unprivileged, **NO_BPF}, ["T0", "T1"], SLOTS_AND_OWNERS),  # perf
        (
            {"/proc/self/status": "CapEff:\t0000000000000000\n"},
            {"access": unprivileged, **NO_BPF},
            [],
            [],
        ),
        ({}, {"page_size": 65536}, [], []),
        (without("/usr/lib"), {}, ["T0", "T1"], SLOTS_AND_OWNERS),
        (BTRFS, NO_BPF, [], []),
        (
            BTRFS | {"/proc/swaps": f"{BTRFS['/proc/swaps']}/dev/vdc partition 4096 0 -3"},
            NO_BPF,
            ["T0", "T1"],
            SLOTS_AND_OWNERS,
        ),
    ],
)
def test_the_tiers_follow_from_the_checks(
    tmp_path: Path, changes: dict[str, str | None], facts: dict[str, Any], names: list[str], can: list[Capability]
) -> None:
    assert verdict(machine(tmp_path, changes, **facts)) == (names, can)


def test_a_reason_is_the_first_one(tmp_path: Path) -> None:
    nothing = NO_TRACEFS | {"/proc/self/status": "CapEff:\t0000000000000000\n"}
    found = tiers(examine(machine(tmp_path, nothing, **NO_BPF)))
    assert found[0].why == (
        "tracefs: tracefs is not mounted; perf: perf_event_paranoid is 2: no tracepoints without CAP_PERFMON"
    )
    assert found[0].lacks == ("tracefs", "perf")
    assert found[2].why == "BPF recorder: not in this version"
    assert found[2].lacks == ("BPF recorder",)


def test_the_text_ends_with_the_reason(tmp_path: Path) -> None:
    checks = examine(machine(tmp_path, NO_TRACEFS, **NO_BPF))
    found = tiers(checks)
    lines = list(_text("x", checks, found, *can_record(checks, found)))
    assert [line for line in lines if "unknown" in line or line.startswith("events")] == [
        "events        no    unknown without tracefs: writeouts, bios, faults, owners, memcg events, slab"
    ]
    *_, t0, _, _, _, _, last = lines
    assert t0 == "T0            no    tracepoints: lacks tracefs"
    assert last == "you can record: nothing now: no tier is possible"
    off = examine(machine(tmp_path / "off", {"/proc/swaps": SWAPS.splitlines()[0]}, **NO_BPF))
    *_, now, after = _text("x", off, tiers(off), *can_record(off, tiers(off)))
    assert now == "you can record: nothing now: no swap area is enabled: nothing is swapped"
    assert after == "once swap is on: SLOT, OWNER, SNAPSHOT (T0, T1)"


def test_bpf_sees_frees_on_zram_without_kprobes(tmp_path: Path) -> None:
    assert Capability.FREE not in verdict(machine(tmp_path / "disk", **REFUSED))[1]
    zram: dict[str, str | None] = {"/proc/swaps": SWAPS.replace("/dev/vdb", "/dev/zram0")}
    assert verdict(machine(tmp_path / "zram", zram, **REFUSED))[1] == list(Capability)


def test_tracepoints_see_frees_on_zram_by_their_callers(tmp_path: Path) -> None:
    zram: dict[str, str | None] = {"/proc/swaps": SWAPS.replace("/dev/vdb", "/dev/zram0")}
    assert Capability.FREE in verdict(machine(tmp_path / "a", zram | ZSMALLOC, **NO_BPF))[1]
    assert Capability.FREE not in verdict(machine(tmp_path / "b", zram, **NO_BPF))[1]
    assert Capability.FREE not in verdict(machine(tmp_path / "c", ZSMALLOC, **NO_BPF))[1]


def test_a_missing_recorder_is_said() -> None:
    problem = recorder_problem("nonsense")
    assert problem is not None
    assert "no nonsense recorder" in problem.what


def test_the_empty_program_loads_or_is_refused_with_an_errno() -> None:
    assert load_errno() in (0, errno.EPERM, errno.EACCES, errno.ENOSYS)
    assert fentry_errno() in (0, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOENT, errno.ESRCH)
    assert kprobe_errno(1 << 20) in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOSYS)  # no such PMU


# -- the disk -----------------------------------------------------------------------------------------------------


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


# -- the places that the self-test compares ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "numbers", "possible"),
    [
        ([0], [0], {0: [0]}),
        ([7], [0], {7: [0]}),  # the only area: any number is its
        ([1, 2], [0, 1], {1: [0], 2: [1]}),  # pages went to all areas: their order tells
        ([1], [0, 1], {1: [0, 1]}),  # type 0 may be a hole or the other area
        ([0, 5], [0, 1, 2], {0: [0], 5: [1, 2]}),
        ([3], [3], {3: [3]}),  # a recorder that knows the kernel's types
    ],
)
def test_a_type_is_one_of_those_that_the_order_leaves(
    seen: list[int], numbers: list[int], possible: dict[int, list[int]]
) -> None:
    assert {kind: set(choices) for kind, choices in possible_types(seen, numbers).items()} == {
        kind: set(choices) for kind, choices in possible.items()
    }


@pytest.mark.parametrize("on", list(itertools.combinations(range(5), 2)) + list(itertools.combinations(range(5), 3)))
def test_the_true_type_is_always_possible(on: tuple[int, ...]) -> None:
    """Whatever areas are on, whichever of them took pages: the line of each is among its choices."""
    for count in range(1, len(on) + 1):
        for seen in itertools.combinations(on, count):
            choices = possible_types(seen, range(len(on)))
            assert all(on.index(kind) in choices[kind] for kind in seen)


def test_a_wrong_type_in_the_trace_is_seen(tmp_path: Path) -> None:
    common = {"ts": 0, "cpu": 0, "tid": 7, "comm": "x"}
    moves = ((Kind.SWAP_OUT, 0, 5), (Kind.SWAP_OUT, 0, 6), (Kind.SWAP_IN, 0, 5), (Kind.SWAP_IN, 1, 6))
    rows = [{**common, "kind": kind, "swap_type": number, "slot": slot} for kind, number, slot in moves]
    areas = tuple(SwapDevice(number, 1 << 20 | number) for number in (0, 1))
    trace = write_trace(tmp_path / "t.parquet", rows, devices=areas)
    assert _seen_places(trace, {(0, 5), (0, 6)}) == (2, 1)  # slot 6 came in from another area
    assert _seen_places(trace, {(1, 5), (1, 6)}) == (2, 1)  # after a swapoff the first area may have type 1, not both
    assert _seen_places(trace, {(0, 5), (1, 6)}) == (1, 2)
    assert _seen_places(trace, {(0, 7)}) == (0, 0)


# -- the self-test, where it cannot run --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"/proc/swaps": SWAPS.splitlines()[0]}, "no swap area"),
        ({"/proc/swaps": SWAPS.replace(" 0 -2", " 1048000 -2")}, "the swap areas have less than 16 MiB free"),
        ({"/proc/sys/kernel/osrelease": "5.3.0"}, "Linux 5.3.0 has no MADV_PAGEOUT"),
        ({"/sys/fs/cgroup/cgroup.subtree_control": "cpu"}, "no cgroup"),
        ({"/proc/self/mounts": "proc /proc proc rw 0 0\n"}, "no cgroup"),
    ],
)
def test_the_self_test_says_why_it_does_not_run(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    test = run_selftest(machine(tmp_path, changes))
    assert test.check.state is State.WARN
    assert test.check.what.startswith(f"not run: {words}")
    assert not test.expected_out


def test_the_child_is_made_where_its_limit_acts(tmp_path: Path) -> None:
    root = machine(tmp_path)
    assert _parent(root) == tmp_path / "sys/fs/cgroup"
    deeper = machine(
        tmp_path, {"/sys/fs/cgroup/user/cgroup.subtree_control": "memory", "/sys/fs/cgroup/user/cgroup.procs": ""}
    )
    assert _parent(deeper) == tmp_path / "sys/fs/cgroup/user"
    assert _parent(replace(deeper, access=unprivileged)) is None
    v1 = machine(
        tmp_path / "v1",
        {
            "/proc/self/mounts": "c /m cgroup rw,memory 0 0\n",
            "/proc/self/cgroup": "3:cpu:/\n2:memory:/a/b\n",
            "/m/a/b/cgroup.procs": "",
        },
    )
    assert _parent(v1) == tmp_path / "v1/m/a/b"
