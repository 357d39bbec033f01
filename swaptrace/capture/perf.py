"""The perf backend, where tracefs may be read but not written: ``perf record`` of the same events."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from swaptrace.capture.backends import Plan, Result, tier_of
from swaptrace.capture.probes import Tracepoint, select
from swaptrace.capture.tracefs import copy_formats, find_tracefs, has_event
from swaptrace.model.errors import CapabilityError, PermissionDenied, SwaptraceError, WriteError
from swaptrace.model.meta import SwapDevice

__all__ = ["PerfRecorder", "perf_arguments", "problem"]

_READY = b"recording\n"
_SECONDS_TO_FLUSH = 60
_PERF_NEEDS = 1 << 20  # its largest single write is a mapped buffer; it does not say why it ended on a full disk


def problem() -> SwaptraceError | None:
    """Return why perf cannot be used here, or None. Rights are checked by perf itself when it starts."""
    if shutil.which("perf") is None:
        return CapabilityError(
            "perf is not installed.", "", "Install it (linux-perf, linux-tools), or use --backend tracefs."
        )
    try:
        find_tracefs()
    except SwaptraceError as error:
        return error
    return None


def free_bytes(path: Path) -> int:
    """Return how many bytes may still be written to the file system of ``path``."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def perf_arguments(events: Sequence[Tracepoint], output: str, buffer_kib: int) -> list[str]:
    """Return the command line of ``perf record`` for ``events``, without a command to run.

    ``-k mono`` is the clock of all recordings; ``--synth=task`` leaves out 300 kB of memory maps
    (docs/recording.md).
    """
    line = ["perf", "record", "-a", "-k", "mono", "--synth=task", "-m", f"{buffer_kib}K", "-o", output]
    for event in events:
        line += ["-e", event.name]
        if event.filter:
            line += ["--filter", event.filter]
    if not any(event.system == "exceptions" for event in events):  # not x86: the end of the fault, with its address
        line += ["-e", "major-faults", "-c", "1", "-d"]
    return line


class PerfRecorder:
    """Runs ``perf record`` from ``__enter__`` to :meth:`stop`; leaves ``perf.data`` in ``plan.target``.

    perf runs a shell that reports once the events are on, and lives until our end of its standard input is
    closed: so perf ends with us even if we are killed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._data = plan.target / "perf.data"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PerfRecorder:
        tracefs = find_tracefs()
        plan = self._plan
        self._events, self._notes = select(
            lambda system, event: has_event(tracefs, system, event), plan.devices, plan.items, plan.owner
        )
        copy_formats(tracefs, self._events, plan.target)  # perf writes its copy last, if it still can
        line = perf_arguments(self._events, str(self._data), self._plan.buffer_kib)
        wait_for_us = ["--", "sh", "-c", f"echo {_READY.decode().strip()}; exec cat"]
        with (self._plan.target / "perf.log").open("wb") as log:
            # Its own process group: the Ctrl-C of a terminal is for us, not for perf.
            self._process = subprocess.Popen(
                [*line, *wait_for_us],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != _READY:
            self._end()
            raise self._failed("perf record did not start.")
        return self

    def so_far(self) -> Result:
        """Return what is recorded where; the importer reads lost events from the file."""
        return Result(self._data, tier_of(self._plan), {}, tuple(str(event) for event in self._events), self._notes)

    def widen(self, devices: Sequence[SwapDevice]) -> bool:
        """Return False unless the disks are recorded already: perf does not change its filters while it runs."""
        return {d.dev for d in devices} <= {d.dev for d in self._plan.devices}

    def check(self) -> None:
        """Raise if perf ended: :class:`WriteError` where that is for want of room."""
        if self._process is not None and self._process.poll() is not None:
            if free_bytes(self._plan.target) < _PERF_NEEDS:
                why = f"{self._plan.target}: No space left on device."
                raise WriteError("the recording stopped.", why)
            raise self._failed("perf record ended early.")

    def stop(self) -> Result:
        """End perf and wait until its file is whole."""
        status = self._end()
        if status != 0:
            raise self._failed(f"perf record failed with status {status}.")
        return self.so_far()

    def _end(self) -> int:
        process = self._process
        if process is None:
            return 0
        self._process = None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            return process.wait(_SECONDS_TO_FLUSH)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            process.stdout.close()

    def _failed(self, what: str) -> SwaptraceError:
        said = self._log()
        denied = any(word in said.lower() for word in ("permission", "not permitted", "paranoid", "no access"))
        why = next((text.strip() for text in said.splitlines() if text.strip() and not text.startswith("Error")), "")
        if "mapping pages" in said:
            return PermissionDenied(what, f"perf: {why}", "Use a smaller --buffer (512KiB), or sudo.")
        if denied:
            return PermissionDenied(
                what,
                f"perf: {why}",
                "Use sudo, or CAP_PERFMON, or: swaptrace record --dry-run (commands for whoever may).",
            )
        return CapabilityError(what, f"perf: {why}", "Try --backend tracefs.")

    def _log(self) -> str:
        log: Path = self._plan.target / "perf.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
