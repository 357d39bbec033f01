"""The tracefs backend: a private instance, its ring buffers spliced to files, one thread per CPU."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from swaptrace.capture.backends import Plan, Result, tier_of
from swaptrace.capture.probes import select
from swaptrace.capture.splice import CpuReader
from swaptrace.capture.tasks import TaskNames
from swaptrace.capture.tracefs import Instance, copy_formats, denied, find_tracefs, has_event, page_bytes, remove_stale
from swaptrace.model.errors import SwaptraceError, WriteError
from swaptrace.model.meta import SwapDevice

__all__ = ["RawRecorder", "problem"]

_NAMES_EVERY_S = 5.0  # tasks that end sooner are known from the kernel's own caches


def problem() -> SwaptraceError | None:
    """Return why tracefs cannot be used here, or None."""
    try:
        instances = find_tracefs() / "instances"
    except SwaptraceError as error:
        return error
    if os.access(instances, os.W_OK):
        return None
    return denied(PermissionError(13, "Permission denied"), instances)


class RawRecorder:
    """Records from ``__enter__`` to :meth:`stop`.

    Leaves in ``plan.target``: ``raw.cpuN``, ``formats/``, ``header_page``, ``saved_cmdlines``,
    ``saved_tgids``.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stack = ExitStack()
        self._readers: list[CpuReader] = []
        self._tasks = TaskNames()
        self._names_due = 0.0

    def __enter__(self) -> RawRecorder:
        tracefs = find_tracefs()
        remove_stale(tracefs)
        plan = self._plan
        self._events, self._notes = select(
            lambda system, event: has_event(tracefs, system, event), plan.devices, plan.items, plan.owner
        )
        with ExitStack() as stack:
            self._instance = stack.enter_context(Instance(tracefs))
            self._instance.set_buffer(self._plan.buffer_kib)
            self._instance.enable(self._events)
            copy_formats(tracefs, self._events, self._plan.target)
            for name in ("header_page", "header_event"):
                shutil.copyfile(tracefs / "events" / name, self._plan.target / name)
            stack.callback(self._finish_readers)  # before the instance goes: its files must be closed by then
            for cpu in self._instance.cpus():
                source = self._instance.path / f"per_cpu/cpu{cpu}/trace_pipe_raw"
                reader = CpuReader(source, self._plan.target / f"raw.cpu{cpu}", page_bytes(tracefs))
                self._readers.append(reader)
                reader.start()
            self._tasks.scan()
            self._save_names()
            self._instance.write("tracing_on", "1")
            self._stack = stack.pop_all()
        return self

    def so_far(self) -> Result:
        """Return what is recorded where; losses are known at the end."""
        events = tuple(str(event) for event in self._events)
        return Result(self._plan.target, tier_of(self._plan), {}, events, self._notes)

    def widen(self, devices: Sequence[SwapDevice]) -> bool:
        """Change the filters for ``devices``."""
        plan = self._plan
        wanted, _ = select(lambda *_: True, devices, plan.items, plan.owner)
        filters = {event.name: event.filter for event in wanted}
        for event in self._events:
            if filters.get(event.name, event.filter) != event.filter:
                self._instance.set_filter(replace(event, filter=filters[event.name]))
        return True

    def check(self) -> None:
        """Raise :class:`WriteError` if a reader could not write; save the names of tasks from time to time."""
        for reader in self._readers:
            if reader.error is not None:
                raise WriteError("the recording stopped.", f"{self._plan.target}: {reader.error.strerror}.")
        if time.monotonic() >= self._names_due:
            self._tasks.add_saved(self._instance.tracefs)
            self._save_names()

    def stop(self) -> Result:
        """Switch tracing off, drain the buffers, and count what was lost."""
        self._finish_readers()
        self.check()
        self._tasks.add_saved(self._instance.tracefs)
        self._tasks.scan()
        self._save_names()
        return replace(self.so_far(), lost=self._instance.lost())

    def _save_names(self) -> None:
        self._names_due = time.monotonic() + _NAMES_EVERY_S
        try:
            self._tasks.save(self._plan.target)
        except OSError as error:
            raise WriteError("the recording stopped.", f"{self._plan.target}: {error.strerror}.") from error

    def _finish_readers(self) -> None:
        self._instance.write("tracing_on", "0")
        for reader in self._readers:
            reader.finish()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
