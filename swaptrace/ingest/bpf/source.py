"""A raw directory of the BPF tier as batches of rows, and what its trace can say about itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.bpf.changes import AreaChanges
from swaptrace.ingest.bpf.records import RECORD, RECORDS, Chunk, RecordKind, read_chunks, read_info
from swaptrace.ingest.bpf.rows import BpfRows
from swaptrace.ingest.bpf.window import Window, windows
from swaptrace.ingest.comms import CommTable
from swaptrace.ingest.raw import Findings, empty
from swaptrace.model.errors import InputError
from swaptrace.model.events import Backend, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta

__all__ = ["BpfSource", "true_types"]

Array = NDArray[Any]


class BpfSource:
    """Reads ``folder`` once. ``header()`` and ``swaps`` are complete when all batches were taken.

    ``base`` is the header so far; ``devices`` are the swap areas, without them those of the base or of the recording.
    Raises :class:`InputError` for a directory that is empty, damaged or of another version.
    """

    def __init__(self, folder: Path, base: TraceMeta, devices: Sequence[SwapDevice] = ()) -> None:
        self._path = folder / RECORDS
        self._info = read_info(folder)
        self._base = base
        given = tuple(devices) or base.devices or self._info.devices
        self.devices = true_types(given, self._info.areas)
        self.findings = Findings()
        self.size = self._path.stat().st_size
        self.done = 0
        if not self.size:
            raise InputError(f"{self._path} is empty.", "Nothing was swapped, or the recorder was killed at once.")
        devs = {device.swap_type: device.dev for device in self.devices}
        zram = [device.swap_type for device in self.devices if device.kind == "zram"]
        self._rows = BpfRows(self._info, devs, zram)
        areas = [next((a for a in self.devices if (a.path, a.pages) == (d.path, d.pages)), d) for d in base.devices]
        self._changes = AreaChanges(base.swap_changes, areas)
        self._comms = CommTable()
        self._top_cpu = 0

    def batches(self) -> Iterator[tuple[dict[str, Array], dict[str, NDArray[np.bool_]], list[str]]]:
        """Yield ``(columns, masks, words of comm)`` in time order."""
        for window in windows(self._chunks()):
            self._top_cpu = max(self._top_cpu, int(window.records["cpu"].max(initial=0)))
            columns, masks = self._rows.feed(window, self._names(window))
            if len(columns["ts"]):
                yield *self._changes.into(columns, masks), self._comms.words
        if (rest := self._changes.rest()) is not None:
            yield rest, {}, self._comms.words

    def _chunks(self) -> Iterator[Chunk]:
        for chunk, done in read_chunks(self._path, self.findings.notes):
            self.done = done
            yield chunk

    def _names(self, window: Window) -> NDArray[np.int32]:
        """Return the code of a name for each fresh record."""
        fresh = np.flatnonzero(window.fresh)
        fresh = fresh[np.argsort(window.ts[fresh], kind="stable")]
        records = window.records[fresh]
        for record in records[records["kind"] == RecordKind.COMM]:  # one per task and change of name, not per event
            name = record.tobytes()[RECORD.fields["hash"][1] :][:16].split(b"\0")[0]  # type: ignore[index]
            self._comms.rename(int(record["ts"]), int(record["tid"]), name.decode(errors="replace"))
        events = empty(len(fresh))
        events.ts[:], events.tid[:] = window.ts[fresh], records["tid"]
        codes = np.full(len(window.records), -1, np.int32)
        codes[fresh] = self._comms.name(events).comm
        return codes

    @property
    def swaps(self) -> int:
        """Rows so far that are a swap-out, a swap-in or a writeback."""
        return int(self._rows.counts[[Kind.SWAP_OUT, Kind.SWAP_IN, Kind.WRITEBACK]].sum())

    def header(self) -> TraceMeta:
        """Return the header of the trace, as far as the recording tells."""
        info, base = self._info, self._base
        self._explain()
        return dataclasses.replace(
            base,
            recorder=base.recorder or "bpf",
            tier=base.tier or info.tier,
            sources=base.sources or ("bpf",),
            filters=base.filters or info.events,
            devices=self.devices,
            cpus=base.cpus or self._top_cpu + 1,
            hash=info.hash,
            lost=base.lost or info.lost,
            capabilities=self._capabilities(),
        )

    def _capabilities(self) -> dict[Capability, Sight]:
        info = self._info
        seen = {
            Capability.SLOT: True,
            Capability.OWNER: info.owners,
            Capability.HASH: bool(info.hash.algorithm),
            Capability.CLEN: self._rows.stored_sizes > 0,
            Capability.FAULT: info.faults,
        }
        found = dict(self._base.capabilities)  # of the recorder: what no record shows
        found |= {capability: Sight.OBSERVED for capability, yes in seen.items() if yes}
        found[Capability.FREE] = Sight.OBSERVED if info.exact_frees or self._all_handles() else Sight.INFERRED
        return found

    def _all_handles(self) -> bool:
        """Whether every swap area is on zram, whose frees show as frees of zsmalloc handles."""
        used = [device for device in self.devices if device.swap_type in self._info.areas] or self.devices
        return self._info.handles and bool(used) and all(device.kind == "zram" for device in used)

    def _explain(self) -> None:
        info, notes = self._info, self.findings.notes
        notes += info.notes
        if not info.exact_frees and self._all_handles():
            notes.append(
                "frees are seen as those of zram's objects: slots of zero and same-filled pages have none, their ends "
                "are inferred"
            )
        if zeros := self._rows.silent[Backend.ZERO]:
            notes.append(
                f"{zeros:,} swap-ins of zero pages (of the root cgroup, or on this kernel) are inferred: "
                "the kernel reports none of them"
            )
        if loads := self._rows.silent[Backend.ZSWAP]:
            notes.append(f"{loads:,} swap-ins from zswap are inferred: in front of zram it keeps its entry at a load")
        if not info.zero_events and self._base.settings.get("zswap.enabled", "N")[:1] in ("Y", "1"):
            notes.append(
                "this kernel has no count_memcg_events: a fault that zswap answered without giving up its entry counts "
                "as a swap-cache hit, except in front of zram"
            )
        if info.unpaired_writes:
            notes.append(f"{info.unpaired_writes:,} pages were written that no mm_vmscan_write_folio reported")


def true_types(devices: Sequence[SwapDevice], areas: dict[int, int]) -> tuple[SwapDevice, ...]:
    """Return ``devices`` with the swap types that the kernel uses, where their I/O showed them.

    /proc/swaps lists areas in the order of their types but leaves out types that swapoff freed. ``areas`` maps a type
    to the number of its disk; several areas on one disk keep their order.
    """
    left = dict(sorted(areas.items()))
    out: list[SwapDevice] = []
    for device in sorted(devices, key=lambda d: d.swap_type):
        found = next((t for t, dev in left.items() if dev == device.dev and t >= device.swap_type), None)
        if found is not None:
            del left[found]
        out.append(device if found is None else dataclasses.replace(device, swap_type=found))
    taken = [device.swap_type for device in out]
    return tuple(out) if len(set(taken)) == len(taken) else tuple(devices)
