"""What moving pages after their swap-out costs a virtual layout: writeback of a buffer, and copies by a cleaner.

Rule. The pages that one op writes to the device other than its own are handled in runs of one physical cluster (the
stage's segment; pages that move between tiers are runs of one page). Per run and per kind (written back, copied by
the cleaner): one virtual walk for each distinct virtual cluster among its pages, and per 512 slots of a run one
physical walk (charged to writeback). Lines: the virtual walk's fixed lines for each of those clusters, the distinct
lines of the pages' descriptors, the lines of the run's reverse map (8 entries each), one cluster header per 512
slots, and for each copied page one line of the reverse map of its old place. Padding at the end of a run is in no map:
it costs nothing, beyond the physical walk that its 512 slots cost anyway. Under a dedup stage a move updates the
index entry of the block instead: one walk and one line for each block, whatever shares it.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.clusters import CLUSTER
from swaptrace.kernels.touched import EntryLines, touched
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

__all__ = ["charge_moves"]


def charge_moves(ledger: Ledger, ops: Ops, space: VirtualSpace, costs: EntryLines) -> None:
    """Charge the moves of this batch to the counts ``indirection.{lookups,cachelines}.{writeback,gc}``."""
    writes, placement = ops.writes, ops.placement
    if writes is None or placement is None or not (placement.moves or placement.buffered is not None):
        return
    shared = ops.shared  # the index entry moves, once for all sharers
    real = writes.block >= 0  # padding asks for the entry of block 0, which nobody looks at
    entry = writes.at if shared else space.entries_of(ops, np.maximum(writes.block, 0), writes.at)
    if len(writes.at) == 0:
        return
    slots = 1 if placement.moves else placement.cluster_slots
    runs = len(writes.at) // slots
    per_run = -(-slots // CLUSTER)
    rmap_lines = int((-(-np.count_nonzero(real.reshape(runs, slots), axis=1) // 8)).sum())
    ledger.count("indirection.lookups.writeback", runs * per_run)
    ledger.count("indirection.cachelines.writeback", runs * per_run + rmap_lines)
    ledger.count("indirection.cachelines.gc", int(np.count_nonzero(writes.gc)))
    for name, chosen in (("writeback", real & ~writes.gc), ("gc", writes.gc)):
        pages = np.flatnonzero(chosen)
        if shared or len(pages) == 0:
            walks = lines = len(pages)
        else:
            levels = space.levels[writes.at[::slots]]  # of the op that wrote each run
            walks, lines = touched(np.count_nonzero(chosen.reshape(runs, slots), axis=1), entry[pages], levels, costs)
        ledger.count(f"indirection.lookups.{name}", walks)
        ledger.count(f"indirection.cachelines.{name}", lines)
