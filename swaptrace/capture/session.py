"""Record the running kernel into a trace: start the recorder, run the command, stop, convert, rename."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from swaptrace.capture.backends import Backend, Content, Plan, Result, choose
from swaptrace.capture.host import describe, memory_kib
from swaptrace.capture.swaps import read_swaps
from swaptrace.capture.vmstat import ITEMS, event_counters, read_vmstat, swap_items
from swaptrace.capture.workload import Cgroup, Ending, Job, StopSignals, plan_job, run
from swaptrace.model.errors import CapabilityError, InputError, PermissionDenied, SwaptraceError
from swaptrace.model.meta import SwapDevice, TraceMeta

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
    content: Content | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TraceMeta:
    """Record every swap event of this machine into the trace ``out``, and return its header.

    The recording lasts as long as ``command``, at most ``duration`` seconds; without either until Ctrl-C
    (SIGINT, SIGTERM or SIGHUP). A recording that was cut short is kept, with ``interrupted`` set. ``command``
    runs in the memory cgroup ``cgroup``; the events of the whole machine are recorded all the same, because
    the slots of a swap area are shared by all and most events carry no cgroup. ``buffer_kb`` is per CPU;
    ``owner`` adds the events that tell whose page it is (more events; tier T1). ``progress(done, total)``
    follows the conversion.

    Errors: :class:`InputError` (nothing was swapped), :class:`CapabilityError` (no swap area, no such event),
    :class:`PermissionDenied`,
    :class:`UsageError` (unknown command, cgroup or backend). If the conversion fails, the raw recording stays
    beside ``out`` and the error says where.
    """
    job = plan_job(command, duration, cgroup)
    if job.cgroup is not None and not os.access(job.cgroup.path / "cgroup.procs", os.W_OK):
        where = job.cgroup.path / "cgroup.procs"
        raise PermissionDenied(f"cannot write {where}.", "No process may be moved there.", "Run it with sudo.")
    devices, notes = swap_areas()
    chosen, skipped = choose(backend, tier)
    scratch = _scratch(out)
    try:
        plan = Plan(
            scratch, devices, swap_items(read_vmstat()), buffer_kb or buffer_default_kib(), owner, content or Content()
        )
        meta, recorded = _record(plan, chosen, job, (*notes, *skipped))
        _require_swapping(meta)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return _convert(recorded, out, meta, scratch, progress)


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


def _scratch(out: Path) -> Path:
    """Make the directory of the raw recording beside ``out``: the same file system, so the same room."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".raw", dir=out.parent))
    except OSError as error:
        raise PermissionDenied(f"cannot write {out}.", f"{error.strerror}.", "Choose another place with -o.") from error


def _record(plan: Plan, backend: Backend, job: Job, notes: tuple[str, ...]) -> tuple[TraceMeta, Result]:
    start = describe(plan.devices, job.command)
    with StopSignals() as stop, backend.start(plan) as recorder:
        before = event_counters(read_vmstat())
        ending = run(job, stop, recorder.check)
        after = event_counters(read_vmstat())
        result = recorder.stop()
    meta = dataclasses.replace(
        start,
        recorder=backend.name,
        tier=result.tier,
        filters=result.events,
        sources=(backend.name,),
        lost=result.lost,
        vmstat_before=before,
        vmstat_after=after,
        interrupted=ending.interrupted,
        notes=(*notes, *result.notes, *_remarks(plan, job.cgroup, ending)),
    )
    return meta, result


def _require_swapping(meta: TraceMeta) -> None:
    """Raise :class:`InputError` if the kernel counted no page: an empty trace answers nothing."""
    if not any(meta.vmstat_after[item] - meta.vmstat_before[item] for item in ITEMS if item in meta.vmstat_before):
        raise InputError(
            "nothing was swapped during the recording; no trace was written.",
            "/proc/vmstat counts no page that went out or came in.",
            "Record for longer, or give the command less memory: --cgroup with a memory limit.",
        )


def _remarks(plan: Plan, cgroup: Cgroup | None, ending: Ending) -> list[str]:
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
    if [d.path for d in read_swaps()[0]] != [d.path for d in plan.devices]:
        said.append("swap areas were enabled or disabled during the recording: those enabled later are not in it")
    return said


def _convert(
    recorded: Result, out: Path, meta: TraceMeta, scratch: Path, progress: Callable[[int, int], None] | None
) -> TraceMeta:
    from pydantic import TypeAdapter

    from swaptrace.ingest.convert import convert

    (scratch / "meta.json").write_bytes(TypeAdapter(TraceMeta).dump_json(meta))
    again = ["record", str(recorded.input), "-o", str(out)]
    by_hand = f"The raw recording is kept. Convert it with: swaptrace {shlex.join(again)}"
    try:
        whole = convert([recorded.input], out, base=meta, progress=progress)
    except SwaptraceError as error:
        error.next_step = by_hand
        raise
    except KeyboardInterrupt as interrupt:
        raise _InterruptedError("stopped before the trace was written.", "", by_hand) from interrupt
    except Exception as error:
        what = f"the recording was made, but not converted: {type(error).__name__}: {error}"
        raise _ConversionError(what, "This is a bug in swaptrace, not in your machine.", by_hand) from error
    shutil.rmtree(scratch, ignore_errors=True)
    return whole


class _ConversionError(SwaptraceError):
    """A bug in the conversion: the message must say where the recording is."""

    exit_code = 70  # EX_SOFTWARE, as for every bug


class _InterruptedError(SwaptraceError):
    """A second Ctrl-C, during the conversion."""

    exit_code = 130
