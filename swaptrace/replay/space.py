"""How large the recorded swap space was, from the header or from the largest slot, and the machine's RAM."""

from __future__ import annotations

from functools import cache

import numpy as np

from swaptrace.model.component import Area, Space
from swaptrace.model.trace import Trace
from swaptrace.replay.contents import contents_of

__all__ = ["space_of"]

_CLUSTER = 512


def space_of(trace: Trace) -> Space:
    """Return the slots of all swap devices of ``trace`` behind one another, in header order, whole clusters each."""
    known = {device.swap_type: device.pages for device in trace.meta.devices}
    if not known or not all(known.values()):
        highest = np.full(256, -1, np.int64)
        for events in trace.batches(("swap_type", "slot")):
            np.maximum.at(highest, events["swap_type"], events["slot"])
        for swap_type in np.flatnonzero(highest >= 0).tolist():
            known[swap_type] = max(known.get(swap_type, 0), int(highest[swap_type]) + 1)
    priority = {device.swap_type: device.priority for device in trace.meta.devices}
    bases, areas, total = [], [], 0
    for swap_type, pages in known.items():
        bases.append((swap_type, total))
        if pages > 1:  # the header, and at least one more
            areas.append(Area(total, pages, priority.get(swap_type, 0)))
        total += -(-pages // _CLUSTER) * _CLUSTER
    return Space(
        max(total, _CLUSTER),
        tuple(bases),
        tuple(areas),
        _ram(trace.meta.settings.get("mem_total", "")),
        cache(lambda: contents_of(trace)),
    )


def _ram(text: str) -> int:
    """Return the bytes that a line of /proc/meminfo means, as ``16316412 kB``; 0 where there is none."""
    number, _, unit = text.partition(" ")
    return int(number) << 10 if number.isdigit() and unit == "kB" else 0
