"""How fast the disk takes what a recorder writes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from swaptrace.capture.doctor.root import Check, Root, State

__all__ = ["NEEDED", "write_speed"]

NEEDED = 46 * 310_000  # bytes per second: an event of a raw recording, the highest rate measured (docs/recording.md)
_CHUNK = 4 << 20
_CHUNKS = 4
_SECONDS = 2.0  # a disk that takes no 16 MiB in that time is too slow, whatever the rest shows
_ROOM = 4 * _CHUNK * _CHUNKS


def write_speed(root: Root, folder: Path, clock: Callable[[], float] = time.monotonic) -> Check:
    """Write up to 16 MiB of random bytes to a temporary file in ``folder``, each 4 MiB followed by an fsync.

    The raw recording goes where the trace goes, so ``folder`` is where that would be.
    """
    system = root.file_system(str(folder))
    try:
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < _ROOM:
            what = f"{folder}: less than {_ROOM >> 20} MiB free; its speed was not measured"
            return Check("disk", State.WARN, what, "make room, or record with -o to another disk")
        speed = _measure(folder, clock)
    except OSError as error:
        what = f"{folder}: {error.strerror}; its speed was not measured"
        return Check("disk", State.WARN, what, "record with -o to a folder that can be written")
    what = f"{folder} ({system}) takes {_rate(speed)}"
    need = f"{_rate(NEEDED)} at 310,000 events/s"
    if speed < NEEDED:
        return Check("disk", State.WARN, f"{what}, less than {need}", "record with -o to a faster disk; raise --buffer")
    return Check("disk", State.OK, f"{what}; needed are {need}")


def _rate(speed: float) -> str:
    return f"{speed / 1e6:,.{0 if speed >= 1e7 else 1}f} MB/s"


def _measure(folder: Path, clock: Callable[[], float]) -> float:
    data = os.urandom(_CHUNK)  # no file system can compress it
    with tempfile.TemporaryFile(prefix=".swaptrace-doctor-", dir=folder, buffering=0) as file:
        begin, written = clock(), 0
        while written < _CHUNKS * _CHUNK:
            written += file.write(data)
            os.fsync(file.fileno())
            if (taken := clock() - begin) > _SECONDS:
                break
        return written / max(taken, 1e-9)
