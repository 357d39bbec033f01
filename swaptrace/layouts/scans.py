"""What it costs that the allocator of physical slots passes over slots in use: is one only held by the swap cache?

Rule. Which slots an allocation passes over says :mod:`swaptrace.kernels.clusters`; each might be free for the taking,
if nothing but the swap cache holds it. A layout whose answer is in the table that the allocator reads anyway walks
nothing. What it reads, beyond the entry of the slot taken, are the table's lines (:mod:`swaptrace.kernels.scans`). A
layout that asks the owner of the slot walks, for each slot, the reverse map and the owner's entry: 2. The lines are
those of the reverse map, and for all slots that one op passes over together, the distinct ones of their entries: of
each virtual cluster the nodes on the way to it, its header, and the lines of what is read in the descriptors. Under a
dedup stage a slot has no one owner; the index entry of its block is asked instead, one walk and one line.

Scans are counted apart from the ops that cause them: ``indirection.{lookups,cachelines}.scan``. A stage that takes
whole segments (flash) passes over nothing.

Source: mm/swapfile.c alloc_swap_scan_cluster, cluster_scan_range.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.touched import EntryLines, touched
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops, Scan

__all__ = ["charge_scan", "charge_table_scan"]

_LOOKUPS, _LINES = "indirection.lookups.scan", "indirection.cachelines.scan"


def charge_table_scan(ledger: Ledger, scan: Scan | None) -> None:
    """Charge a scan whose answers are in the allocator's own table."""
    if scan is not None and len(scan.at):
        ledger.count(_LINES, int(scan.lines.sum()))


def charge_scan(ledger: Ledger, ops: Ops, space: VirtualSpace, costs: EntryLines) -> None:
    """Charge the scan of this batch, where the owner of each slot that is passed over has to be asked."""
    scan = None if ops.placement is None else ops.placement.scan
    if scan is None or len(scan.at) == 0:
        return
    charge_table_scan(ledger, scan)
    slots = int(scan.slots.sum())
    ledger.count(_LOOKUPS, 2 * slots)
    if scan.entry is None:  # shared
        ledger.count(_LINES, slots)
    else:
        begins = np.flatnonzero(np.diff(scan.at, prepend=-1))  # an op may take slots of several devices
        _, lines = touched(np.add.reduceat(scan.slots, begins), scan.entry, space.levels[scan.at[begins]], costs)
        ledger.count(_LINES, lines)
