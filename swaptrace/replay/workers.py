"""Policies side by side: each batch is resolved once and fed to every policy, each in a thread of its own.

The next batch is read and resolved while the policies work on this one; a policy gets its batches in order, one at a
time. So the reports are those of a serial run, bit for bit, and two batches at most are in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Protocol

from swaptrace.model.ops import Ops

__all__ = ["Workers", "usable_cpus"]


class Feedable(Protocol):
    """What a policy in the middle of a replay is to the workers."""

    def feed(self, ops: Ops) -> None:
        """Run one batch."""


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """At most ``jobs`` threads; with one, or with one policy, everything happens in the caller's."""

    def __init__(self, jobs: int, policies: int) -> None:
        threads = min(jobs, policies)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="policy") if threads > 1 else None
        self._busy: dict[int, Future[None]] = {}  # by policy

    def feed(self, runs: Sequence[Feedable], ops: Ops) -> None:
        """Feed one batch to each of ``runs``; returns when they have taken it, maybe before they are done with it."""
        if self._pool is None:
            for run in runs:
                run.feed(ops if run is runs[-1] else ops.again())
            return
        for run in runs:
            if id(run) in self._busy:
                self._busy.pop(id(run)).result()
            self._busy[id(run)] = self._pool.submit(copy_context().run, _own_copy, run.feed, ops)

    def wait(self) -> None:
        """Wait until every policy is done with its batch; raises the error of the first that had one."""
        for each in self._busy.values():
            each.result()
        self._busy.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the threads, whatever happened: an interrupt costs the batch in work."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _own_copy(feed: Callable[[Ops], None], ops: Ops) -> None:
    feed(ops.again())
