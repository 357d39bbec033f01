"""The swap areas, what stands before them, and who may use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from swaptrace.capture.doctor.root import Check, Root, State
from swaptrace.capture.swaps import parse_swaps

__all__ = [
    "Areas",
    "cgroup",
    "kinds",
    "page_size",
    "readahead",
    "swap_areas",
    "swap_files",
    "swap_limits",
    "thp",
    "zram",
    "zswap",
]

_NO_SECTORS = ("btrfs", "nfs", "nfs4", "overlay", "cifs", "fuse")
_MAPPED = ("ext4", "xfs")


def page_size(root: Root) -> Check:
    """Traces have slots of 4 KiB."""
    if root.page_size == 4096:
        return Check("page size", State.OK, "4 KiB")
    return Check("page size", State.NO, f"{root.page_size >> 10} KiB: traces have slots of 4 KiB", "a 4 KiB kernel")


def swap_areas(root: Root) -> Iterator[Check]:
    """Every enabled swap area: kind, size, room, priority."""
    text = root.read("/proc/swaps")
    if text is None:
        yield Check("swap", State.NO, "this kernel cannot swap", "a kernel with CONFIG_SWAP")
        return
    areas = parse_swaps(text)
    if not areas:
        fix = "fallocate -l 1G /swap; chmod 600 /swap; mkswap /swap; swapon /swap"
        yield Check("swap", State.NO, "no swap area is enabled: nothing is swapped", fix)
    for line, (path, kind, pages, priority) in zip(text.splitlines()[1:], areas, strict=True):
        used, size = int(line.split()[-2]), (pages - 1) * 4
        what = f"{path}: {kind}, {_kib(size)}, {_kib(size - used)} free, priority {priority}"
        full = size - used < size // 20
        yield Check("swap", State.WARN if full else State.OK, what, "it is nearly full: enlarge it" if full else "")


@dataclass(frozen=True)
class Areas:
    """What the enabled swap areas are: ``only_zram``, and whether the kernel stores any page ``compressed`` (zram, or
    zswap in front)."""

    only_zram: bool = False
    compressed: bool = False


def kinds(root: Root) -> Areas:
    """Return what the enabled areas are."""
    zram = [path.startswith("/dev/zram") for path, *_ in parse_swaps(root.read("/proc/swaps") or "\n")]
    return Areas(bool(zram) and all(zram), any(zram) or _zswap_on(root))


def swap_files(root: Root) -> Iterator[Check]:
    """The file system of each swap file: whether the places of its slots can be found."""
    for path, kind, _, _ in parse_swaps(root.read("/proc/swaps") or "\n"):
        if kind != "file":
            continue
        system = root.file_system(path)
        if system in _MAPPED:
            yield _mapped(root, path, system)
        elif system.startswith(_NO_SECTORS):
            fix = "a swap partition, zram, or a swap file on ext4 or xfs"
            yield Check("swap file", State.NO, f"{path} on {system}: its slots have no sectors of a disk", fix)
        else:
            yield Check("swap file", State.WARN, f"{path} on {system}: FIEMAP was only checked on ext4 and xfs")


def _mapped(root: Root, path: str, system: str) -> Check:
    """The slots of a file in blocks smaller than a page are those pages of the disk that lie in one extent whole
    (swap_extents() of capture/fiemap.py has the kernel's rule): fewer than the file has pages."""
    what = f"{path} on {system}: slots are found by FIEMAP"
    try:
        block = root.block_size(root.at(path))
    except OSError as error:
        return Check("swap file", State.WARN, f"{what}; block size unknown ({error.strerror})", "sudo")
    if block < 4096:
        what += f"; blocks of {_bytes(block)}: slot n is not page n of the file, and scattered pages are no slots"
    return Check("swap file", State.OK, what)


def zram(root: Root) -> Iterator[Check]:
    """Every zram device with a size: its size and compressor."""
    for name in root.names("/sys/block", "zram*"):
        size = int(root.read(f"/sys/block/{name}/disksize") or 0)
        chosen = re.search(r"\[(.+?)\]", root.read(f"/sys/block/{name}/comp_algorithm") or "")
        if size:
            what = f"/dev/{name}: {_kib(size >> 10)}, {chosen[1] if chosen else 'unknown compressor'}"
            yield Check("zram", State.OK, what)


def zswap(root: Root) -> Check:
    """Whether zswap stands before the swap areas: what it keeps is not written to them."""
    folder = "/sys/module/zswap/parameters"
    enabled = root.read(f"{folder}/enabled")
    if enabled is None:
        return Check("zswap", State.OK, "not in this kernel")
    if not _zswap_on(root):
        return Check("zswap", State.OK, "off")
    settings = [f"{name} {root.read(f'{folder}/{name}')}" for name in ("compressor", "max_pool_percent")]
    what = f"on, {', '.join(settings)}: tracepoints show no slot of what it keeps"
    return Check("zswap", State.WARN, what, "BPF shows it; or: echo 0 > /sys/module/zswap/parameters/enabled")


def _zswap_on(root: Root) -> bool:
    return root.read("/sys/module/zswap/parameters/enabled") in ("Y", "1")


def readahead(root: Root) -> Check:
    """vm.page-cluster: how many pages come in at once."""
    value = root.read("/proc/sys/vm/page-cluster")
    if value is None or not value.isdigit():
        return Check("readahead", State.WARN, "vm.page-cluster is not readable")
    pages = 1 << int(value)
    return Check("readahead", State.OK, f"vm.page-cluster {value}: up to {pages} page{'s' * (pages > 1)} at once")


def thp(root: Root) -> Check:
    """Which sizes of large folios anonymous memory may have."""
    folder = "/sys/kernel/mm/transparent_hugepage"
    top = _chosen(root.read(f"{folder}/enabled"))
    if top is None:
        return Check("THP", State.OK, "not in this kernel: all pages are 4 KiB")
    sizes = {size: _chosen(root.read(f"{folder}/{size}/enabled")) for size in root.names(folder, "hugepages-*")}
    used = [size.removeprefix("hugepages-") for size, chosen in sizes.items() if chosen not in (None, "never")]
    used.sort(key=lambda size: int(size.removesuffix("kB")))
    listed = f"; folios of {', '.join(used)}" if used else "; only the PMD size" if not sizes else "; no size enabled"
    return Check("THP", State.OK, f"{top}{listed}")


def cgroup(root: Root) -> Check:
    """The version of the memory controller: --cgroup and the cgroup of a page need one."""
    for where, kind, options in root.mounts():
        if kind == "cgroup" and "memory" in options:
            return Check("cgroup", State.OK, f"memory controller v1 at {where}")
    for where, kind, _ in root.mounts():
        if kind == "cgroup2" and "memory" in (root.read(f"{where}/cgroup.controllers") or "").split():
            return Check("cgroup", State.OK, f"memory controller v2 at {where}")
    return Check("cgroup", State.WARN, "no memory controller: a workload cannot be limited", "cgroup_enable=memory")


def swap_limits(root: Root) -> Check:
    """memory.swap.max of this process's cgroups: 0 means that a workload started from here never swaps."""
    where = next((place for place, kind, _ in root.mounts() if kind == "cgroup2"), None)
    own = re.search(r"^0::(/.*)$", root.read("/proc/self/cgroup") or "", re.M)
    if where is None or own is None:
        return Check("swap limit", State.OK, "none: no cgroup v2")
    path = own[1].rstrip("/")
    while path:
        if (limit := root.read(f"{where}{path}/memory.swap.max")) not in (None, "max"):
            what = f"memory.swap.max of {path} is {_kib(int(limit or 0) >> 10)}"
            fix = f"echo max > {where}{path}/memory.swap.max"
            return Check("swap limit", State.NO if limit == "0" else State.WARN, what, fix)
        path = path.rpartition("/")[0]
    return Check("swap limit", State.OK, "none on the cgroups of this process")


def _chosen(text: str | None) -> str | None:
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else None


def _bytes(size: int) -> str:
    return _kib(size >> 10) if size >= 1024 else f"{size} bytes"


def _kib(size: int) -> str:
    for unit, shift in (("GiB", 20), ("MiB", 10)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.4g} {unit}"
    return f"{size} KiB"
