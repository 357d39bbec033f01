"""``swaptrace record``: from the running kernel, or from files that others recorded, to a trace."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from swaptrace.cli.record_ways import DRY_RUN, IMPORT, RECORD, RECOVER, refuse_idle_options
from swaptrace.model.errors import InputError, UsageError
from swaptrace.model.files import check_output
from swaptrace.model.units import format_bytes, format_count, parse_bytes, parse_time_ns, printable

if TYPE_CHECKING:
    from swaptrace.capture.backends import Content
    from swaptrace.model.meta import TraceMeta

__all__ = ["RecordCommand", "record", "register"]

_COMMAND = "swaptrace.command"  # where the words behind -- wait in the context
_HELP = """Record the swap events of this machine, or import what perf or ftrace recorded.

\b
swaptrace record -o T.parquet -- CMD ...     record while CMD runs
swaptrace record -o T.parquet --duration 30  record for 30 seconds
swaptrace record -o T.parquet                record until Ctrl-C
swaptrace record FILE... -o T.parquet        import perf.data, trace.dat, text, CSV, Parquet: docs/importing.md
swaptrace record --recover DIR -o T.parquet  what a recorder that was killed, or ran out of room, left

What stands before -- are files, what stands behind it is the command. The events of the whole machine are
recorded, because all share the slots of a swap area; --cgroup chooses where CMD runs, not what is recorded.

Exit codes: 0 recorded, also if CMD failed (its status is shown and kept in the trace) or if Ctrl-C ended a
recording that had no other end; 130 if Ctrl-C cut CMD or --duration short: what was recorded until then is
kept. 2 usage, 3 unreadable input or nothing was swapped, 4 no swap area or no such event, 5 permission.
"""


class RecordCommand(TyperCommand):
    """Takes the words behind ``--`` out of the arguments before they are parsed.

    The usual parser drops ``--`` itself, after which a command and a file cannot be told apart.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the command in ``ctx.meta``: None without ``--``."""
        ctx.meta[_COMMAND] = None
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("record", cls=RecordCommand, help=_HELP, short_help="Record this machine's swap events, or import.")(
        record
    )


def record(
    ctx: typer.Context,
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", readable=False, help="Recordings to import; - is text on standard input."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", readable=False, help="The trace to write.")] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time: 30 (seconds), 5min.")
    ] = None,
    cgroup: Annotated[str | None, typer.Option(help="Memory cgroup in which CMD runs, as /sys/fs/cgroup/app.")] = None,
    tier: Annotated[str, typer.Option(help="auto, bpf (sees contents, sizes and owners) or tracepoint.")] = "auto",
    backend: Annotated[str, typer.Option(help="auto, bpf, tracefs or perf.")] = "auto",
    hash_: Annotated[str, typer.Option("--hash", help="Hash of page contents: xxh64 or none (tier bpf).")] = "xxh64",
    salt: Annotated[
        str, typer.Option(help="Salt of the hashes: auto (random, kept nowhere), none, or 32 hex digits.")
    ] = "auto",
    content: Annotated[
        int | None, typer.Option(metavar="N", help="Compressed sizes of 1/N of the contents (tier bpf; N: power of 2).")
    ] = None,
    buffer: Annotated[str | None, typer.Option(help="Kernel buffer per CPU; default up to 32MiB.")] = None,
    owner: Annotated[bool, typer.Option("--owner", help="Also record whose page it is: more events.")] = False,
    snapshot: Annotated[
        bool, typer.Option("--snapshot/--no-snapshot", help="Also keep what is on swap at the start and at the end.")
    ] = True,
    form: Annotated[
        str,
        typer.Option(
            "--from", help="Format of FILE: auto, or one of docs/importing.md (perf-data, trace-dat, csv ...)."
        ),
    ] = "auto",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=NAME", help="Column of a trace = column of a CSV FILE: slot=offset."),
    ] = None,
    errors: Annotated[
        str, typer.Option(metavar="skip|stop", help="Lines of a text FILE that cannot be read: leave out, or stop.")
    ] = "skip",
    device: Annotated[list[str] | None, typer.Option(help="Swap area of FILE, in swapon order: 253,0.")] = None,
    vmstat: Annotated[
        Path | None, typer.Option(readable=False, help="/proc/vmstat of the machine of FILE, or a copy.")
    ] = None,
    recover: Annotated[
        Path | None, typer.Option(metavar="DIR", readable=False, help="Raw directory of a recorder that was killed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print commands for whoever has the rights.")] = False,
) -> None:
    """Check the arguments, then import, print commands, or record; see ``_HELP``."""
    command: list[str] | None = ctx.meta[_COMMAND]
    if files and command is not None:
        raise UsageError("files and a command at once.", "Files are imported, a command is recorded.", "Give one.")
    if command == []:
        raise UsageError("no command behind --.", "", "swaptrace record -o T.parquet -- CMD ...")
    if dry_run and files:
        raise UsageError("--dry-run and files.", "An import needs no rights.", "Leave --dry-run out.")
    if recover is not None and (files or command is not None):
        raise UsageError("--recover and something else to record.", "", "Leave out the files and the command.")
    way = RECOVER if recover is not None else IMPORT if files else DRY_RUN if dry_run else RECORD
    refuse_idle_options(ctx, way, tier, backend)
    contents = _content(hash_, salt, content)
    seconds = None if duration is None else parse_time_ns(duration) / 1e9
    kib = None if buffer is None else parse_bytes(buffer) >> 10
    if kib == 0:
        raise UsageError(f"--buffer {buffer} holds no event.", "", "Give 1KiB or more; without it: up to 32MiB.")
    if dry_run:
        from swaptrace.capture.dryrun import dry_run_lines
        from swaptrace.capture.workload import plan_job

        job = plan_job(command or [], seconds, cgroup)
        typer.echo("\n".join(dry_run_lines(output or Path("swap.parquet"), job, kib, owner)))
        return
    if output is None:
        raise UsageError("where to?", "No output was given.", "Add -o T.parquet")
    check_output(output)  # before an hour of recording, not after it
    if output.is_file() and not force:
        raise UsageError(f"{output} exists.", "A trace is never changed.", "Choose another name, or add --force.")
    if recover is not None:
        from swaptrace.capture.recover import recover as recover_directory

        with _progress("recover") as progress:
            meta = recover_directory(recover, output, progress)
        typer.echo("\n".join(_summary(output, meta)))
        return
    if files:
        meta = _import(files, output, form, device or [], vmstat, columns or [], errors)
    else:
        from swaptrace.capture.scratch import abandoned
        from swaptrace.capture.session import record_live

        for left in abandoned(output.absolute().parent):
            typer.echo(f"an earlier recording was not finished: {left.recovery}", err=True)

        if not command and sys.stderr.isatty():
            typer.echo("recording; Ctrl-C ends it", err=True)
        with _progress("convert") as progress:
            meta = record_live(
                output,
                command=command or [],
                duration=seconds,
                cgroup=cgroup,
                backend=backend,
                tier=tier,
                buffer_kb=kib,
                owner=owner,
                snapshot=snapshot,
                content=contents,
                progress=progress,
            )
    typer.echo("\n".join(_summary(output, meta)))
    if meta.interrupted:
        raise typer.Exit(130)


def _content(algorithm: str, salt: str, sample: int | None) -> Content:
    """Return how contents are hashed; a random salt is made here and kept nowhere (docs/privacy.md)."""
    import os

    from swaptrace.capture.backends import Content

    if algorithm not in ("xxh64", "none"):
        raise UsageError(f"unknown hash {algorithm!r}.", "known: none, xxh64")
    if sample is not None and (sample < 1 or sample & (sample - 1)):
        raise UsageError(f"--content {sample} is no power of 2.", "", "Give 1 (every content), 2, 4, 8 ...")
    if sample is not None and algorithm == "none":
        raise UsageError("--content and --hash none.", "Contents are told apart by their hashes.", "Give one of them.")
    if salt in ("auto", "none"):
        return Content(algorithm != "none", os.urandom(16) if salt == "auto" else None, sample or 0)
    try:
        key = bytes.fromhex(salt)
    except ValueError:
        key = b""
    if len(key) != 16:
        raise UsageError(f"{salt!r} is no salt.", "", "Give auto, none, or 32 hex digits (openssl rand -hex 16).")
    return Content(algorithm != "none", key, sample or 0)


def _import(
    files: list[Path],
    output: Path,
    form: str,
    specs: list[str],
    vmstat: Path | None,
    columns: list[str],
    errors: str,
) -> TraceMeta:
    from swaptrace.capture.device_spec import parse_device
    from swaptrace.capture.vmstat import event_counters, read_vmstat
    from swaptrace.ingest.convert import convert
    from swaptrace.ingest.csv_rows import parse_map
    from swaptrace.model.meta import TraceMeta

    if errors not in ("skip", "stop"):
        raise UsageError(f"--errors {errors}?", "", "It is skip or stop.")
    for path in files:
        if str(path) != "-" and not path.exists():
            hint = f"To record a command: swaptrace record -o {output} -- {shlex.quote(str(path))}"
            raise InputError(f"{path}: no such file.", "What stands before -- are files.", hint)
    devices = [parse_device(spec, swap_type) for swap_type, spec in enumerate(specs)]
    with _progress("import") as progress:
        # The numbers of the event items, which tell zero pages and zswap, differ from kernel to kernel.
        base = None if vmstat is None else TraceMeta(vmstat_before=event_counters(read_vmstat(vmstat)))
        return convert(
            files,
            output,
            fmt=form,
            devices=devices,
            base=base,
            progress=progress,
            columns=parse_map(columns),
            stop=errors == "stop",
        )


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield ``progress(done, total)`` in bytes of input: a bar on stderr, on a terminal only."""
    from tqdm import tqdm

    with tqdm(desc=what, unit="B", unit_scale=True, disable=None, delay=0.5) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _summary(output: Path, meta: TraceMeta) -> list[str]:
    """Return what was recorded: events by kind and backend, lost events, capabilities, and the next step."""
    import numpy as np

    from swaptrace.model.events import Backend, Kind
    from swaptrace.model.trace import Trace

    counts = np.zeros(256 * 256, np.int64)
    for batch in Trace(output).batches(["kind", "backend"]):
        counts += np.bincount(batch["kind"].astype(np.int64) * 256 + batch["backend"], minlength=256 * 256)
    lines = [f"{output}: {format_count(meta.rows)} events, {format_bytes(output.stat().st_size)}, {meta.recorder}"]
    for code in np.flatnonzero(counts).tolist():
        kind, backend = Kind(code // 256), Backend(code % 256)
        name = kind.name.lower() + (f" ({backend.name.lower()})" if backend else "")
        lines.append(f"  {name:<24}{format_count(counts[code]):>16}")
    lines.append(f"lost      {format_count(meta.lost_total)}")
    if meta.lost_total:
        lines[-1] += f" ({', '.join(f'{k} {v:,}' for k, v in meta.lost.items())}): record again with a larger --buffer"
    seen = [f"{c} {sight}" for c, sight in meta.capabilities.items() if sight != "absent"]
    lines.append(f"sees      {', '.join(seen) or 'nothing'}")
    lines += [f"note      {printable(note)}" for note in meta.notes]
    if meta.interrupted:
        lines.append("note      interrupted: this is what was recorded until then")
    return [*lines, f"next      swaptrace info {shlex.quote(str(output))}"]
