"""Replay: one pass over the trace, its objects resolved once, every policy fed with the same ops."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from swaptrace import __version__
from swaptrace.kernels.loop import engine_name
from swaptrace.model.component import Layout, Role, Space, Stage
from swaptrace.model.cost import CostModel
from swaptrace.model.cost_files import load_cost
from swaptrace.model.errors import CapabilityError, InputError, UsageError, closest
from swaptrace.model.ledger import DISCARDED, METADATA, Ledger
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.ops import Ops
from swaptrace.model.pricing import reprice
from swaptrace.model.report import CostUsed, PolicyUsed, Report, ToolUsed, TraceUsed, figure
from swaptrace.model.trace import Trace
from swaptrace.policies.policy import Policy
from swaptrace.replay.census import Census
from swaptrace.replay.figures import basis_of, figures
from swaptrace.replay.moment import END, Moment, moment_of
from swaptrace.replay.objects import NEEDED_COLUMNS, RARE_COLUMNS, Objects
from swaptrace.replay.space import space_of
from swaptrace.replay.spans import span_at
from swaptrace.replay.swapoff import swapoff_figures
from swaptrace.replay.workers import Workers, usable_cpus

__all__ = ["FREE_INFERENCE", "REPLAY_ROWS", "Run", "replay"]

FREE_INFERENCE = ("latest", "earliest")
REPLAY_ROWS = 1 << 17  # events per batch: fewer cost more in calls, more fall out of the second-level cache
_HOW = {
    Capability.HASH: (
        "page hashes",
        "swaptrace cannot hash pages itself yet: import Parquet with the column hash (swaptrace schema events).",
    ),
    Capability.CLEN: (
        "compressed sizes",
        "Record on zram or zswap with sizes (swaptrace record, BPF tier), or import Parquet with the column csize.",
    ),
    Capability.SLOT: (
        "swap slots",
        "Record block:block_bio_queue, too (swaptrace record --dry-run), on a block device or swap file.",
    ),
}
Progress = Callable[[int, int], None]


@dataclass
class Run:
    """One policy in the middle of a replay."""

    policy: Policy
    layout: Layout = field(init=False)
    stages: list[Stage] = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    census: Census | None = None  # kept where figures at one moment are asked for

    def start(self, space: Space) -> None:
        """Build layout and stages and begin."""
        self.layout = self.policy.layout.build()
        self.stages = [part.build() for part in self.policy.path]
        self._content = [stage for stage in self.stages if stage.role is Role.CONTENT]
        self._placing = [stage for stage in self.stages if stage.role is not Role.CONTENT]
        self.layout.gives_entries = not (self.layout.direct and any(stage.gives_entries for stage in self.stages))
        self.layout.start(space, self.ledger)
        above: Stage | None = None
        for stage in self.stages:
            stage.start(space, self.ledger, self.layout, above)
            above = stage

    def feed(self, ops: Ops) -> None:
        """Run one batch through the content stages, the layout's entry, the placing stages, the layout's charges."""
        self.ledger.begin(ops.ts)
        for stage in self._content:
            if len(ops) and (below := stage.feed(ops)) is not ops:
                ops = below
                self.ledger.stream(ops.ts)
        if len(ops):
            self.layout.enter(ops)
            for stage in self._placing:
                stage.feed(ops)
            if ops.writes is not None:
                self.ledger.count(DISCARDED, len(ops.writes.dead_page) * ops.writes.dead_pages)
            self.layout.feed(ops)
            if self.census is not None:
                self.census.feed(ops)
        self.ledger.end()

    def finish(self) -> None:
        """End the replay."""
        for stage in self.stages:
            stage.finish()


def replay(
    trace: Trace,
    policies: Sequence[Policy],
    *,
    free_inference: str = "latest",
    at: str | None = None,
    memcg: int | None = None,
    cost: CostModel | None = None,
    command: str = "",
    batch_rows: int = REPLAY_ROWS,
    jobs: int = 0,
    progress: Progress | None = None,
    runner: Callable[[Policy], Run] = Run,
) -> list[Report]:
    """Replay ``trace`` onto each of ``policies`` and return their reports, in that order.

    ``free_inference`` places frees that no event showed ``latest`` or ``earliest`` (replay/objects.py); ``at``
    (replay/moment.py) adds the figures of a swapoff at that time, of one cgroup alone if ``memcg`` is its id;
    ``progress`` is called with (events done, events in all). ``jobs`` policies at most are replayed at the same time
    (0: as many as there are CPUs); the reports do not depend on it. ``cost`` prices the modelled figures (without it:
    neutral). ``runner`` makes what runs a policy: tests put one there that watches.

    Errors: :class:`CapabilityError` if the trace lacks what a policy needs; :class:`SpaceError` if a replayed device
    is too small; :class:`InputError` if the trace is corrupt.
    """
    if free_inference not in FREE_INFERENCE:
        raise UsageError(f"unknown free inference {free_inference!r}.", closest(free_inference, FREE_INFERENCE))
    for policy in policies:
        _check(trace, policy)
    space = space_of(trace)
    moment = None if at is None and memcg is None else moment_of(trace, END if at is None else at, memcg)
    runs = [runner(policy) for policy in policies]
    for run in runs:
        run.census = None if moment is None else Census(moment)
        run.start(space)
    also = () if memcg is None else ("memcg",)
    lanes = _lanes(trace, runs, free_inference, batch_rows, also)
    wanted = sorted({*NEEDED_COLUMNS, *also, *(c for policy in policies for c in policy.columns)})
    first_ts = last_ts = None
    with Workers(jobs or usable_cpus(), len(runs)) as workers:
        for events in trace.batches(wanted, batch_rows, rare=RARE_COLUMNS):
            first_ts = int(events["ts"][0]) if first_ts is None else first_ts
            last_ts = int(events["ts"][-1])
            for part in (events,) if moment is None else moment.cut(events):
                for objects, fed in lanes:
                    for ops in objects.feed(part):
                        workers.feed(fed, ops)
            if progress is not None:
                progress(events.first + len(events), trace.rows)
        workers.wait()
    reports, cost = [], cost or load_cost()
    walk = (None, "") if moment is None else span_at(trace, moment)
    for run in runs:
        run.finish()
        objects = next(lane for lane, fed in lanes if run in fed)
        span = (last_ts or 0) - (first_ts or 0)
        report = _report(trace, run, objects, command, free_inference, span)
        report = report if moment is None else _with_swapoff(report, run, moment, *walk)
        reports.append(reprice(report, cost))
    return reports


def _with_swapoff(report: Report, run: Run, moment: Moment, span: int | None, absent: str) -> Report:
    """Return ``report`` with the figures of a swapoff at ``moment``, and what is to be said about them."""
    metrics, warnings = dict(report.metrics), list(report.warnings)
    if METADATA in run.ledger.gauges and run.census is not None:  # a layout with entries of its own
        standing = run.census.standing()
        inferred = bool(report.value("trace.inferred_frees"))
        for name, value in swapoff_figures(run.layout, standing, span, moment.memcg is not None):
            metrics[name] = figure(name, value, inferred=inferred)
        if moment.memcg is not None and len(standing) == 0:
            warnings.append(f"no entry of the memory cgroup {moment.memcg} lives at the time asked for")
        if absent and (run.layout.direct or run.layout.virtual_swapoff):
            warnings.append(absent)
    return replace(report, metrics=metrics, options=report.options | moment.options, warnings=tuple(warnings))


def _lanes(
    trace: Trace, runs: list[Run], free_inference: str, batch_rows: int, also: Sequence[str] = ()
) -> list[tuple[Objects, list[Run]]]:
    """Return the object streams that the policies need: one, and another with writebacks for as-recorded."""
    bitmap = None
    if free_inference == "earliest":
        batches = trace.batches(NEEDED_COLUMNS, batch_rows, rare=RARE_COLUMNS)
        bitmap = Objects().find_last_accesses(batches, trace.rows)
    lanes = []
    for writebacks in (False, True):
        fed = [run for run in runs if (run.policy.layout.kind.name == "recorded") == writebacks]
        if fed:
            extra = sorted({*also, *(c for run in fed for c in run.policy.columns)})
            lanes.append((Objects(extra, writebacks, bitmap), fed))
    return lanes


def _check(trace: Trace, policy: Policy) -> None:
    for capability in policy.requires:
        if trace.meta.sight(capability) is Sight.ABSENT:
            what, step = _HOW.get(capability, (capability.value, "Record it with a richer recorder."))
            has = ", ".join(c.value for c in Capability if trace.meta.sight(c) is not Sight.ABSENT) or "nothing"
            needs = next((p.kind.name for p in policy.parts if capability in p.requires), policy.name)
            raise CapabilityError(
                f"{needs} needs {what} ({capability.value}); {trace.path.name} has {has}.",
                f"It was recorded by {trace.meta.recorder or 'an unknown recorder'}"
                + (f", tier {trace.meta.tier}." if trace.meta.tier else "."),
                step,
            )


def _report(trace: Trace, run: Run, objects: Objects, command: str, free_inference: str, span: int) -> Report:
    """Return the report without prices."""
    counts, meta, policy = objects.counts, trace.meta, run.policy
    if counts.events != trace.rows:
        raise InputError(f"{trace.path} ended after {counts.events:,} of {trace.rows:,} events.", "", "Copy it again.")
    skipped = counts.orphans + counts.slotless
    path = tuple(part.kind.name for part in policy.path)
    return Report(
        tool=ToolUsed("swaptrace", __version__, platform.python_version(), np.__version__, engine_name()),
        command=command,
        trace=TraceUsed(
            name=trace.path.name,
            sha256=meta.digest,
            events=trace.rows,
            replayed=trace.rows - skipped,
            skipped=skipped,
            lost=meta.lost_total,
            span_ns=span,
            kernel=meta.kernel,
            recorder=meta.recorder,
            capabilities={c.value: meta.sight(c).value for c in Capability},
        ),
        policy=PolicyUsed(
            name=policy.name,
            spec=policy.spec,
            layout=policy.layout.kind.name,
            path=path,
            params={f"{part.kind.name}.{k}": v for part in policy.parts for k, v in part.texts.items()},
            origin=policy.origin,
            brief=policy.brief,
        ),
        cost=CostUsed("", ""),
        metrics=figures(run.ledger, counts, run.stages),
        options={"free_inference": free_inference},
        warnings=(
            *_warnings(trace, objects),
            *(text for part in (run.layout, *run.stages) for text in part.warnings()),
        ),
        basis=basis_of(run.ledger, run.stages),
    )


def _warnings(trace: Trace, objects: Objects) -> Iterator[str]:
    counts, meta = objects.counts, trace.meta
    if meta.lost_total:
        yield f"{meta.lost_total:,} events were lost while recording: the figures describe what was recorded"
    if meta.interrupted:
        yield "the recording was interrupted: it ends where it was stopped"
    if counts.orphans:
        yield (
            f"{counts.orphans:,} reads and frees of pages never seen written were skipped "
            "(swapped out before the recording, or zero pages whose writeout shows no slot)"
        )
    if counts.slotless:
        yield (
            f"{counts.slotless:,} events without slot and owner were skipped, {counts.slotless_writeouts:,} of them "
            "writeouts that count as such but have no lifetime"
        )
    if counts.inferred_frees:
        yield (
            f"{counts.inferred_frees:,} of {counts.frees:,} frees are inferred: "
            "figures that depend on their time are marked"
        )
