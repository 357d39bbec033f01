"""The tracepoints of the recorders: ONE table, from which tracefs, perf and the dry run are driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swaptrace.capture.symbols import called_from
from swaptrace.model.errors import CapabilityError
from swaptrace.model.meta import SwapDevice

__all__ = ["PROBES", "Probe", "Tracepoint", "select"]

_Filter = Callable[[Sequence[SwapDevice], Mapping[str, int]], str | None]


@dataclass(frozen=True)
class Tracepoint:
    """One event of this kernel, and the filter under which it is recorded (empty: every occurrence)."""

    system: str
    event: str
    filter: str = ""

    @property
    def name(self) -> str:
        """``system:event``, as perf writes it."""
        return f"{self.system}:{self.event}"

    def __str__(self) -> str:
        return f"{self.name} if {self.filter}" if self.filter else self.name


@dataclass(frozen=True)
class Probe:
    """One thing to see: the names that kernels gave it (the first that exists is taken), and what for.

    ``needed``: without it there is no recording. ``owner``: only recorded to find the owner of each page.
    ``filter`` makes the filter from the swap areas and the numbers of the event items; None: this machine does not
    tell what it needs. ``zram``: only recorded where an area is on zram.
    """

    names: tuple[str, ...]
    what_for: str
    needed: bool = False
    owner: bool = False
    zram: bool = False
    filter: _Filter = lambda devices, items: ""


def _swap_disks(devices: Sequence[SwapDevice], items: Mapping[str, int]) -> str:
    return " || ".join(f"dev == {dev}" for dev in sorted({d.dev for d in devices if d.dev}))


def _swap_items(devices: Sequence[SwapDevice], items: Mapping[str, int]) -> str:
    return " || ".join(f"item == {number}" for number in sorted(items.values()))


def _handles(callers: str | None) -> str | None:
    return None if callers is None else f"bytes_req == 8 && ({callers})"  # ZS_HANDLE_SIZE; not the zspages


PROBES: tuple[Probe, ...] = (
    # 5.18 renamed writepage to write_folio. Bit 0 is RECLAIM_WB_ANON: older kernels fire for file pages as
    # well.
    Probe(
        ("vmscan:mm_vmscan_write_folio", "vmscan:mm_vmscan_writepage"),
        "pages that leave memory",
        needed=True,
        filter=lambda devices, items: "reclaim_flags & 1",
    ),
    Probe(("block:block_bio_queue",), "the slots that are written and read", needed=True, filter=_swap_disks),
    # All faults, minor ones too: which of them is a swap-in is known only later.
    Probe(("exceptions:page_fault_user",), "addresses of swap-ins"),
    Probe(("exceptions:page_fault_kernel",), "addresses of swap-ins by the kernel"),
    Probe(("memcg:count_memcg_events",), "zero pages, zswap, and the memory cgroup", filter=_swap_items),
    Probe(("sched:sched_process_exec",), "names of processes"),
    Probe(("sched:sched_process_exit",), "ends of processes"),
    # A page allocated inside a fault belongs to the faulting address; MIGRATE_MOVABLE: user pages, no page
    # tables.
    Probe(
        ("kmem:mm_page_alloc",),
        "owners of pages",
        owner=True,
        filter=lambda devices, items: "migratetype == 1",
    ),
    # zram releases the handle of a page when the swap layer frees the slot. Filtered by the caller, not by the name of
    # the cache: slabs are merged, and have the name of the first. zs_free may be left by a tail call, so the caller of
    # kmem_cache_free can be a function of zram; zswap's calls are not wanted, its slots are unknown.
    Probe(
        ("kmem:kmem_cache_alloc",),
        "frees of slots on zram",
        owner=True,
        zram=True,
        filter=lambda devices, items: _handles(called_from("zs_malloc")),
    ),
    Probe(
        ("kmem:kmem_cache_free",),
        "frees of slots on zram",
        owner=True,
        zram=True,
        filter=lambda devices, items: called_from("zs_free", "zram_"),
    ),
)


def select(
    exists: Callable[[str, str], bool],
    devices: Sequence[SwapDevice],
    items: Mapping[str, int],
    owner: bool = False,
) -> tuple[tuple[Tracepoint, ...], tuple[str, ...]]:
    """Return the tracepoints to record on this kernel, and notes on what it cannot show.

    ``exists(system, event)`` tells whether the kernel has an event; ``owner`` adds the events that show whose
    page it is. Raises :class:`CapabilityError` if a needed
    one is missing.
    """
    chosen: list[Tracepoint] = []
    notes: list[str] = []
    for probe in PROBES:
        if (probe.owner and not owner) or (probe.zram and not any(d.kind == "zram" for d in devices)):
            continue
        name = next((n for n in probe.names if exists(*n.split(":"))), None)
        if name is not None:
            system, _, event = name.partition(":")
            filter_ = probe.filter(devices, items)
            if filter_ is None:
                notes.append(f"/proc/kallsyms does not tell where zsmalloc is: {probe.what_for} are not recorded")
            else:
                chosen.append(Tracepoint(system, event, filter_))
        elif probe.needed:
            raise CapabilityError(
                f"this kernel has no event {' or '.join(probe.names)}.",
                f"It shows {probe.what_for}; without it nothing can be recorded.",
                "A kernel with CONFIG_EVENT_TRACING and CONFIG_SWAP is needed.",
            )
        else:
            notes.append(f"this kernel has no event {probe.names[0]}: {probe.what_for} are not recorded")
    return tuple(chosen), tuple(dict.fromkeys(notes))
