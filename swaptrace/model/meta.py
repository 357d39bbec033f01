"""What a trace says about itself: its machine, its recorder, its swap devices, its losses and its capabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from swaptrace.model.events import SCHEMA_VERSION

__all__ = ["Capability", "HashInfo", "Sidecar", "Sight", "SwapChange", "SwapDevice", "TraceMeta"]


class Capability(StrEnum):
    """What a trace can show. A policy names the ones it needs; a trace declares how far it has each."""

    SLOT = "SLOT"  # which slot of which device
    FREE = "FREE"  # when a slot is released
    OWNER = "OWNER"  # process and virtual address of the page
    HASH = "HASH"  # content identity
    CLEN = "CLEN"  # compressed size
    FAULT = "FAULT"  # swap-ins that read nothing from a device (zero, zswap, swap cache) with their slot
    SNAPSHOT = "SNAPSHOT"  # what was swapped out before the recording began


class Sight(StrEnum):
    """How far a trace has a capability."""

    OBSERVED = "observed"
    INFERRED = "inferred"
    ABSENT = "absent"


@dataclass(frozen=True)
class SwapDevice:
    """One swap area. ``pages`` is its size in slots, header included (0: unknown).

    ``extents`` of a swap file are ``(file page, device sector, pages)``; a partition has none and starts at
    ``start_sector`` of its disk. ``dev`` is ``major << 20 | minor`` of the disk that block events name.
    """

    swap_type: int
    dev: int
    path: str = ""
    kind: str = "disk"  # zram, disk, partition, file
    pages: int = 0
    priority: int = 0
    start_sector: int = 0
    extents: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class SwapChange:
    """A swapon (``on``) or swapoff during the recording: when (``ts``, ns), and the index of the area in
    ``devices``."""

    ts: int
    on: bool
    device: int


@dataclass(frozen=True)
class Sidecar:
    """A file beside the trace that belongs to it: ``rows`` by the moment they are of (start, stop; "": none)."""

    name: str
    sha256: str
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HashInfo:
    """How page contents were hashed; ``salted`` hashes cannot be compared across recordings."""

    algorithm: str = ""
    salted: bool = False


@dataclass(frozen=True)
class TraceMeta:
    """The header of a trace, stored as JSON in the Parquet footer under the key ``swaptrace``."""

    schema_version: int = SCHEMA_VERSION
    tool: str = ""
    kernel: str = ""
    recorder: str = ""  # tracefs, perf, bpf, or the imported format (perf.data, perf-script, ftrace-text, parquet)
    tier: str = ""  # T0 (tracepoints) .. T3 (BPF with kprobes)
    command: str = ""
    boot_id: str = ""
    clock: str = "mono"
    mono_ns: int = 0  # clock offsets: the same instant on CLOCK_MONOTONIC ...
    real_ns: int = 0  # ... and on CLOCK_REALTIME; 0 when unknown
    page_size: int = 4096
    cpus: int = 0
    filters: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    devices: tuple[SwapDevice, ...] = ()
    swap_changes: tuple[SwapChange, ...] = ()  # areas without one were enabled all the time
    lost: dict[str, int] = field(default_factory=dict)  # lost events by source
    skipped: dict[str, int] = field(default_factory=dict)  # input records not understood, by reason
    vmstat_before: dict[str, int] = field(default_factory=dict)
    vmstat_after: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)  # zswap, zram, reclaim, huge pages, RAM at the start
    memcg_before: dict[str, int] = field(default_factory=dict)  # memory.stat of the command's cgroup
    memcg_after: dict[str, int] = field(default_factory=dict)
    sidecars: tuple[Sidecar, ...] = ()  # snapshots of what is swapped out: T.snapshot.parquet, T.processes.parquet
    hash: HashInfo = field(default_factory=HashInfo)
    capabilities: dict[Capability, Sight] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what this recording could not see, in words
    interrupted: bool = False
    rows: int = 0
    digest: str = ""  # sha256 of the canonical content: see model/digest.py

    def sight(self, capability: Capability) -> Sight:
        """Return how far the trace has ``capability``."""
        return self.capabilities.get(capability, Sight.ABSENT)

    @property
    def lost_total(self) -> int:
        """Events lost by all sources together."""
        return sum(self.lost.values())
