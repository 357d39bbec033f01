"""The recording as shell commands, for machines where somebody else has to type them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from swaptrace.capture.device_spec import format_device
from swaptrace.capture.perf import perf_arguments
from swaptrace.capture.probes import Tracepoint, select
from swaptrace.capture.session import buffer_default_kib, swap_areas
from swaptrace.capture.tracefs import find_tracefs, has_event
from swaptrace.capture.vmstat import read_vmstat, swap_items
from swaptrace.capture.workload import Job, in_cgroup
from swaptrace.model.errors import PermissionDenied

__all__ = ["dry_run_lines", "perf_script", "tracefs_script"]

_SECONDS = 30  # of a recording with neither a command nor a duration: pasted lines cannot wait for Ctrl-C


def dry_run_lines(output: Path, job: Job, buffer_kib: int | None, owner: bool) -> list[str]:
    """Return shell lines that record ``job`` on this machine, once with perf and once with a shell alone.

    Explanations are comments, so that each half can be pasted as a whole; the last line of each is what makes
    the trace ``output`` of the file, with the swap areas of this machine. Needs no rights itself: what it may
    not read is said in a comment. Raises :class:`CapabilityError` where no swap area is enabled.
    """
    devices, notes = swap_areas()
    events, missing = select(_exists, devices, swap_items(read_vmstat()), owner)
    kib = buffer_kib or buffer_default_kib()
    machine = "".join(f" --device {format_device(device)}" for device in devices) + " --vmstat swap.vmstat"
    by_perf, by_shell = "swap.perf.data", "swap.ftrace.txt"
    return [
        *(f"# {note}" for note in (*notes, *missing)),
        "# Record with perf, as root on this machine:",
        "cat /proc/vmstat > swap.vmstat",
        *perf_script(events, by_perf, kib, job),
        f"# then, without any rights: swaptrace record {by_perf} -o {shlex.quote(str(output))}{machine}",
        "#",
        "# Or with a shell alone:",
        "cat /proc/vmstat > swap.vmstat",
        *tracefs_script(events, by_shell, kib, job, find_tracefs()),
        f"# then, without any rights: swaptrace record {by_shell} -o {shlex.quote(str(output))}{machine}",
    ]


def _exists(system: str, event: str) -> bool:
    try:
        return has_event(find_tracefs(), system, event)
    except PermissionDenied:  # a locked machine hides its events: assume those of a current kernel
        return True


def perf_script(events: Sequence[Tracepoint], output: str, buffer_kib: int, job: Job) -> list[str]:
    """Return shell lines that record ``events`` with perf into the file ``output``."""
    record = shlex.join([*perf_arguments(events, output, buffer_kib), "--", *_body(job)])
    return [record, f"chmod a+r {shlex.quote(output)}"]  # perf makes it readable for its owner alone


def tracefs_script(
    events: Sequence[Tracepoint], output: str, buffer_kib: int, job: Job, tracefs: Path = Path("/sys/kernel/tracing")
) -> list[str]:
    """Return shell lines that record ``events`` as text into ``output``, with echo, cat and mkdir alone."""
    lines = [
        f"T={tracefs}/instances/swaptrace-by-hand; mkdir $T",
        "echo 0 > $T/tracing_on; echo mono > $T/trace_clock; echo 1 > $T/options/record-tgid",
        f"echo {buffer_kib} > $T/buffer_size_kb",
    ]
    for event in events:
        where = f"$T/events/{event.system}/{event.event}"
        if event.filter:
            lines.append(f"echo {shlex.quote(event.filter)} > {where}/filter")
        lines.append(f"echo 1 > {where}/enable")
    return [
        *lines,
        f"cat $T/trace_pipe > {shlex.quote(output)} & READER=$!",
        f"echo 1 > $T/tracing_on; {shlex.join(_body(job))}; echo 0 > $T/tracing_on",
        "sleep 2; kill $READER; wait $READER; grep -H -e overrun -e dropped $T/per_cpu/cpu*/stats; rmdir $T",
    ]


def _body(job: Job) -> list[str]:
    """Return the command that the recording lasts as long as."""
    wait = f"{_SECONDS if job.duration is None else job.duration:g}"
    if not job.command:
        return ["sleep", wait]
    limit = [] if job.duration is None else ["timeout", wait]
    return [*limit, *(job.command if job.cgroup is None else in_cgroup(job.command, job.cgroup))]
