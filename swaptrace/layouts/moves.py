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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER
from swaptrace.layouts.virtual_space import ENTRY_BITS, VirtualSpace
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

__all__ = ["MoveCosts", "charge_moves", "distinct_lines"]


@dataclass(frozen=True)
class MoveCosts:
    """Lines of a virtual walk besides the xarray nodes, and where in its cluster what is read or updated per page lies.

    ``first_byte`` of the table from the beginning of a cache line, ``descriptor_bytes`` from one entry to the next,
    ``used_bytes`` of each (0: all). From position ``second_line_from`` on an entry's bit in the cluster's bitmap lies
    in the second line of the cluster object, one more than ``fixed_lines``.
    """

    fixed_lines: int
    descriptor_bytes: int
    first_byte: int = 0
    used_bytes: int = 0
    second_line_from: int = CLUSTER


def charge_moves(ledger: Ledger, ops: Ops, space: VirtualSpace, costs: MoveCosts) -> None:
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
            walks, lines = distinct_lines(pages // slots, entry[pages], levels, costs)
        ledger.count(f"indirection.lookups.{name}", walks)
        ledger.count(f"indirection.cachelines.{name}", lines)


def distinct_lines(
    run: NDArray[np.int64], entry: NDArray[np.int64], levels: NDArray[np.uint8], costs: MoveCosts
) -> tuple[int, int]:
    """Return how many virtual clusters and how many lines the entries of each run touch, summed over the runs.

    ``run`` and ``entry`` are in pairs, at least one; ``levels`` are by run.
    """
    low = int(entry.min())
    bits = (int(entry.max()) - low).bit_length()
    key = (run << bits) | (entry - low)
    key.sort()
    run, entry = key >> bits, (key & ((1 << bits) - 1)) + low
    cluster, position = entry >> ENTRY_BITS, entry & ((1 << ENTRY_BITS) - 1)
    new = np.ones(len(entry), np.bool_)
    new[1:] = (cluster[1:] != cluster[:-1]) | (run[1:] != run[:-1])
    begin = position * costs.descriptor_bytes + costs.first_byte
    first_line, last_line = begin // 64, (begin + (costs.used_bytes or costs.descriptor_bytes) - 1) // 64
    fresh = np.ones(len(entry), np.bool_)  # its first line is not the last line of the one before
    fresh[1:] = new[1:] | (first_line[1:] != last_line[:-1])
    lines = int(np.count_nonzero(fresh)) + int((last_line - first_line).sum())
    highest = position[np.append(new[1:], True)]  # of each cluster
    lines += int(np.count_nonzero(highest >= costs.second_line_from))
    walks = int(np.count_nonzero(new))
    return walks, lines + int(levels[run[new]].sum(dtype=np.int64)) + walks * costs.fixed_lines
