"""Machines for the tests of doctor, written down as files: a healthy one, and what others have differently."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from swaptrace.capture.doctor.root import Root
from swaptrace.model.errors import CapabilityError

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
NO_BPF: dict[str, Any] = {"problem": lambda name: CapabilityError("not in this version")}
