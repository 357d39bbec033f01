"""The machine as the checks see it: files below a root, and the few facts that no file tells.

A test gives another root, so every check runs on any machine that can be written down as files.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from swaptrace.model.errors import CapabilityError, SwaptraceError

__all__ = ["Check", "Root", "State", "recorder_features", "recorder_problem"]


class State(StrEnum):
    """``ok``; ``warn``: recording works, but shows less or costs more; ``no``: something cannot be recorded."""

    OK = "ok"
    WARN = "warn"
    NO = "no"


@dataclass(frozen=True)
class Check:
    """One finding: ``what`` is so, and the ``fix`` if there is one."""

    name: str
    state: State
    what: str
    fix: str = ""


def recorder_problem(name: str) -> SwaptraceError | None:
    """Return why the recorder ``name`` (an entry of :func:`swaptrace.capture.backends.backends`) is impossible here,
    or None. A build without that recorder says so."""
    from swaptrace.capture.backends import backends

    found = backends().get(name)
    if found is None:
        return CapabilityError(f"this version of swaptrace has no {name} recorder")
    return found.problem()


def recorder_features() -> dict[str, tuple[bool, str]]:
    """Return which parts of the BPF recorder work here, by name, and how, or the reason where one does not."""
    from swaptrace.capture.bpf.refusal import features

    return {each.name: (each.works, each.reason) for each in features()}


def _load_errno() -> int:
    from swaptrace.capture.doctor.bpf_probe import load_errno

    return load_errno()


def _fentry_errno() -> int:
    from swaptrace.capture.doctor.bpf_probe import fentry_errno

    return fentry_errno()


def _kprobe_errno(kind: int) -> int:
    from swaptrace.capture.doctor.bpf_probe import kprobe_errno

    return kprobe_errno(kind)


def _block_size(path: Path) -> int:
    return os.statvfs(path).f_bsize


@dataclass(frozen=True)
class Root:
    """A machine: ``path`` stands for its root directory. What files do not tell are fields: the ``machine`` name of
    uname, the page size, RLIMIT_MEMLOCK in bytes (-1: none), PATH, whether a file may be accessed, the block size of a
    file's file system, what the kernel says (errno, 0: yes) to an empty BPF program, to one on the entry of a function
    and to a kprobe of a PMU, the problem of each recorder, and what of the BPF recorder works."""

    path: Path = Path("/")
    machine: str = field(default_factory=platform.machine)
    page_size: int = field(default_factory=lambda: os.sysconf("SC_PAGE_SIZE"))
    memlock: int = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_MEMLOCK)[0])
    search: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))
    access: Callable[[Path, int], bool] = os.access
    block_size: Callable[[Path], int] = _block_size
    bpf_errno: Callable[[], int] = _load_errno
    fentry_errno: Callable[[], int] = _fentry_errno
    kprobe_errno: Callable[[int], int] = _kprobe_errno
    problem: Callable[[str], SwaptraceError | None] = recorder_problem
    features: Callable[[], dict[str, tuple[bool, str]]] = recorder_features

    def at(self, name: str) -> Path:
        """Return where the file ``name`` (an absolute path of the machine) is."""
        return self.path / name.lstrip("/")

    def read(self, name: str) -> str | None:
        """Return the text of a file without surrounding blanks, or None if it is not there or not readable."""
        try:
            return self.at(name).read_text(errors="replace").strip()
        except OSError:
            return None

    def exists(self, name: str) -> bool:
        """Return whether a file is there, as far as this user may see."""
        try:
            os.stat(self.at(name))
        except OSError:
            return False
        return True

    def writable(self, name: str) -> bool:
        """Return whether this process may write a file or directory."""
        return self.access(self.at(name), os.W_OK)

    def names(self, folder: str, pattern: str = "*") -> list[str]:
        """Return the names in ``folder`` that match, sorted; none if it cannot be listed."""
        try:
            return sorted(str(path.relative_to(self.at(folder))) for path in self.at(folder).glob(pattern))
        except OSError:
            return []

    def mounts(self) -> list[tuple[str, str, list[str]]]:
        """Return ``(where, file system, options)`` of every mount."""
        found = []
        for line in (self.read("/proc/self/mounts") or "").splitlines():
            _, where, kind, options, *_ = line.split()
            found.append((where, kind, options.split(",")))
        return found

    def file_system(self, path: str) -> str:
        """Return the name of the file system on which the file ``path`` is."""
        below = [m for m in self.mounts() if path == m[0] or path.startswith(m[0].rstrip("/") + "/")]
        return max(below, key=lambda mount: len(mount[0]), default=("", "unknown", []))[1]

    def program(self, name: str) -> bool:
        """Return whether a program is in PATH."""
        return any(self.access(self.at(f"{folder}/{name}"), os.X_OK) for folder in self.search.split(":") if folder)

    @property
    def release(self) -> str:
        """``uname -r``."""
        return self.read("/proc/sys/kernel/osrelease") or "unknown"

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor number of the kernel; (0, 0) if unknown."""
        parts = self.release.replace("-", ".").split(".")
        return (
            (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else (0, 0)
        )

    @property
    def x86(self) -> bool:
        """Whether the page-fault tracepoints exist for this architecture at all."""
        return self.machine in ("x86_64", "i686", "i386")

    @property
    def tracefs(self) -> str | None:
        """Where tracefs is mounted: by itself, else below debugfs; None if it is not."""
        mounts = self.mounts()
        own = [where for where, kind, _ in mounts if kind == "tracefs"]
        below = [f"{where}/tracing" for where, kind, _ in mounts if kind == "debugfs"]
        usable = [where for where in (*own, *below) if self.exists(f"{where}/events")]
        return usable[0] if usable else None

    def event(self, name: str) -> str | None:
        """Return the format of the event ``system:event``, or None if it cannot be read."""
        return None if self.tracefs is None else self.read(f"{self.tracefs}/events/{name.replace(':', '/')}/format")
