"""From a raw directory to the trace: at the end of a recording, and after a recorder was killed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from swaptrace.capture.host import start_time
from swaptrace.capture.scratch import Scratch, open_scratch
from swaptrace.capture.sidecars import build_sidecars, remove_sidecars
from swaptrace.capture.workload import terminations_interrupt
from swaptrace.model.errors import SwaptraceError, UsageError, WriteError
from swaptrace.model.meta import Sidecar, TraceMeta

__all__ = ["finish", "recover"]

_KILLED = (
    "the recorder was killed: what the kernel's buffers still held is missing, and with it the last moments of each "
    "processor; losses and the counts of /proc/vmstat at the end are unknown"
)


def recover(directory: Path, out: Path, progress: Callable[[int, int], None] | None = None) -> TraceMeta:
    """Write the trace ``out`` from the raw directory of a recording that did not end well; return its header.

    Everything up to the last whole page is in it. The directory is removed once the trace is written.

    Errors: :class:`UsageError` if its recorder still runs, :class:`InputError` if it is no raw directory or holds
    no swap event; then it stays.
    """
    scratch = open_scratch(directory)
    if scratch.alive:
        raise UsageError(
            f"{directory} is still being recorded.", f"By process {scratch.pid}.", f"End it with: kill {scratch.pid}"
        )
    if scratch.state == "running":
        meta = dataclasses.replace(scratch.meta, interrupted=True, notes=(*scratch.meta.notes, _KILLED))
        scratch = dataclasses.replace(scratch, meta=meta)
    for half in out.parent.glob(f".{out.name}.*.tmp"):  # of a conversion that was killed
        pid = half.name.split(".")[-2]
        if pid.isdigit() and start_time(int(pid)) is None:
            half.unlink()
    return finish(scratch, out, progress, whole=False)


def finish(
    scratch: Scratch, out: Path, progress: Callable[[int, int], None] | None, *, whole: bool = True
) -> TraceMeta:
    """Convert ``scratch`` into ``out`` and remove it; if that fails, keep it and say how to try again.

    Without ``whole`` its files may end anywhere.
    """
    from swaptrace.ingest.convert import convert

    again = f"The raw recording is kept. Convert it with: {scratch.recovery}"
    sidecars: tuple[Sidecar, ...] = ()
    done = False
    try:
        with terminations_interrupt():
            sidecars = build_sidecars(scratch.path, out)
            base = dataclasses.replace(scratch.meta, sidecars=sidecars)
            meta = convert([scratch.data], out, base=base, progress=progress, whole=whole)
            done = True
    except SwaptraceError as error:
        scratch.keep()
        error.next_step = again + (" (choose a place with room)" if isinstance(error, WriteError) else "")
        raise
    except KeyboardInterrupt as interrupt:
        scratch.keep()
        raise _InterruptedError("stopped before the trace was written.", "", again) from interrupt
    except Exception as error:
        scratch.keep()
        what = f"the recording was made, but not converted: {type(error).__name__}: {error}"
        raise _ConversionError(what, "This is a bug in swaptrace, not in your machine.", again) from error
    finally:
        if not done:
            remove_sidecars(sidecars, out)
    scratch.remove()
    return meta


class _ConversionError(SwaptraceError):
    """A bug in the conversion: the message must say where the recording is."""

    exit_code = 70  # EX_SOFTWARE, as for every bug


class _InterruptedError(SwaptraceError):
    """A second Ctrl-C, during the conversion."""

    exit_code = 130
