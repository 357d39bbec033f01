"""Any recording -> a trace file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from swaptrace.ingest.bpf.contents import content_sizes
from swaptrace.ingest.bpf.source import BpfSource
from swaptrace.ingest.csv_rows import CsvRows
from swaptrace.ingest.detect import FORMATS, detect
from swaptrace.ingest.devices import SlotMap, infer_devices
from swaptrace.ingest.headers import header_beside, header_of
from swaptrace.ingest.memcg_items import ItemCodes
from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.parquet import ParquetRows
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, empty
from swaptrace.ingest.reconstruct import Reconstruction
from swaptrace.ingest.rows import Rows
from swaptrace.ingest.sources import AnySource, joined, open_sources
from swaptrace.ingest.text_input import TextInput
from swaptrace.model.errors import InputError, UsageError, closest
from swaptrace.model.events import Cause, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta
from swaptrace.model.writer import TraceWriter

__all__ = ["PREFIX_EVENTS", "convert"]

Progress = Callable[[int, int], None]
PREFIX_EVENTS = 1 << 20  # what a recording has, and which devices are swap, is judged from this many first events
_ALONE = {"parquet", "csv", "blkparse", "bpf-raw"}  # their times are not those of another recording
_SWAP = (Kind.SWAP_OUT, Kind.SWAP_IN, Kind.WRITEBACK)


def convert(
    inputs: Sequence[Path],
    out: Path,
    *,
    fmt: str = "auto",
    devices: Sequence[SwapDevice] = (),
    base: TraceMeta | None = None,
    progress: Progress | None = None,
    columns: Mapping[str, str] | None = None,
    stop: bool = False,
    whole: bool = True,
) -> TraceMeta:
    """Read the recordings ``inputs``, write the trace ``out``, and return its header.

    ``fmt`` is one of :data:`swaptrace.ingest.detect.FORMATS` or ``auto``. ``devices`` are the swap areas; without them
    those of ``base`` or of the recording count, else they are inferred. ``base`` is a header to complete (machine,
    command, vmstat with the lines of /proc/vmstat in order). ``progress`` is called with bytes done and bytes in all.
    Several inputs, which must be of one boot, are merged by time. ``columns`` names the CSV column of a column of the
    schema. With ``stop``, a line or row of text that cannot be read is an error; else it is left out and counted.
    Without ``whole``, the inputs are those of a recorder that was killed: what was not written to its end is left out,
    and counted.

    Raises :class:`InputError` for an input that is empty, cut short, corrupt or without swap events; then no file is
    left behind.
    """
    if not inputs:
        raise UsageError("no recording was named.")
    if fmt not in ("auto", *FORMATS):
        raise UsageError(f"unknown format {fmt!r}.", closest(fmt, ("auto", *FORMATS)))
    if columns and fmt == "auto":
        fmt = "csv"
    if columns and fmt != "csv":
        raise UsageError(f"--map is for CSV, not for {fmt}.", "Other formats name their columns.", "Leave it out.")
    formats = [detect(path) if fmt == "auto" else fmt for path in inputs]
    for alone in _ALONE & set(formats):
        if len(inputs) > 1:
            raise UsageError(f"Recordings of format {alone} are imported one at a time.")
    if formats == ["parquet"]:
        return _from_rows(ParquetRows(inputs[0]), inputs[0].name, out, devices, base, progress)
    if formats == ["csv"]:
        rows = CsvRows(TextInput(inputs[0]), columns or {}, stop)
        return _from_rows(rows, inputs[0].name, out, devices, base, progress)
    if formats == ["bpf-raw"]:
        return _from_bpf(inputs[0], out, devices, base, progress)
    source = open_sources(list(zip(inputs, formats, strict=True)), stop=stop, whole=whole)
    if source.bios_only and not any(d.dev for d in (*devices, *(base.devices if base else ()))):
        raise InputError(
            f"{source.name} cannot be imported without a swap area.",
            "It holds the block events of a blk tracer only, in which swap looks like any other data.",
            "Name the swap area: --device MAJOR,MINOR",
        )
    header = header_of(source, formats, base)
    return _from_events(source, out, tuple(devices) or header.devices, header, progress)


def _from_rows(
    source: ParquetRows | CsvRows,
    name: str,
    out: Path,
    devices: Sequence[SwapDevice],
    base: TraceMeta | None,
    progress: Progress | None,
) -> TraceMeta:
    swaps = 0
    with TraceWriter(out) as writer:
        for columns, masks, words in source.batches():
            writer.write(columns, masks, words)
            swaps += int(np.isin(columns["kind"], _SWAP).sum())
            if progress is not None:
                progress(source.done, source.size)
        _require(swaps, name, source.findings)
        meta = (
            source.meta
            if base is None
            else dataclasses.replace(
                base,
                devices=source.meta.devices,
                hash=source.meta.hash,
                capabilities=source.meta.capabilities,
            )
        )
        meta = dataclasses.replace(meta, recorder=meta.recorder or "parquet", sources=meta.sources or (name,))
        return writer.finish(_complete(meta, source.findings, tuple(devices) or meta.devices))


def _from_bpf(
    folder: Path, out: Path, devices: Sequence[SwapDevice], base: TraceMeta | None, progress: Progress | None
) -> TraceMeta:
    source = BpfSource(folder, base or header_beside(folder, TraceMeta()), devices)
    with TraceWriter(out) as writer:
        for columns, masks, words in source.batches():
            writer.write(columns, masks, words)
            if progress is not None:
                progress(source.done, source.size)
        _require(source.swaps, folder.name, source.findings)
        meta = source.header()
        with content_sizes(folder, out) as sizes:
            meta = dataclasses.replace(meta, sidecars=(*meta.sidecars, *sizes))
            return writer.finish(_complete(meta, source.findings, meta.devices))


def _from_events(
    source: AnySource,
    out: Path,
    devices: tuple[SwapDevice, ...],
    header: TraceMeta,
    progress: Progress | None,
) -> TraceMeta:
    stream = _with_changes(source.chunks(), header, devices)
    prefix = _prefix(stream)
    head = _first(prefix, PREFIX_EVENTS)
    kinds = {int(kind) for chunk in head for kind in np.flatnonzero(np.bincount(chunk.kind))}
    guessed = () if any(d.dev for d in devices) or not head else infer_devices(*head)
    head.clear()
    known, inferred = _settle(devices, guessed)
    rebuilt = Findings()
    built = Reconstruction(
        SlotMap(known, header.swap_changes if known == header.devices else ()),
        header.vmstat_before,
        rebuilt,
        faults=RawKind.FAULT in kinds,
        majors=RawKind.FAULT not in kinds and RawKind.MAJOR_FAULT in kinds,
        inferred=inferred,
    )
    counts, top_cpu = np.zeros(len(Kind), np.int64), 0
    with TraceWriter(out) as writer:

        def put(rows: Rows) -> None:
            if len(rows):
                if source.bios_only:  # no write_folio follows a write, but that makes it no writeback
                    backs = np.flatnonzero(rows.columns["kind"] == Kind.WRITEBACK)
                    rows.fill(backs, kind=Kind.SWAP_OUT, cause=Cause.NONE)
                counts[:] += np.bincount(rows.columns["kind"], minlength=len(Kind))
                writer.write(rows.columns, words=source.words)

        for chunk in _chain(prefix, stream):
            top_cpu = max(top_cpu, int(chunk.cpu.max(initial=0)))
            put(built.feed(chunk))
            if progress is not None:
                progress(source.done, source.size)
        put(built.finish())
        findings = joined([source.findings, rebuilt])  # now that all is read
        _require(int(counts[list(_SWAP)].sum()), source.name, findings)
        if not source.bios_only:
            _explain(findings, known, inferred, kinds, header)
        slots = Sight.INFERRED if inferred else Sight.OBSERVED
        capabilities = dict(header.capabilities)  # of the recorder: what no event shows
        if built.seen["slots"]:
            capabilities[Capability.SLOT] = slots
        if built.seen["owners"]:
            capabilities[Capability.OWNER] = Sight.INFERRED
        if built.seen["frees"]:
            capabilities[Capability.FREE] = Sight.OBSERVED if _only_zram(known) else Sight.INFERRED
            findings.notes += _about_frees(known, header)
        meta = dataclasses.replace(header, capabilities=capabilities, cpus=header.cpus or top_cpu + 1)
        return writer.finish(_complete(meta, findings, known))


def _with_changes(stream: Iterator[RawChunk], header: TraceMeta, devices: tuple[SwapDevice, ...]) -> Iterator[RawChunk]:
    """Add the swapons and swapoffs that the recorder noticed to its events."""
    if not header.swap_changes or devices != header.devices:
        return stream
    changes = empty(len(header.swap_changes))
    for i, change in enumerate(header.swap_changes):
        changes.ts[i], changes.value[i] = change.ts, change.device
        changes.kind[i] = RawKind.SWAPON if change.on else RawKind.SWAPOFF
    return merge_by_time([stream, iter([changes])])


def _prefix(stream: Iterator[RawChunk]) -> list[RawChunk]:
    chunks: list[RawChunk] = []
    rows = 0
    while rows < PREFIX_EVENTS and (chunk := next(stream, None)) is not None:
        chunks.append(chunk)
        rows += len(chunk)
    return chunks


def _first(chunks: Sequence[RawChunk], rows: int) -> list[RawChunk]:
    """Return the first ``rows`` rows of ``chunks``, not copied."""
    out = []
    for chunk in chunks:
        out.append(chunk.take(slice(0, rows)))
        rows -= len(out[-1])
    return out


def _chain(prefix: list[RawChunk], stream: Iterator[RawChunk]) -> Iterator[RawChunk]:
    while prefix:
        yield prefix.pop(0)
    yield from stream


def _settle(devices: tuple[SwapDevice, ...], guessed: tuple[SwapDevice, ...]) -> tuple[tuple[SwapDevice, ...], bool]:
    """Return the devices to use and whether their slots are inferred. A list without numbers is matched if it can
    be."""
    if any(d.dev for d in devices):
        return devices, False
    if len(devices) == len(guessed) == 1:
        return (dataclasses.replace(devices[0], dev=guessed[0].dev),), devices[0].kind != "zram"
    return guessed, True


def _about_frees(devices: Sequence[SwapDevice], header: TraceMeta) -> list[str]:
    """Say which frees the handles of zsmalloc do not show, and which they show wrongly."""
    notes = ["Slots of zram are freed unseen where one word fills the page: it has no handle."]
    if not _only_zram(devices):
        notes.append("Frees were seen on zram only; on other areas they are inferred.")
    for name, value in header.settings.items():
        if name.endswith((".backing_dev", ".recomp_algorithm")) and value not in ("", "none"):
            notes.append(f"{name} is {value}: when zram moves or recompresses a page, its handle counts as freed.")
    return notes


def _only_zram(devices: Sequence[SwapDevice]) -> bool:
    return all(device.kind == "zram" for device in devices)


def _explain(
    findings: Findings, devices: tuple[SwapDevice, ...], inferred: bool, kinds: set[int], header: TraceMeta
) -> None:
    """Say in words what this recording cannot show; ``kinds`` are those among its first events."""
    has = {kind: kind in kinds for kind in RawKind}
    if not devices:
        findings.notes.append("No swap device was seen: no block events, or zram before 6.3. No event has a slot.")
    elif inferred:
        findings.notes.append(
            "The swap devices were inferred: slots count from the start of the disk. Name them with --device."
        )
    if not has[RawKind.FAULT] and has[RawKind.MAJOR_FAULT]:
        findings.notes.append("Without page fault events, swap_ins are those of the major fault that ended after them.")
    elif not has[RawKind.FAULT]:
        findings.notes.append("Without page fault events the cause of a swap_in is unknown.")
    if not has[RawKind.MEMCG_EVENT]:
        findings.notes.append(
            "Without memcg:count_memcg_events, swap_outs that wrote nothing have backend unknown, "
            "and zero and zswap swap_ins are missing."
        )
    elif not ItemCodes(header.vmstat_before).complete:
        findings.notes.append(
            "The numbers of memcg items are unknown without /proc/vmstat: zero and zswap events are missing."
        )
    if not has[RawKind.PAGE_ALLOC]:
        findings.notes.append("Without kmem:mm_page_alloc no swap_out has an owner: record it with --owner.")
    if findings.lost:
        findings.notes.append("Events were lost: bios without their write_folio count as writebacks, and the reverse.")


def _require(swaps: int, name: str, findings: Findings) -> None:
    if not swaps:
        seen = "; ".join(f"{count:,} {reason}" for reason, count in list(findings.skipped.items())[:4])
        raise InputError(
            f"{name} holds no swap events.",
            f"Skipped: {seen}."
            if seen
            else "Nothing was swapped while it was recorded, or the swap events were not enabled.",
            "Record with: swaptrace record -o T.parquet -- COMMAND (add --dry-run to see which events it takes)",
        )


def _complete(meta: TraceMeta, findings: Findings, devices: Sequence[SwapDevice]) -> TraceMeta:
    from swaptrace import __version__

    lost = dict(meta.lost)
    for name, count in findings.lost.items():
        if not (name.endswith("buffer pages") and meta.lost):  # the recorder counted the same loss, by event
            lost[name] = lost.get(name, 0) + count
    skipped = dict(meta.skipped)
    for name, count in findings.skipped.items():
        skipped[name] = skipped.get(name, 0) + count
    notes = tuple(dict.fromkeys([*meta.notes, *findings.notes]))
    return dataclasses.replace(
        meta, tool=f"swaptrace {__version__}", devices=tuple(devices), lost=lost, skipped=skipped, notes=notes
    )
