"""vswap on the swap table ("Swap Table Edition"): virtual clusters are swap table clusters with a table of backings.

Rule. Entries and the number of xarray levels d: :mod:`swaptrace.layouts.virtual_space`. S is a walk to a virtual
cluster (cluster pool, cluster, table entry), P one to a physical cluster.

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout: 4 S (allocate, duplicate at unmap, release
and set the backing, remove), + 1 P where a physical slot is taken (allocation and reverse map are one walk). Read:
5 S (look up, add, backing flag, put, free), + 1 S to resolve the backing unless the page is zero, + 1 P for the
device. Swap-cache hit: 2 S. Free: 1 S, + 1 P where a physical slot is given back. Writeback from a compressed pool: 2 S
(release and set the backing), + 1 P for the slot; 1 S for each further owner of the page. A further page table entry or
one less: 1 S. Memory that acts as a swap device counts as the device. Moves: layouts/moves.py. The allocator's scan
reads the physical table itself, whose entries say whether only the swap cache holds a slot: 8 slots to a line, no walk
(layouts/scans.py).

Distinct dependent cache lines per page: d nodes, 1 cluster header, 1 table entry; 1 of the virtual table (redirect=4:
of the redirects) unless the page is zero or the swap cache answers; 1 of the memcg table, if the virtual clusters have
one, where the entry is allocated, read or freed; 2 for P.

Metadata, and what ``redirect=`` and ``memcg_table=`` change: :mod:`swaptrace.layouts.redirect`. As posted (redirect=8):
static 48 B per physical cluster of 512 slots; per virtual cluster 9305 B: 80 header (48 swap_cluster_info + 32), 4096
swap table, 4096 virtual table, 1024 memcg table, 9 of xarray; per physical cluster in use 8 B for each of its slots:
the reverse map. Its memcg table is deferred and never made, as no slot is mapped directly.

Lookup cache (``mru=1``): that of vswap v6 (patch 22/22), which is not ported to this series. Per CPU it holds the
cluster of the latest S, and is dropped when that cluster becomes empty. All S ask it: the first of a page hits if the
CPU's cache holds its cluster, the further ones always hit. A page whose first S hits touches no xarray node.

Sources: 20260528212955.1912856-1-nphamcs@gmail.com (RFC v1), 20260612193738.2183968-1-nphamcs@gmail.com (RFC v2);
20260505153854.1612033-23-nphamcs@gmail.com (lookup cache); docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.touched import EntryLines
from swaptrace.layouts.charges import Classes, classes_of
from swaptrace.layouts.moves import charge_moves
from swaptrace.layouts.mru import LookupCache
from swaptrace.layouts.redirect import REDIRECT_ASSUMPTIONS, REDIRECTS, PhysicalTables, Redirect, Redirected
from swaptrace.layouts.scans import charge_table_scan
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.layouts.zswap_tree import REAL_BYTES, TREE_ASSUMPTIONS, add_tree, hold_tree
from swaptrace.model.component import Layout, Param, Space, choice
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["VswapTable", "mapped_of"]

_ENTRY = 8
_OWN = (3, 1, 1, 1, 1)  # bits of a class: levels, cached, mapped, took, gave
_DEVICE = [Backing.DISK, Backing.RAM]


class VswapTable(Layout):
    """Virtual swap space on swap table clusters, every entry virtual."""

    name = "vswap-table"
    summary = "virtual entries in swap table clusters, 8-byte backings (Swap Table Edition)"
    direct = False
    virtual_swapoff = True
    params: ClassVar[tuple[Param, ...]] = (
        choice("redirect", "8", "how an entry says where its data is: 4, 8, 16 or 24 bytes (see the rule)", REDIRECTS),
        choice(
            "memcg_table",
            "deferred",
            "memcg tables of physical clusters: for directly mapped slots only (RFC v2), or always (RFC v1)",
            {"deferred": False, "eager": True},
        ),
        choice("mru", "0", "clusters in the per-CPU lookup cache (1: as in vswap v6)", {"0": False, "1": True}),
    )
    state_per_slot: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "swap table, virtual table, memcg table",
            "18.17 B per entry of an allocated virtual cluster (9305 B per 512)",
        ),
        ("with redirect=4; with 16, 24", "10.17 B, + 4 B per redirected entry; 16.14 B"),
        ("reverse map", "8 B per slot of a used physical cluster (redirect=4, 16: a bitmap in its place)"),
        ("memcg_table=eager", "2 B per slot of a used physical cluster"),
        ("physical cluster header", "48 B per 512 slots, static (redirect=16, 24: 32 B)"),
    )
    lookups: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("swap_out", "4 S, + 1 P if a slot is taken", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("swap_in", "5 S zero, else 6 S; device + 1 P", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("swap-cache hit", "2 S", "d + 2"),
        ("free", "1 S, + 1 P if a slot is given back", "d + 2, +1 backing, +1 memcg, +2 P"),
        ("writeback, gc", "1 S per distinct virtual cluster and segment", "see moves"),
    )
    assumptions: ClassVar[tuple[str, ...]] = (
        "swap_count is 1, one page table entry per object, but for pages that ksm merged.",
        "Each free is a run of its own: traces carry no batch id.",
        "No lookup cache unless mru=1: it is not ported to this series; that every walk would ask it is inferred.",
        *REDIRECT_ASSUMPTIONS,
        *TREE_ASSUMPTIONS,
    )
    references: ClassVar[tuple[str, ...]] = (
        "20260528212955.1912856-1-nphamcs@gmail.com",
        "20260612193738.2183968-1-nphamcs@gmail.com",
        "20260220-swap-table-p4-v1-0-104795d19815@tencent.com",
        "lkml.iu.edu/2511.3/03250",
    )

    def __init__(self, redirect: Redirect, memcg_table: bool, mru: bool) -> None:
        if memcg_table and not redirect.memcg_table:
            raise UsageError(
                f"{self.name}: memcg_table=eager cannot act.",
                "With redirect=16 and 24 the id of the memory cgroup lies in the shadow: there is no memcg table.",
                "Leave it out, or take redirect=8 or 4.",
            )
        self._redirect, self.reverse_map = redirect, redirect.reverse_map
        self._space = VirtualSpace()
        self._cache = LookupCache() if mru else None
        self._redirected = Redirected()
        self._tables = PhysicalTables(redirect, memcg_table)
        asking = np.zeros((len(Op), len(Backing)), np.int64)  # S
        asking[Op.OUT], asking[Op.HIT], asking[Op.FREE] = 4, 2, 1
        asking[Op.WRITEBACK], asking[Op.DUP], asking[Op.PUT] = 2, 1, 1
        asking[Op.WRITEBACK, Backing.SHARED] = 1
        asking[Op.IN], asking[Op.IN, Backing.ZERO] = 6, 5
        lines = np.zeros((len(Op), len(Backing)), np.int64)
        lines[:] = 3
        lines[:, Backing.ZERO] = 2
        lines[[Op.HIT, Op.DUP, Op.PUT]] = 2
        walks = np.zeros_like(asking)  # what is walked besides
        if not redirect.virtual_table:  # the pool is not found through a backing
            asking[Op.IN, Backing.ZSWAP], lines[:, [Backing.ZSWAP, Backing.ZSWAP_SHARED]] = 5, 2
            add_tree(walks[None], lines[None])
        lines[[Op.IN, Op.FREE]] += redirect.memcg_table
        walks[Op.IN, _DEVICE] += 1
        lines[Op.IN, _DEVICE] += 2
        self._asking, self._walks, self._lines = asking, asking + walks, lines

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        ledger.fix(METADATA, -(-space.slots // 512) * self._redirect.phase.header)

    def cached(self) -> Mapping[str, int]:
        """A CPU's cluster stays allocated when it is empty."""
        return {METADATA: self._redirect.cluster}

    def enter(self, ops: Ops) -> None:
        """Give new objects their virtual entry."""
        self._space.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        ledger, space, placement = self._ledger, self._space, ops.placement
        virtual = ops.lives if ops.mapped is None else ops.lives * ~ops.mapped
        ledger.hold(VIRTUAL, virtual)
        ledger.hold(METADATA, space.change, self._redirect.cluster)
        if self._redirect.each:
            ledger.hold(METADATA, self._redirected.feed(ops, virtual), self._redirect.each)
        if not self._redirect.virtual_table:
            hold_tree(ops, ledger, REAL_BYTES, None if ops.mapped is None else ~ops.mapped)
        cached = None if self._cache is None else self._cache.hits(ops)
        own: list[tuple[NDArray[Any] | None, int]] = [(space.levels, 3), (cached, 1), (ops.mapped, 1)]
        if placement is not None:
            charge_table_scan(ledger, placement.scan)
            ledger.hold("slots.physical", placement.slots)
            self._tables.hold(ops, ledger)
            on_device = (ops.backing == Backing.DISK) | (ops.backing == Backing.RAM)
            own += [(placement.took & on_device, 1), (placement.gave, 1)]
        classes = classes_of(ops, own)
        classes.charge(ledger, *self._prices(classes))
        # a walk's fixed lines: the cluster header; per page the virtual table's line, 8-byte entries
        charge_moves(ledger, ops, space, EntryLines(fixed_lines=1, entry_bytes=_ENTRY))

    def _prices(self, classes: Classes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the walks and lines of a page of each class, those of virtual entries, and count the cache's hits."""
        op, backing = classes.op, classes.backing
        levels, cached, mapped, took, gave = classes.own(_OWN)
        if self._cache is not None:
            heads = classes.heads * (1 - mapped)
            asked = int(self._asking[op, backing] @ heads)
            self._ledger.count("indirection.mru_asked", asked)
            self._ledger.count("indirection.mru_hits", asked - int(heads[cached == 0].sum()))
            levels = levels * (1 - cached)
        walks = self._walks[op, backing] + took + gave
        lines = self._lines[op, backing] + levels + classes.new * self._redirect.memcg_table + 2 * (took | gave)
        return walks, lines


def mapped_of(classes: Classes) -> NDArray[np.bool_]:
    """Return which classes are ops on entries that are mapped directly."""
    mapped: NDArray[np.bool_] = classes.own(_OWN)[2] == 1
    return mapped
