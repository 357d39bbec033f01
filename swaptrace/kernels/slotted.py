"""The usual batch in one loop: every op has a slot, all on one device, in clusters that have handles already.

It selects the events that are ops and gives each its handle and page, as replay/objects.py does for any batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Bytes, Ints, Ints32, Words32, readable
from swaptrace.model.events import EventBatch

__all__ = ["slotted_rows"]


def slotted_rows(
    events: EventBatch, op_of: Bytes, device: int, runs: Ints32
) -> tuple[Bytes, Ints32, Ints, Ints] | None:
    """Return op, handle, page and event of each op, or None if this is not the usual batch.

    Args:
        events: columns kind, backend, swap_type, slot, owner_tgid and va.
        op_of: uint8, by kind << 3 | backend: the op code, 255 for events that are no ops.
        device: the swap type that every op must have.
        runs: int32, by cluster of 512 slots: the handle of its first slot, -1 if it has none.
    """
    n = len(events)
    op, handle = np.empty(n, np.uint8), np.empty(n, np.int32)
    page, source = np.empty(n, np.int64), np.empty(n, np.int64)
    m = _walk(
        readable(events["kind"], np.uint8), readable(events["backend"], np.uint8),
        readable(events["swap_type"], np.uint8), readable(events["slot"], np.int64),
        readable(events["owner_tgid"], np.uint32), readable(events["va"], np.int64),
        op_of, device, runs, op, handle, page, source,
    )  # fmt: skip
    return None if m < 0 else (op[:m], handle[:m], page[:m], source[:m])


@loop
def _walk(
    kinds: Bytes, backends: Bytes, devices: Bytes, slots: Ints, owners: Words32, vas: Ints, op_of: Bytes, device: int,
    runs: Ints32, op: Bytes, handle: Ints32, page: Ints, source: Ints,
) -> Any:  # fmt: skip
    """Fill the last four; return how many ops there are, -1 if one is not usual."""
    m = 0
    for i in range(len(kinds)):
        code = op_of[(kinds[i] << 3) | backends[i]]
        if code == 255:
            continue
        cluster = slots[i] >> 9
        if cluster < 0 or cluster >= len(runs) or devices[i] != device or runs[cluster] < 0:
            return -1
        op[m] = code
        handle[m] = runs[cluster] + (slots[i] & 511)
        page[m] = 0
        if code == 0 and owners[i] != 0 and vas[i] >= 0:
            page[m] = (owners[i] << 36) | (vas[i] >> 12)
        source[m] = i
        m += 1
    return m
