"""Record the running kernel into a trace: start the recorder, run the command, stop, convert, rename."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from swaptrace.capture.backends import Backend, Content, Plan, Result, choose
from swaptrace.capture.host import describe, memory_kib
from swaptrace.capture.recover import finish
from swaptrace.capture.scratch import Scratch, open_scratch
from swaptrace.capture.settings import memory_stat, swap_settings
from swaptrace.capture.sidecars import keep_snapshot
from swaptrace.capture.snapshot import take
from swaptrace.capture.swaps import read_swaps
from swaptrace.capture.swapwatch import SwapTypes, SwapWatch
from swaptrace.capture.vmstat import ITEMS, event_counters, read_vmstat, swap_items
from swaptrace.capture.workload import Cgroup, Ending, Job, StopSignals, plan_job, run, terminations_interrupt
from swaptrace.model.errors import CapabilityError, InputError, PermissionDenied, SwaptraceError, UsageError, WriteError
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta

__all__ = ["buffer_default_kib", "record_live", "swap_areas"]

_BUFFER_KIB = 32 << 10  # 0 lost of 1.3 M events at 310k events/s (docs/recording.md)


def record_live(
    out: Path,
    *,
    command: Sequence[str] = (),
    duration: float | None = None,
    cgroup: str | None = None,
    backend: str = "auto",
    tier: str = "auto",
    buffer_kb: int | None = None,
    owner: bool = False,
    snapshot: bool = True,
    content: Content | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TraceMeta:
    """Record every swap event of this machine into the trace ``out``, and return its header.

    The recording lasts as long as ``command``, at most ``duration`` seconds; without either until Ctrl-C
    (SIGINT, SIGTERM or SIGHUP). A recording that was cut short is kept, with ``interrupted`` set. ``command``
    runs in the memory cgroup ``cgroup``; the events of the whole machine are recorded all the same, because
    the slots of a swap area are shared by all and most events carry no cgroup. ``buffer_kb`` is per CPU;
    ``owner`` adds the events that tell whose page it is (more events; tier T1). With ``snapshot``, what is swapped
    out at the start and at the end is kept beside the trace. ``progress(done, total)`` follows the conversion.

    Errors: :class:`InputError` (nothing was swapped), :class:`CapabilityError` (no swap area, no such event),
    :class:`PermissionDenied`,
    :class:`UsageError` (unknown command, cgroup or backend), :class:`WriteError` (no room). If the recording ends
    early or the conversion fails, the raw recording stays beside ``out`` and the error says how to recover it.
    """
    job = plan_job(command, duration, cgroup)
    if job.cgroup is not None and not os.access(job.cgroup.path / "cgroup.procs", os.W_OK):
        where = job.cgroup.path / "cgroup.procs"
        raise PermissionDenied(f"cannot write {where}.", "No process may be moved there.", "Run it with sudo.")
    devices, notes = swap_areas()
    chosen, skipped = choose(backend, tier)
    if content is not None and content.sample and chosen.tier != "bpf":
        why = skipped[0].removeprefix("recorded without bpf: ") if skipped else ""
        raise CapabilityError("contents are not seen without the BPF tier.", why, "Leave --content out.")
    if snapshot:
        import pyarrow.parquet  # noqa: F401  loaded now, not while the recorder runs
    scratch = Scratch.make(out)
    try:
        buffer, hashing = buffer_kb or buffer_default_kib(), content or Content()
        plan = Plan(scratch.path, devices, swap_items(read_vmstat()), buffer, owner, hashing)
        with terminations_interrupt():
            scratch = _record(plan, chosen, job, (*notes, *skipped), scratch, snapshot)
    except BaseException as error:
        _keep_or_remove(scratch, error)
        raise
    if not _swapped(scratch.meta):
        scratch.remove()
        raise InputError(
            "nothing was swapped during the recording; no trace was written.",
            "/proc/vmstat counts no page that went out or came in.",
            "Record for longer, or give the command less memory: --cgroup with a memory limit.",
        )
    return finish(scratch, out, progress)


def swap_areas() -> tuple[tuple[SwapDevice, ...], tuple[str, ...]]:
    """Return the swap areas and notes on them. Raises :class:`CapabilityError` if nothing can be recorded."""
    devices, notes = read_swaps()
    page_size = os.sysconf("SC_PAGE_SIZE")
    if page_size != 4096:
        raise CapabilityError(f"this kernel has pages of {page_size} bytes.", "Traces have slots of 4096 bytes.")
    if not devices:
        raise CapabilityError(
            "no swap area is enabled: there is nothing to record.",
            "/proc/swaps is empty.",
            "Enable one, e.g.: fallocate -l 1G /swap; chmod 600 /swap; mkswap /swap; swapon /swap",
        )
    if not any(device.dev for device in devices):
        raise CapabilityError("no slot of the enabled swap areas could be recorded.", *notes[:1])
    return devices, notes


def buffer_default_kib() -> int:
    """Return the default buffer per CPU: 32 MiB, but all together at most 1/16 of the memory available."""
    return max(1024, min(_BUFFER_KIB, memory_kib() // 16 // (os.cpu_count() or 1)))


def _record(
    plan: Plan, backend: Backend, job: Job, notes: tuple[str, ...], scratch: Scratch, snapshot: bool
) -> Scratch:
    start = dataclasses.replace(
        describe(plan.devices, job.command),
        recorder=backend.name,
        sources=(backend.name,),
        settings=swap_settings(plan.devices),
        memcg_before=memory_stat(job.cgroup.path) if job.cgroup else {},
    )
    with StopSignals() as stop, backend.start(plan) as recorder:
        before = event_counters(read_vmstat())
        begun = recorder.so_far()
        meta = _with_result(dataclasses.replace(start, vmstat_before=before), begun, notes)
        scratch = scratch.save("running", meta, begun.input)
        if snapshot:
            meta = _snapshot("start", meta, plan)
            scratch = scratch.save("running", meta, begun.input)
        kept = scratch

        def changed(types: SwapTypes) -> None:
            kept.save("running", dataclasses.replace(meta, devices=types.devices, swap_changes=types.changes))

        with SwapWatch(plan.devices, recorder.widen, changed) as watch:

            def check() -> None:
                recorder.check()
                watch.check()

            ending = run(job, stop, check)
        meta = dataclasses.replace(
            meta,
            devices=watch.types.devices,
            swap_changes=watch.types.changes,
            notes=(*meta.notes, *watch.notes),
        )
        if snapshot:
            meta = _snapshot("stop", meta, plan)
        after = event_counters(read_vmstat())
        result = recorder.stop()
    remarks = (*meta.notes, *_remarks(job.cgroup, ending))
    meta = dataclasses.replace(
        meta,
        lost=result.lost,
        vmstat_after=after,
        memcg_after=memory_stat(job.cgroup.path) if job.cgroup else {},
        interrupted=ending.interrupted,
    )
    return scratch.save("converting", dataclasses.replace(meta, notes=remarks))


def _snapshot(when: str, meta: TraceMeta, plan: Plan) -> TraceMeta:
    """Keep what is swapped out now, and say in the header how far it was seen: after the recorder was started, so that
    nothing moves unseen between the two."""
    found = take(when, meta.devices)
    keep_snapshot(found, plan.target, when)
    capabilities = dict(meta.capabilities)
    if when == "start":
        capabilities[Capability.SNAPSHOT] = Sight.OBSERVED if found.complete else Sight.INFERRED
    return dataclasses.replace(meta, capabilities=capabilities, notes=(*meta.notes, *found.notes))


def _with_result(meta: TraceMeta, result: Result, notes: tuple[str, ...]) -> TraceMeta:
    return dataclasses.replace(meta, tier=result.tier, filters=result.events, notes=(*notes, *result.notes))


def _keep_or_remove(scratch: Scratch, error: BaseException) -> None:
    """After a failed recording: say how to get what was recorded until then; remove the directory if nothing was, or
    the command did not even begin."""
    if not scratch.started or isinstance(error, UsageError):
        scratch.remove()
        return
    kept = open_scratch(scratch.path)
    meta = dataclasses.replace(kept.meta, interrupted=True, notes=(*kept.meta.notes, _cause(error)))
    dataclasses.replace(kept, meta=meta).keep()
    if isinstance(error, SwaptraceError):
        error.next_step = f"What was recorded until then is kept: {kept.recovery}"
        if isinstance(error, WriteError):
            error.next_step += " (choose a place with room)"


def _cause(error: BaseException) -> str:
    said = " ".join((error.what, error.why)) if isinstance(error, SwaptraceError) else f"{type(error).__name__} {error}"
    return f"the recording ended early: {said}"


def _swapped(meta: TraceMeta) -> bool:
    """Whether the kernel counted a page: an empty trace answers nothing."""
    return any(meta.vmstat_after[item] != meta.vmstat_before[item] for item in ITEMS if item in meta.vmstat_before)


def _remarks(cgroup: Cgroup | None, ending: Ending) -> list[str]:
    """Return what a reader of the trace must know about this run."""
    said = []
    if cgroup is not None:
        said.append(
            f"the command ran in the memory cgroup {cgroup.path} (memcg {cgroup.inode}); "
            "the events are those of the whole machine"
        )
    if ending.status:
        how = f"status {ending.status}" if ending.status > 0 else f"signal {-ending.status}"
        said.append(f"the command ended with {how}")
    return said
