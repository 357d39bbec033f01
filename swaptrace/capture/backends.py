"""The recorders: ONE table, best first; ``auto`` takes the first that is possible on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swaptrace.model.errors import SwaptraceError, UsageError, closest
from swaptrace.model.meta import SwapDevice

__all__ = ["Backend", "Plan", "Recorder", "Result", "backends", "choose", "tier_of"]


@dataclass(frozen=True)
class Plan:
    """What to record: into which directory, which swap areas and event items, the buffer per CPU in KiB, and
    whether owners of pages are wanted."""

    target: Path
    devices: Sequence[SwapDevice]
    items: Mapping[str, int]
    buffer_kib: int
    owner: bool = False


@dataclass(frozen=True)
class Result:
    """What a recorder left: the ``input`` of the converter, its ``tier`` (T0: tracepoints, T1: and owners), events
    lost by source, and what it recorded and could not."""

    input: Path
    tier: str
    lost: dict[str, int]
    events: tuple[str, ...]
    notes: tuple[str, ...]


def tier_of(plan: Plan) -> str:
    """Return ``T1`` where owners are recorded, else ``T0``."""
    return "T1" if plan.owner else "T0"


class Recorder(Protocol):
    """A running recorder. Everything it writes below ``plan.target`` is appended, so that a recorder which was killed
    leaves what it had written."""

    def so_far(self) -> Result:
        """Return what :meth:`stop` will return, as far as it is known while recording: kept in case of a crash."""

    def widen(self, devices: Sequence[SwapDevice]) -> bool:
        """Record the swap areas ``devices``, the old and the new, from now on; False where that is impossible. Called
        in another thread."""

    def check(self) -> None:
        """Raise if the recorder failed meanwhile."""

    def stop(self) -> Result:
        """Stop, and leave everything on disk. Called once, inside the context."""


@dataclass(frozen=True)
class Backend:
    """One way to record. ``problem()`` returns why it is impossible here (None: it is possible);
    ``start(plan)`` is a context manager that records inside and cleans up at its end."""

    name: str
    problem: Callable[[], SwaptraceError | None]
    start: Callable[[Plan], AbstractContextManager[Recorder]]


def backends() -> dict[str, Backend]:
    """Return the backends by name, in the order in which ``auto`` tries them."""
    from swaptrace.capture import perf, raw

    table = (
        Backend("tracefs", raw.problem, raw.RawRecorder),
        Backend("perf", perf.problem, perf.PerfRecorder),
    )
    return {backend.name: backend for backend in table}


def choose(name: str) -> Backend:
    """Return the backend ``name``, or for ``auto`` the first that is possible here.

    Raises the problem of a backend that is impossible (of the first one for ``auto``), and
    :class:`UsageError` for an unknown name.
    """
    table = backends()
    if name != "auto" and name not in table:
        raise UsageError(f"unknown backend {name!r}.", closest(name, ["auto", *table]))
    problems = []
    for backend in table.values() if name == "auto" else (table[name],):
        problem = backend.problem()
        if problem is None:
            return backend
        problems.append(problem)
    raise problems[0]
