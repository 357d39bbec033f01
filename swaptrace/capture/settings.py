"""How swapping is set up on this machine: what a reader needs to understand, or to repeat, a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from swaptrace.model.meta import SwapDevice

__all__ = ["memory_stat", "swap_settings"]

_ZRAM = ("comp_algorithm", "recomp_algorithm", "disksize", "mem_limit", "backing_dev")
_VM = ("swappiness", "page-cluster", "watermark_scale_factor", "min_free_kbytes")


def swap_settings(devices: Sequence[SwapDevice], root: Path = Path("/")) -> dict[str, str]:
    """Return the settings of zswap, of the zram areas, of reclaim and of huge pages, and how much RAM there is; what is
    not there is left out."""
    found = {}
    for name, path in _files(devices, root):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found[name] = path.read_text().strip()
    with contextlib.suppress(OSError, StopIteration):
        lines = (root / "proc/meminfo").read_text().splitlines()
        found["mem_total"] = next(line.split(maxsplit=1)[1] for line in lines if line.startswith("MemTotal:"))
    return found


def _files(devices: Sequence[SwapDevice], root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / "sys/module/zswap/parameters").glob("*")):
        yield f"zswap.{path.name}", path
    for device in devices:
        if device.kind == "zram":
            block = Path(device.path).name
            yield from ((f"{block}.{name}", root / "sys/block" / block / name) for name in _ZRAM)
    yield from ((f"vm.{name}", root / "proc/sys/vm" / name) for name in _VM)
    mm = root / "sys/kernel/mm"
    yield "vma_ra_enabled", mm / "swap/vma_ra_enabled"
    yield "lru_gen", mm / "lru_gen/enabled"
    yield "thp.enabled", mm / "transparent_hugepage/enabled"
    for path in sorted((mm / "transparent_hugepage").glob("hugepages-*/enabled")):
        yield f"thp.{path.parent.name}", path


def memory_stat(cgroup: Path) -> dict[str, int]:
    """Return memory.stat of a memory cgroup; empty where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        lines = (cgroup / "memory.stat").read_text().splitlines()
        return {name: int(value) for name, value in (line.split() for line in lines)}
    return {}
