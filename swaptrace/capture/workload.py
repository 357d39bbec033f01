"""What happens while the recorder runs: a command, a span of time, or waiting for Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from swaptrace.model.errors import UsageError

__all__ = [
    "Cgroup",
    "Ending",
    "Job",
    "StopSignals",
    "find_cgroup",
    "in_cgroup",
    "plan_job",
    "run",
    "terminations_interrupt",
]

_STEP_S = 0.02
_GRACE_S = 2.0  # a command that got the Ctrl-C of the terminal itself ends on its own
_MOUNTS = Path("/proc/self/mounts")


@dataclass(frozen=True)
class Ending:
    """How the recording ended: exit ``status`` of the command (negative: its signal; None: no command)."""

    status: int | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Cgroup:
    """A memory cgroup: its directory, and the inode of it, which is its id in events."""

    path: Path
    inode: int


@dataclass(frozen=True)
class Job:
    """What lasts as long as the recording: ``command`` in ``cgroup``, at most ``duration`` seconds; without a
    command just the time; without either, until Ctrl-C."""

    command: Sequence[str] = ()
    duration: float | None = None
    cgroup: Cgroup | None = None

    @property
    def open_ended(self) -> bool:
        """Whether only Ctrl-C ends it."""
        return not self.command and self.duration is None


class StopSignals:
    """Turns SIGINT, SIGTERM and SIGHUP into the flag ``requested``, so that a recording ends in order.

    Outside the main thread, where Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # nohup: the recording outlives its terminal
                self._before[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def terminations_interrupt() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP do what Ctrl-C does, so that everything is cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def plan_job(command: Sequence[str], duration: float | None, cgroup: str | None) -> Job:
    """Return the job, after looking for the command and the cgroup: before anything is recorded.

    Raises :class:`UsageError` if one of them is not there, or if a cgroup is given without a command.
    """
    if cgroup is not None and not command:
        raise UsageError(
            "--cgroup needs a command.",
            "It chooses where the command runs; most swap events carry no cgroup that one could select by.",
            "Add -- CMD, or leave --cgroup out and record the whole machine.",
        )
    if command and shutil.which(command[0]) is None:
        raise UsageError(f"{command[0]}: no such command.", "It is not in PATH, or not executable.")
    return Job(command, duration, None if cgroup is None else find_cgroup(cgroup))


def find_cgroup(name: str) -> Cgroup:
    """Return the memory cgroup ``name``: a directory, or a path below a mounted memory hierarchy (v1 or v2).

    Raises :class:`UsageError` if there is none.
    """
    roots = [Path(name)] if name.startswith("/") and Path(name).is_dir() else []
    roots += [root / name.lstrip("/") for root in _memory_hierarchies()]
    for path in roots:
        if (path / "cgroup.procs").exists():
            return Cgroup(path, path.stat().st_ino)
    tried = ", ".join(str(path) for path in roots) or "no memory hierarchy is mounted"
    raise UsageError(f"{name} is no memory cgroup.", f"Looked at: {tried}.", "mkdir it, and set its limit.")


def in_cgroup(command: Sequence[str], cgroup: Cgroup) -> list[str]:
    """Return a command line: a shell moves itself into ``cgroup``, then becomes ``command``."""
    return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(cgroup.path), *command]


def _memory_hierarchies() -> list[Path]:
    found = []
    with contextlib.suppress(OSError):
        for line in _MOUNTS.read_text(errors="replace").splitlines():
            _, where, kind, options, *_ = line.split()
            if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
                found.append(Path(where))
    return found


def run(job: Job, stop: StopSignals, check: Callable[[], None]) -> Ending:
    """Do ``job``; ``check`` is called every 20 ms and raises if the recorder failed.

    A command that is cut short (by the time limit, Ctrl-C, or ``check``) is terminated. Raises :class:`UsageError` for
    one that the kernel cannot run.
    """
    deadline = None if job.duration is None else time.monotonic() + job.duration
    process = _start(job) if job.command else None
    try:
        while not stop.requested and (deadline is None or time.monotonic() < deadline):
            if process is not None and process.poll() is not None:
                return Ending(process.returncode)
            check()
            time.sleep(_STEP_S)
    finally:
        if process is not None:
            _end(process, _GRACE_S if stop.requested else 0)
    # Only Ctrl-C ends a recording without a command and without a duration: that is no interruption.
    return Ending(process.returncode if process else None, stop.requested and not job.open_ended)


def _start(job: Job) -> subprocess.Popen[bytes]:
    command = job.command if job.cgroup is None else in_cgroup(job.command, job.cgroup)
    try:
        return subprocess.Popen(command)
    except OSError as error:
        how = {
            errno.ENOEXEC: "A script must begin with #! and its interpreter, as #!/bin/sh.",
            errno.ENOENT: "The interpreter behind its #! is missing.",
        }
        what = f"{command[0]} cannot be run."
        raise UsageError(what, f"{error.strerror}.", how.get(error.errno or 0, "")) from error


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    for seconds, action in ((grace, process.terminate), (5.0, process.kill)):
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            action()
    process.wait()
