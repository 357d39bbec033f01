"""The kernel's own counts of swapping: /proc/vmstat before and after, and the numbers of its event items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swaptrace.model.errors import InputError

__all__ = ["ITEMS", "event_counters", "read_vmstat", "swap_items"]

PROC_VMSTAT = Path("/proc/vmstat")
# What moves pages: each is also an item of memcg:count_memcg_events.
ITEMS = ("pswpin", "pswpout", "swpin_zero", "swpout_zero", "zswpin", "zswpout", "zswpwb")
_FIRST = "pgpgin"  # item 0 of enum vm_event_item


def read_vmstat(path: Path = PROC_VMSTAT) -> dict[str, int]:
    """Return the lines of /proc/vmstat in their order. Raises :class:`InputError` if ``path`` is none."""
    try:
        vmstat = {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
    except ValueError:
        vmstat = {}
    if _FIRST not in vmstat:
        raise InputError(f"{path} is no copy of /proc/vmstat.", f"It has no line {_FIRST}.")
    return vmstat


def event_counters(vmstat: Mapping[str, int]) -> dict[str, int]:
    """Return the lines from ``pgpgin`` on, in their order: the event items.

    A trace keeps them whole: as witness of its counts, and because the importer reads the numbers of the
    items off their places.
    """
    names = list(vmstat)
    return {name: vmstat[name] for name in names[names.index(_FIRST) :]}


def swap_items(vmstat: Mapping[str, int]) -> dict[str, int]:
    """Return the ``enum vm_event_item`` numbers of :data:`ITEMS`, without BTF.

    /proc/vmstat prints the event items in the order of the enum from ``pgpgin``, which is item 0 (checked
    against 6.18: pswpin 2, swpout_zero 109; docs/recording.md). Items that this kernel lacks are left
    out.
    """
    names = list(event_counters(vmstat))
    return {name: names.index(name) for name in ITEMS if name in vmstat}
