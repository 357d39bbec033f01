"""What a recording says about the machine it was made on."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import swaptrace
from swaptrace.model.meta import SwapDevice, TraceMeta

__all__ = ["boot_id", "describe", "memory_kib", "start_time"]


def describe(devices: Sequence[SwapDevice], command: Sequence[str]) -> TraceMeta:
    """Return the header of a recording that starts now: machine, clocks, swap areas, and the command."""
    return TraceMeta(
        tool=f"swaptrace {swaptrace.__version__}",
        kernel=f"{platform.release()} {platform.machine()}",
        command=shlex.join(command).encode(errors="backslashreplace").decode(),  # arguments may be any bytes
        boot_id=boot_id(),
        mono_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        real_ns=time.time_ns(),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        cpus=os.cpu_count() or 0,
        devices=tuple(devices),
    )


def memory_kib(path: Path = Path("/proc/meminfo")) -> int:
    """Return the memory that could be used now without swapping (MemAvailable), in KiB."""
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    return 0


def boot_id() -> str:
    """Return what tells this boot from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return when process ``pid`` started, in clock ticks since boot; None where there is no such process.

    With the boot it names a process for ever, which its number alone does not: numbers are used again.
    """
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # Field 22 of proc_pid_stat(5); the name, field 2, may hold blanks and brackets.
    return int(stat[stat.rindex(")") + 2 :].split()[19])
