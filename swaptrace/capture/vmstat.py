"""The kernel's own counts of swapping: /proc/vmstat before and after, and the numbers of its event items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["ITEMS", "read_vmstat", "swap_counters", "swap_items"]

PROC_VMSTAT = Path("/proc/vmstat")
# What moves pages: each is also an item of memcg:count_memcg_events.
ITEMS = ("pswpin", "pswpout", "swpin_zero", "swpout_zero", "zswpin", "zswpout", "zswpwb")
# Kept in the trace as a witness: the items, and what explains differences between them and the events.
_COUNTERS = (*ITEMS, "swap_ra", "swap_ra_hit", "pgmajfault", "thp_swpout", "thp_swpout_fallback")


def read_vmstat(path: Path = PROC_VMSTAT) -> dict[str, int]:
    """Return every line of /proc/vmstat, in the order of the file."""
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}


def swap_counters(vmstat: Mapping[str, int]) -> dict[str, int]:
    """Return the counters that a trace keeps, those that this kernel has."""
    return {name: vmstat[name] for name in _COUNTERS if name in vmstat}


def swap_items(vmstat: Mapping[str, int]) -> dict[str, int]:
    """Return the ``enum vm_event_item`` numbers of :data:`ITEMS`, without BTF.

    /proc/vmstat prints the event items in the order of the enum from ``pgpgin``, which is item 0 (checked
    against 6.18: pswpin 2, swpout_zero 109; recording.md section 1). Items that this kernel lacks are left
    out.
    """
    names = list(vmstat)
    first = names.index("pgpgin")
    return {name: names.index(name) - first for name in ITEMS if name in vmstat}
