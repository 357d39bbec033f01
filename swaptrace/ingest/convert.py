"""Any recording -> a trace file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from swaptrace.ingest.bpf.contents import write_content_sizes
from swaptrace.ingest.bpf.source import BpfSource
from swaptrace.ingest.detect import FORMATS, detect
from swaptrace.ingest.devices import SlotMap, infer_devices
from swaptrace.ingest.headers import header_beside, header_of
from swaptrace.ingest.memcg_items import ItemCodes
from swaptrace.ingest.parquet import ParquetRows
from swaptrace.ingest.raw import Findings, RawChunk, RawKind, concat
from swaptrace.ingest.reconstruct import Reconstruction
from swaptrace.ingest.rows import Rows
from swaptrace.ingest.sources import AnySource, open_sources
from swaptrace.model.errors import InputError, UsageError, closest
from swaptrace.model.events import Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta
from swaptrace.model.writer import TraceWriter

__all__ = ["PREFIX_EVENTS", "convert"]

Progress = Callable[[int, int], None]
PREFIX_EVENTS = 1 << 20  # what a recording has, and which devices are swap, is judged from this many first events
_SWAP = (Kind.SWAP_OUT, Kind.SWAP_IN, Kind.WRITEBACK)


def convert(
    inputs: Sequence[Path],
    out: Path,
    *,
    fmt: str = "auto",
    devices: Sequence[SwapDevice] = (),
    base: TraceMeta | None = None,
    progress: Progress | None = None,
) -> TraceMeta:
    """Read the recordings ``inputs``, write the trace ``out``, and return its header.

    ``fmt`` is one of :data:`swaptrace.ingest.detect.FORMATS` or ``auto``. ``devices`` are the swap areas; without them
    those of ``base`` or of the recording count, else they are inferred. ``base`` is a header to complete (machine,
    command, vmstat with the lines of /proc/vmstat in order). ``progress`` is called with bytes done and bytes in all.
    Several inputs, which must be of one boot, are merged by time.

    Raises :class:`InputError` for an input that is empty, cut short, corrupt or without swap events; then no file is
    left behind.
    """
    if not inputs:
        raise UsageError("no recording was named.")
    if fmt not in ("auto", *FORMATS):
        raise UsageError(f"unknown format {fmt!r}.", closest(fmt, ("auto", *FORMATS)))
    formats = [detect(path) if fmt == "auto" else fmt for path in inputs]
    if "parquet" in formats:
        if len(inputs) > 1:
            raise UsageError("Parquet recordings are imported one at a time.")
        return _from_parquet(inputs[0], out, devices, base, progress)
    if "bpf-raw" in formats:
        if len(inputs) > 1:
            raise UsageError("Recordings of the BPF tier are imported one at a time.")
        return _from_bpf(inputs[0], out, devices, base, progress)
    source = open_sources(list(zip(inputs, formats, strict=True)))
    header = header_of(source, formats, base)
    return _from_events(source, out, tuple(devices) or header.devices, header, progress)


def _from_parquet(
    path: Path, out: Path, devices: Sequence[SwapDevice], base: TraceMeta | None, progress: Progress | None
) -> TraceMeta:
    source = ParquetRows(path)
    swaps = 0
    with TraceWriter(out) as writer:
        for columns, masks, words in source.batches():
            writer.write(columns, masks, words)
            swaps += int(np.isin(columns["kind"], _SWAP).sum())
            if progress is not None:
                progress(source.done, source.size)
        _require(swaps, path.name, source.findings)
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
        meta = dataclasses.replace(meta, recorder=meta.recorder or "parquet", sources=meta.sources or (path.name,))
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
        write_content_sizes(folder, out)
        meta = source.header()
        return writer.finish(_complete(meta, source.findings, meta.devices))


def _from_events(
    source: AnySource,
    out: Path,
    devices: tuple[SwapDevice, ...],
    header: TraceMeta,
    progress: Progress | None,
) -> TraceMeta:
    stream = source.chunks()
    prefix = _prefix(stream)
    head = concat(prefix).take(slice(0, PREFIX_EVENTS))
    guessed = () if any(d.dev for d in devices) else infer_devices(head)
    known, inferred = _settle(devices, guessed)
    findings = source.findings
    built = Reconstruction(
        SlotMap(known),
        header.vmstat_before,
        findings,
        faults=bool((head.kind == RawKind.FAULT).any()),
        inferred=inferred,
    )
    counts, top_cpu = np.zeros(len(Kind), np.int64), 0
    with TraceWriter(out) as writer:

        def put(rows: Rows) -> None:
            if len(rows):
                counts[:] += np.bincount(rows.columns["kind"], minlength=len(Kind))
                writer.write(rows.columns, words=source.words)

        for chunk in _chain(prefix, stream):
            top_cpu = max(top_cpu, int(chunk.cpu.max(initial=0)))
            put(built.feed(chunk))
            if progress is not None:
                progress(source.done, source.size)
        put(built.finish())
        _require(int(counts[list(_SWAP)].sum()), source.name, findings)
        _explain(findings, known, inferred, head, header)
        slots = Sight.INFERRED if inferred else Sight.OBSERVED
        capabilities = {Capability.SLOT: slots} if built.seen["slots"] else {}
        if built.seen["owners"]:
            capabilities[Capability.OWNER] = Sight.INFERRED
        meta = dataclasses.replace(header, capabilities=capabilities, cpus=header.cpus or top_cpu + 1)
        return writer.finish(_complete(meta, findings, known))


def _prefix(stream: Iterator[RawChunk]) -> list[RawChunk]:
    chunks: list[RawChunk] = []
    rows = 0
    while rows < PREFIX_EVENTS and (chunk := next(stream, None)) is not None:
        chunks.append(chunk)
        rows += len(chunk)
    return chunks


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


def _explain(
    findings: Findings, devices: tuple[SwapDevice, ...], inferred: bool, head: RawChunk, header: TraceMeta
) -> None:
    """Say in words what this recording cannot show."""
    has = {kind: bool((head.kind == kind).any()) for kind in RawKind}
    if not devices:
        findings.notes.append("No swap device was seen: no block events, or zram before 6.3. No event has a slot.")
    elif inferred:
        findings.notes.append(
            "The swap devices were inferred: slots count from the start of the disk. Name them with --device."
        )
    if not has[RawKind.FAULT]:
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
