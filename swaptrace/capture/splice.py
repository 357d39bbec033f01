"""Move raw ring-buffer pages of one CPU from the kernel into a file, without copying them through Python."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
from pathlib import Path

__all__ = ["CpuReader"]

_CHUNK = 1 << 20  # the default limit of /proc/sys/fs/pipe-max-size
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_POLL_MS = 50  # the kernel wakes us earlier when buffer_percent of the buffer is full


class CpuReader(threading.Thread):
    """Splices ``trace_pipe_raw`` of one CPU to ``target`` until :meth:`finish`.

    Reads never block: a blocking read of trace_pipe_raw stalls on a partly filled page (docs/recording.md).
    ``error`` holds what ended the thread early (a full disk), ``bytes`` what was written.
    """

    def __init__(self, source: Path, target: Path, page_bytes: int) -> None:
        super().__init__(name=f"swaptrace {source.parent.name}", daemon=True)
        self._source = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._target = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._pipe = os.pipe()
        with contextlib.suppress(OSError):  # over the pipe quota of this user: smaller steps, same result
            fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _CHUNK)
        self._page_bytes = page_bytes
        self._ending = threading.Event()
        self._open = True
        self.error: OSError | None = None
        self.bytes = 0

    def run(self) -> None:
        """Splice whole pages as they fill; at the end what is left, the last partly filled page too."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        try:
            while not self._ending.is_set():
                poll.poll(_POLL_MS)
                if not self._splice():
                    self._ending.wait(_POLL_MS / 1000)  # readable, but no page is full yet
            while self._splice():
                pass
            self._read_rest()
        except OSError as error:
            self.error = error

    def finish(self) -> None:
        """Drain what the kernel still holds and release the descriptors, once. Tracing must be off."""
        if not self._open:
            return
        self._open = False
        self._ending.set()
        try:
            if self.is_alive():
                self.join()
        finally:
            for descriptor in (self._source, self._target, *self._pipe):
                os.close(descriptor)

    def _splice(self) -> bool:
        """Move what is there, in full pages; return whether anything was."""
        try:
            moved = os.splice(self._source, self._pipe[1], _CHUNK, flags=_FLAGS)
        except BlockingIOError:
            return False
        self.bytes += moved
        left = moved
        while left:
            left -= os.splice(self._pipe[0], self._target, left)
        return moved > 0

    def _read_rest(self) -> None:
        while True:
            try:
                page = os.read(self._source, self._page_bytes)
            except BlockingIOError:
                return
            if not page:
                return
            os.write(self._target, page)
            self.bytes += len(page)
