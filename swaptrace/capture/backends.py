"""The recorders: ONE table, best first; ``auto`` takes the first that is possible on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from swaptrace.model.errors import SwaptraceError, UsageError, closest
from swaptrace.model.meta import SwapDevice

__all__ = ["Backend", "Plan", "Recorder", "Result", "backends", "choose", "tier_of"]


@dataclass(frozen=True)
class Content:
    """How page contents are hashed, where the tier can: whether at all, and the 16 bytes of the salt (None: plain);
    of one in ``sample`` (a power of two; 0: none) of the distinct ones the compressed sizes are recorded, too."""

    hash: bool = True
    salt: bytes | None = None
    sample: int = 0


@dataclass(frozen=True)
class Plan:
    """What to record: into which directory, which swap areas and event items, the buffer per CPU in KiB,
    whether owners of pages are wanted (the BPF tier always has them), and how contents are hashed."""

    target: Path
    devices: Sequence[SwapDevice]
    items: Mapping[str, int]
    buffer_kib: int
    owner: bool = False
    content: Content = field(default_factory=Content)


@dataclass(frozen=True)
class Result:
    """What a recorder left: the ``input`` of the converter, its ``tier`` (T0: tracepoints, T1: and owners, T2: BPF on
    tracepoints, T3: and on functions), events lost by source, and what it recorded and could not."""

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
    tier: str
    problem: Callable[[], SwaptraceError | None]
    start: Callable[[Plan], AbstractContextManager[Recorder]]


def backends() -> dict[str, Backend]:
    """Return the backends by name, in the order in which ``auto`` tries them."""
    from swaptrace.capture import perf, raw
    from swaptrace.capture.bpf import recorder, refusal

    table = (
        Backend("bpf", "bpf", refusal.problem, recorder.BpfRecorder),
        Backend("tracefs", "tracepoint", raw.problem, raw.RawRecorder),
        Backend("perf", "tracepoint", perf.problem, perf.PerfRecorder),
    )
    return {backend.name: backend for backend in table}


def choose(name: str = "auto", tier: str = "auto") -> tuple[Backend, tuple[str, ...]]:
    """Return the first backend of ``name`` and ``tier`` (``auto``: any) that is possible here, and notes on the better
    ones that are not.

    Raises the problem of the last backend that was tried if none is possible, and :class:`UsageError` for an unknown
    name or tier, or if the two exclude each other.
    """
    table = backends()
    tiers = sorted({backend.tier for backend in table.values()})
    if name != "auto" and name not in table:
        raise UsageError(f"unknown backend {name!r}.", closest(name, ["auto", *table]))
    if tier != "auto" and tier not in tiers:
        raise UsageError(f"unknown tier {tier!r}.", closest(tier, ["auto", *tiers]))
    wanted = [b for b in table.values() if name in ("auto", b.name) and tier in ("auto", b.tier)]
    if not wanted:
        raise UsageError(f"the backend {name} is not of the tier {tier}.", "", "Give one of them.")
    problems: list[SwaptraceError] = []
    notes: list[str] = []
    for backend in wanted:
        problem = backend.problem()
        if problem is None:
            return backend, tuple(notes)
        problems.append(problem)
        notes.append(f"recorded without {backend.name}: {problem.what} {problem.why}".strip())
    raise problems[0] if len({b.tier for b in wanted}) == 1 else problems[1]
