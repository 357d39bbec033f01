"""A private tracefs instance: made, filled with events, and removed whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from swaptrace.capture.host import start_time
from swaptrace.capture.probes import Tracepoint
from swaptrace.model.errors import CapabilityError, PermissionDenied

__all__ = ["Instance", "copy_formats", "find_tracefs", "has_event", "page_bytes", "remove_stale"]

_NAME = re.compile(r"swaptrace-(\d+)-(\d+)")  # process, and its start time: numbers of processes are used again


def find_tracefs(mounts: Path = Path("/proc/self/mounts")) -> Path:
    """Return where tracefs is mounted. Raises :class:`CapabilityError` where it is not."""
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="replace").splitlines():
            _, where, kind, *_ = line.split()
            if kind == "tracefs":
                return Path(where)
    automount = Path("/sys/kernel/debug/tracing")  # debugfs mounts tracefs here at the first access
    with contextlib.suppress(OSError):
        if (automount / "events").is_dir():
            return automount
    raise CapabilityError("tracefs is not mounted.", "", "mount -t tracefs nodev /sys/kernel/tracing")


def has_event(tracefs: Path, system: str, event: str) -> bool:
    """Return whether this kernel has the event ``system:event``."""
    try:
        os.stat(tracefs / "events" / system / event / "format")  # Path.exists() hides EACCES since Python 3.14
    except PermissionError as error:
        raise denied(error, tracefs / "events") from error
    except OSError:
        return False
    return True


def page_bytes(tracefs: Path) -> int:
    """Return the size of a ring-buffer page with its header: the end of ``data`` in header_page."""
    match = re.search(r"field: char data;\s*offset:(\d+);\s*size:(\d+);", (tracefs / "events/header_page").read_text())
    if match is None:
        raise CapabilityError(f"{tracefs}/events/header_page has no field data.", "", "Try --backend perf.")
    return int(match[1]) + int(match[2])


def remove_stale(tracefs: Path) -> list[str]:
    """Remove the instances of recorders that were killed, and return their names.

    An instance that is still being read refuses its removal (EBUSY), so a live recorder of another pid
    namespace is left alone.
    """
    removed = []
    for instance in sorted((tracefs / "instances").glob("swaptrace-*")):
        match = _NAME.fullmatch(instance.name)
        if match is None or start_time(int(match[1])) == int(match[2]):
            continue
        with contextlib.suppress(OSError):
            instance.rmdir()
            removed.append(instance.name)
    return removed


def denied(error: OSError, path: Path) -> PermissionDenied:
    """Return the error for a user whom the kernel refused ``path``."""
    return PermissionDenied(
        f"cannot use {error.filename or path}.",
        f"{error.strerror}: root is needed, or a tracefs mounted for your group.",
        "Run it with sudo, or: swaptrace record --dry-run (commands for whoever may).",
    )


class Instance:
    """The instance ``swaptrace-PID-STARTTIME``, as a context manager: created switched off, removed at the end.

    Errors: :class:`PermissionDenied` where tracefs may not be written, :class:`CapabilityError` where it
    refuses a setting.
    """

    def __init__(self, tracefs: Path) -> None:
        self.tracefs = tracefs
        self.path = tracefs / "instances" / f"swaptrace-{os.getpid()}-{start_time(os.getpid())}"

    def __enter__(self) -> Instance:
        try:
            self.path.mkdir()
        except OSError as error:
            raise denied(error, self.path) from error
        try:
            self.write("tracing_on", "0")
            self.write("trace_clock", "mono")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            (self.path / "tracing_on").write_text("0")
        self.path.rmdir()

    def write(self, name: str, value: str) -> None:
        """Write ``value`` into the file ``name`` of the instance."""
        try:
            (self.path / name).write_text(value)
        except PermissionError as error:
            raise denied(error, self.path / name) from error
        except OSError as error:
            raise CapabilityError(
                f"the kernel refuses {value!r} in {self.path / name}.",
                f"{error.strerror}.",
                "Try --backend perf, or a smaller --buffer.",
            ) from error

    def set_buffer(self, kib_per_cpu: int) -> None:
        """Give every CPU a ring buffer of ``kib_per_cpu`` KiB, and wake its reader when a quarter is full."""
        self.write("buffer_size_kb", str(kib_per_cpu))
        if (self.path / "buffer_percent").exists():  # since 5.1
            self.write("buffer_percent", "25")

    def enable(self, events: Iterable[Tracepoint]) -> None:
        """Record ``events``, each under its filter."""
        self.write("options/record-tgid", "1")
        for event in events:
            if event.filter:
                self.set_filter(event)
            self.write(f"events/{event.system}/{event.event}/enable", "1")

    def set_filter(self, event: Tracepoint) -> None:
        """Record ``event`` under its filter only; it may be on already."""
        self.write(f"events/{event.system}/{event.event}/filter", event.filter)

    def cpus(self) -> list[int]:
        """Return the numbers of the CPUs that have a buffer."""
        return sorted(int(path.name[3:]) for path in (self.path / "per_cpu").iterdir())

    def lost(self) -> dict[str, int]:
        """Return the events that the ring buffers lost, by ``tracefs.cpuN``, zeros left out."""
        out: dict[str, int] = {}
        for cpu in self.cpus():
            stats = dict(
                line.split(":", 1) for line in (self.path / f"per_cpu/cpu{cpu}/stats").read_text().splitlines()
            )
            count = sum(int(stats.get(name, 0)) for name in ("overrun", "commit overrun", "dropped events"))
            if count:
                out[f"tracefs.cpu{cpu}"] = count
        return out


def copy_formats(tracefs: Path, events: Iterable[Tracepoint], target: Path) -> None:
    """Copy what a reader needs to decode the records of ``events`` into the directory ``target/formats``."""
    (target / "formats").mkdir()
    for event in events:
        source = tracefs / "events" / event.system / event.event / "format"
        shutil.copyfile(source, target / "formats" / f"{event.system}.{event.event}.format")
