"""vswap on the swap table ("Swap Table Edition"): virtual clusters are swap table clusters with a table of backings.

Rule. Entries and the number of xarray levels d: :mod:`swaptrace.layouts.virtual_space`. S is a walk to a virtual
cluster (cluster pool, cluster, table entry), P one to a physical cluster.

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout: 4 S (allocate, duplicate at unmap, release
and set the backing, remove), + 1 P where a physical slot is taken (allocation and reverse map are one walk). Read:
5 S (look up, add, backing flag, put, free), + 1 S to resolve the backing unless the page is zero, + 1 P for the
device. Swap-cache hit: 2 S. Free: 1 S, + 1 P where a physical slot is given back. Writeback from a compressed pool: 2 S
(release and set the backing), + 1 P for the slot. A further page table entry or one less: 1 S. Memory that acts as a
swap device counts as the device. Moves: layouts/moves.py.

Distinct dependent cache lines per page: d nodes, 1 cluster header, 1 table entry; 1 of the virtual table unless the
page is zero or the swap cache answers; 1 of the memcg table where the entry is allocated, read or freed; 2 for P.

Metadata: static 48 B per physical cluster of 512 slots. Per virtual cluster 9305 B: 80 header (48 swap_cluster_info +
32), 4096 swap table, 4096 virtual table, 1024 memcg table, 9 of xarray. Per physical cluster in use 8 B for each of
its slots: the reverse map; its memcg table is deferred (RFC v2) and never made, as no slot is mapped directly.

Sources: 20260528212955.1912856-1-nphamcs@gmail.com (RFC v1), 20260612193738.2183968-1-nphamcs@gmail.com (RFC v2);
docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.layouts.charges import classes_of
from swaptrace.layouts.moves import MoveCosts, charge_moves
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.component import Layout, Space
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["VswapTable"]

_CLUSTER_BYTES = 80 + 4096 + 4096 + 1024 + 9
_PHYSICAL_HEADER = 48
_ENTRY = 8


class VswapTable(Layout):
    """Virtual swap space on swap table clusters, every entry virtual."""

    name = "vswap-table"
    summary = "virtual entries in swap table clusters, 8-byte backings (Swap Table Edition)"
    direct = False
    virtual_swapoff = True
    state_per_slot = (
        (
            "swap table, virtual table, memcg table",
            "18.17 B per entry of an allocated virtual cluster (9305 B per 512)",
        ),
        ("reverse map", "8 B per slot of a used physical cluster"),
        ("physical cluster header", "48 B per 512 slots, static"),
    )
    lookups = (
        ("swap_out", "4 S, + 1 P if a slot is taken", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("swap_in", "5 S zero, else 6 S; device + 1 P", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("swap-cache hit", "2 S", "d + 2"),
        ("free", "1 S, + 1 P if a slot is given back", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("writeback, gc", "1 S per distinct virtual cluster and segment", "see moves"),
    )
    assumptions = (
        "swap_count is 1: one page table entry per object.",
        "Each free is a run of its own: traces carry no batch id.",
        "No lookup cache: it is not ported to this series.",
    )
    references = (
        "20260528212955.1912856-1-nphamcs@gmail.com",
        "20260612193738.2183968-1-nphamcs@gmail.com",
    )

    def __init__(self) -> None:
        self._space = VirtualSpace()
        walks = np.zeros((len(Op), len(Backing)), np.int64)
        walks[Op.OUT], walks[Op.HIT], walks[Op.FREE] = 4, 2, 1
        walks[Op.WRITEBACK], walks[Op.DUP], walks[Op.PUT] = 2, 1, 1
        walks[Op.IN], walks[Op.IN, Backing.ZERO], walks[Op.IN, [Backing.DISK, Backing.RAM]] = 6, 5, 7
        lines = np.zeros((len(Op), len(Backing)), np.int64)
        lines[:] = 3
        lines[:, Backing.ZERO] = 2
        lines[[Op.HIT, Op.DUP, Op.PUT]] = 2
        lines[[Op.IN, Op.FREE]] += 1
        lines[Op.IN, [Backing.DISK, Backing.RAM]] += 2
        self._walks, self._lines = walks, lines

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        ledger.fix(METADATA, -(-space.slots // 512) * _PHYSICAL_HEADER)

    def cached(self) -> Mapping[str, int]:
        """A CPU's cluster stays allocated when it is empty."""
        return {METADATA: _CLUSTER_BYTES}

    def enter(self, ops: Ops) -> None:
        """Give new objects their virtual entry."""
        self._space.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        ledger, space, placement = self._ledger, self._space, ops.placement
        ledger.hold(VIRTUAL, ops.lives)
        ledger.hold(METADATA, space.change, _CLUSTER_BYTES)
        own: list[tuple[NDArray[Any], int]] = [(space.levels, 3)]
        if placement is not None:
            ledger.hold("slots.physical", placement.slots)
            ledger.hold(METADATA, placement.clusters, 8 * placement.cluster_slots)
            on_device = (ops.backing == Backing.DISK) | (ops.backing == Backing.RAM)
            own += [(placement.took & on_device, 1), (placement.gave, 1)]
        classes = classes_of(ops, own)
        op, backing = classes.op, classes.backing
        levels, took, gave = classes.own((3, 1, 1))
        walks = self._walks[op, backing] + took + gave
        lines = self._lines[op, backing] + levels + classes.new + 2 * (took | gave)
        classes.charge(ledger, walks, lines)
        # a walk's fixed lines: the cluster header; per page the virtual table's line, 8-byte entries
        charge_moves(ledger, ops, space, MoveCosts(fixed_lines=1, descriptor_bytes=_ENTRY))
