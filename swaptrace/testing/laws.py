"""The laws that every layout and stage keeps, one function each: what the built-in ones and yours are held to.

Every replay of every law is watched (:mod:`swaptrace.testing.watch`): the laws of conservation hold in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec

import numpy as np

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.model.component import PAGE, Role
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import VIRTUAL
from swaptrace.model.report import Report
from swaptrace.policies.policy import Policy
from swaptrace.replay.engine import replay
from swaptrace.testing.streams import MemoryTrace, all_freed, all_zero, nothing_to_do, other_slots
from swaptrace.testing.twin import assert_figures
from swaptrace.testing.watch import LawBroken, Watched

__all__ = ["LAWS", "Subject"]

_CUTS, _OFTEN = 12, 50
# Under a stage that shares blocks a move of pages updates its index, not the owners' entries (layouts/moves.py).
_MOVES = ("indirection.lookups", "indirection.cachelines", "indirection.ns")


@dataclass(frozen=True)
class Subject:
    """What is tried: a policy, a random trace, the seed of both the trace and its cuts, a twin if there is one."""

    policy: Policy
    trace: MemoryTrace
    seed: int
    twin: Callable[[MemoryTrace], Mapping[str, float]] | None = None
    counted: str = "*"  # by the twin

    def run(
        self,
        trace: MemoryTrace,
        policy: Policy | None = None,
        cuts: Sequence[int] = (),
        engine: Engine | None = None,
        at: str | None = None,
    ) -> tuple[Report, Watched]:
        """Replay ``trace``, watched; return the report, and what ran the policy."""
        made: list[Watched] = []

        def runner(policy: Policy) -> Watched:
            made.append(Watched(policy))
            return made[-1]

        with using_engine(engine) if engine else nullcontext():
            report = replay(trace.cut(cuts), [policy or self.policy], at=at, runner=runner)[0]
        return report, made[0]

    @property
    def cuts(self) -> list[int]:
        """Where the trace is cut."""
        r = np.random.default_rng(self.seed)
        return sorted(r.integers(1, self.trace.rows, int(r.integers(1, _CUTS))).tolist())

    @cached_property
    def cut_run(self) -> tuple[Report, Watched]:
        """The trace, cut."""
        return self.run(self.trace, cuts=self.cuts)

    @property
    def cut(self) -> Report:
        """The report of the trace, cut: most other reports are compared with it."""
        return self.cut_run[0]

    @property
    def sees_slots(self) -> bool:
        """Whether the policy asks for the recorded slots."""
        return "slot" in self.policy.columns


def conservation(subject: Subject) -> None:
    """Every page is accounted for once, no gauge is negative, and the figures fit each other."""
    report, run = subject.cut_run
    for name, figure in report.metrics.items():
        if not math.isfinite(figure.value) or (isinstance(figure.value, int) and figure.value < 0):
            raise LawBroken("conservation", f"{name} is {figure.value}")
    for low, high, unit in _bounds(report, run.stream.shared):
        if report.value(low) is None or report.value(high) is None:
            continue
        small, large = unit * (report.value(low) or 0), report.value(high) or 0
        if small > large and not math.isclose(small, large, rel_tol=1e-12):
            raise LawBroken("conservation", f"{low} x {unit} is {small}, above {high}: {large}")
    parts = sum(figure.value for name, figure in report.metrics.items() if name.startswith("indirection.lookups."))
    if report.value("indirection.lookups") not in (None, parts):
        raise LawBroken("conservation", f"indirection.lookups is {report.value('indirection.lookups')}, parts {parts}")


def _bounds(report: Report, shared: bool) -> Iterable[tuple[str, str, int]]:
    """Yield names of figures, the first times a unit not above the second; ``shared``: objects share blocks."""
    held = "indirection.metadata_bytes"
    for low, high in ("static", "end"), ("static", "avg"), ("end", "peak"), ("avg", "peak"):
        yield f"{held}.{low}", f"{held}.{high}", 1
    yield from ((name, f"{name[:-4]}_peak", 1) for name in report.metrics if name.endswith("_end"))
    yield "slots.virtual_peak", "trace.objects", 1
    if not shared:  # else blocks in a buffer may outlive the object that wrote them (layouts/device_slots.py)
        yield "slots.physical_idle_peak", "slots.physical_peak", 1
    yield "trace.frees", "trace.objects", 1
    yield "write.requests", "write.host_bytes", PAGE
    yield "write.host_gc_bytes", "write.host_bytes", 1
    yield "write.host_bytes", "write.flash_bytes", 1
    yield "read.requests", "read.device_bytes", PAGE


def batch_cuts(subject: Subject) -> None:
    """Results do not depend on where batches are cut."""
    _same("batch cuts", subject.cut, subject.run(subject.trace)[0], ("cut", "whole"))


def engines(subject: Subject) -> None:
    """Both engines give the same bits (where numba is installed)."""
    if find_spec("numba") is None:
        return
    found = [subject.run(subject.trace, cuts=subject.cuts, engine=engine)[0] for engine in ("numba", "numpy")]
    _same("engines", found[0], found[1], ("numba", "numpy"))


def end(subject: Subject) -> None:
    """When every object is freed, everything ends at zero, but for what CPUs keep cached, as the layout says."""
    _, run = subject.run(all_freed(subject.trace), cuts=subject.cuts)
    stale = sum(stage.account().stale for stage in run.stages)
    if len(run.stream.blocks) != stale:
        raise LawBroken("end", f"{len(run.stream.blocks)} blocks live, {stale} of them stale, and no object")
    cached, cpus = run.layout.cached(), len(np.unique(subject.trace.columns["cpu"]))
    for name, gauge in run.ledger.gauges.items():
        unit = cached.get(name, 0)
        if stale and name != VIRTUAL:
            continue  # blocks that no object has are in slots
        left = gauge.now - sum(stage.remains().get(name, 0) for stage in run.stages)
        if (left % unit if unit else left) or left > cpus * unit:
            kept = f", and each of {cpus} CPUs may keep {unit}" if unit else ""
            raise LawBroken("end", f"{name} is {gauge.now} when every object is freed{kept}")


def neutrality(subject: Subject) -> None:
    """A stage that had nothing to do changes no other figure; a device changes nothing above it.

    On a trace of pages that are not filled with one word, do not compress and have no equal, a stage that was idle at
    all times is taken out of the path. Where it shares blocks, moves of pages are priced differently: its index cost.
    """
    trace = nothing_to_do(subject.trace, subject.seed)
    report, run = subject.run(trace, cuts=range(_OFTEN, trace.rows, _OFTEN))
    for at, part in enumerate(subject.policy.path):
        idle = part.kind.role is Role.CONTENT and at not in run.busy
        if not idle and part.kind.role is not Role.DEVICE:
            continue
        path = (*subject.policy.path[:at], *subject.policy.path[at + 1 :])
        try:
            bare, other = subject.run(trace, replace(subject.policy, path=path))
        except UsageError:  # what stands below needs the stage
            continue
        skip = _MOVES if run.stream.shared and not other.stream.shared else ()
        for name, figure in bare.metrics.items():
            if name in report.metrics and not name.startswith(skip) and report.metrics[name].value != figure.value:
                how = f"{name} is {report.metrics[name].value} with {part.kind.name}, {figure.value} without"
                raise LawBroken("neutrality", how)


def recorded_slots(subject: Subject) -> None:
    """Policies never see the recorded slots, except those that ask for them."""
    if not subject.sees_slots:
        other = subject.run(other_slots(subject.trace, subject.seed), cuts=subject.cuts)[0]
        _same("recorded slots", subject.cut, other, ("as recorded", "other slots"))


def zero_pages(subject: Subject) -> None:
    """On a trace of zero pages no policy writes or reads a byte of the device."""
    trace = all_zero(subject.trace, recorded=subject.sees_slots)
    report = subject.run(trace, cuts=subject.cuts)[0]
    for name in ("write.host_bytes", "read.device_bytes"):
        if report.value(name):
            raise LawBroken("zero pages", f"{name} is {report.value(name)} on a trace of zero pages")


def moment(subject: Subject) -> None:
    """A swapoff that is asked for at some time changes no other figure."""
    at = f"{subject.seed % 101}%"
    asked = subject.run(subject.trace, cuts=subject.cuts, at=at)[0]
    _same("moment", subject.cut, asked, ("not asked", f"at {at}"), list(subject.cut.metrics))


def twin(subject: Subject) -> None:
    """The report equals its twin, figure by figure (where one is given)."""
    if subject.twin is not None:
        assert_figures(subject.cut, subject.twin(subject.trace), subject.counted)


LAWS: dict[str, Callable[[Subject], None]] = {
    "conservation": conservation,
    "batch cuts": batch_cuts,
    "engines": engines,
    "end": end,
    "neutrality": neutrality,
    "recorded slots": recorded_slots,
    "zero pages": zero_pages,
    "moment": moment,
    "twin": twin,
}


def _same(law: str, one: Report, other: Report, called: tuple[str, str], names: Iterable[str] | None = None) -> None:
    """Require equal figures, those of ``names`` only if given, else also the same names and the same basis."""
    for name in {**one.metrics, **other.metrics} if names is None else names:
        values = one.metrics.get(name), other.metrics.get(name)
        if values[0] != values[1]:
            shown = [value if value is None else value.value for value in values]
            raise LawBroken(law, f"{name} is {shown[0]} {called[0]}, {shown[1]} {called[1]}")
    if names is None and one.basis != other.basis:
        raise LawBroken(law, f"the basis of prices differs, {called[0]} and {called[1]}")
