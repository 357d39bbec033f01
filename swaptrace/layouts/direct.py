"""The swap layout before the swap table (6.12 to 6.17): flat arrays per device, xarrays for swap cache and zswap.

Rule. Entries are physical slots: :mod:`swaptrace.layouts.device_slots`. M is a look at an array (swap_map, swap_cgroup
or zeromap), X a walk of an xarray of 64 MB of the device: 16384 slots, always 3 nodes. The allocator scans swap_map, 64
slots to a line, without a walk (:mod:`swaptrace.layouts.scans`).

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout of a new object: 4 M (allocate in swap_map, one
``swap_duplicate`` at unmap, swap_cgroup, zeromap) and 2 X (add to and remove from the swap cache); of an object that
kept its slot 2 M (duplicate, zeromap) and 1 X (remove). Read: 4 M (swapcache_prepare and free in swap_map, swap_cgroup,
zeromap) and 2 X (look up, add). Swap-cache hit: 1 X, 1 M (free). Free: 1 M, 1 X (shadow). A further page table entry or
one less: 1 M. Writeback from a compressed pool: 2 M (HAS_CACHE set and cleared) and 2 X of the swap cache (add,
delete). zswap has an xarray of its own, walked besides: :mod:`swaptrace.layouts.zswap_tree`. Memory that acts as a swap
device (zram) counts as the device: its own table comes on top.

Distinct dependent cache lines: 3 nodes for each xarray that is walked, 1 swap_map byte at every op; 1 swap_cgroup line
where the object is new, read or freed; 1 zeromap line where it is written out or read.

Metadata: static per slot 1 B swap_map, 2 B swap_cgroup, 1/8 B zeromap. Per slot in use, and again per object in the
compressed pool, its share of a dense xarray: ``bytes=published`` 8 B as in the vswap covers (the pointer),
``bytes=real`` 9 B (xa_node of 576 B for 64 slots). A shadow keeps its place in the swap cache's xarray while the slot
is in use.

Sources: docs/kernel-facts.md; LWN 1056405, 1057102; 20260505153854.1612033-1-nphamcs@gmail.com ("old
design" of its tables).
"""

from __future__ import annotations

import numpy as np

from swaptrace.layouts.charges import classes_of
from swaptrace.layouts.device_slots import DeviceSlots
from swaptrace.layouts.zswap_tree import NODES, REAL_BYTES, TREE_ASSUMPTIONS, add_tree, hold_tree
from swaptrace.model.component import PREFER, PRIORITIES, Layout, Space, choice
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["Direct"]

_STATIC_BITS = 8 + 16 + 1


class Direct(Layout):
    """Direct physical slots with swap_map, swap_cgroup, zeromap and xarrays."""

    name = "direct"
    summary = "direct physical slots with arrays and xarrays (Linux 6.12 to 6.17)"
    direct = True
    entries_per_line = 64  # of swap_map
    params = (
        choice(
            "bytes",
            "real",
            "bytes of an xarray slot: as published in the vswap covers, or with the node around it",
            {"published": 8, "real": REAL_BYTES},
        ),
        PREFER,
        PRIORITIES,
    )
    state_per_slot = (
        ("swap_map", "1 B per slot, static"),
        ("swap_cgroup", "2 B per slot, static"),
        ("zeromap", "1 bit per slot, static"),
        ("swap cache xarray", "9 B per slot in use (published: 8 B)"),
        ("zswap xarray", "9 B per object in the pool (published: 8 B)"),
    )
    lookups = (
        ("swap_out", "4 M + 2 X; 2 M + 1 X for an object that kept its slot; zswap + 1 X", "6; 5; zswap + 3"),
        ("swap_in", "4 M + 2 X; zswap + 2 X", "6; zswap + 3"),
        ("swap-cache hit", "1 M + 1 X", "4"),
        ("free", "1 M + 1 X; zswap + 1 X", "5; zswap + 3"),
        ("writeback", "2 M + 4 X", "7"),
    )
    assumptions = (
        "swap_count is 1, one page table entry per object, but for pages that ksm merged.",
        "A physical slot is taken at folio_alloc_swap, before the content is known.",
        "Xarrays are dense: no node is charged for slots that are not in use.",
        "The cluster allocator is that of 6.18; cluster_info, which later layouts also have, is not counted.",
        *TREE_ASSUMPTIONS,
    )
    references = ("LWN 1056405, 1057102", "20260505153854.1612033-1-nphamcs@gmail.com")

    def __init__(self, bytes: int, prefer: bool, priorities: bool) -> None:
        self._xarray_bytes, self._spread, self._priorities = bytes, prefer, priorities
        walks = np.zeros((2, len(Op), len(Backing)), np.int64)  # [object is new, op, backing]
        lines = np.zeros_like(walks)
        for op, (walk, line) in {
            Op.OUT: (3, 2 + NODES),
            Op.IN: (6, 3 + NODES),
            Op.FREE: (2, 2 + NODES),
            Op.HIT: (2, 1 + NODES),
            Op.WRITEBACK: (4, 1 + NODES),
            Op.DUP: (1, 1),
            Op.PUT: (1, 1),
        }.items():
            walks[:, op], lines[:, op] = walk, line
        walks[1, Op.OUT], lines[1, Op.OUT] = 6, 3 + NODES
        add_tree(walks, lines)
        self._walks, self._lines = walks, lines

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        if self._priorities:
            self.areas = space.by_priority(self.name)
        self._slots = DeviceSlots(space.slots, self._spread, self.entries_per_line, self.areas)
        ledger.fix(METADATA, space.slots * _STATIC_BITS // 8)

    def enter(self, ops: Ops) -> None:
        """Give new objects their physical slot."""
        if self.gives_entries:
            self._slots.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        ledger = self._ledger
        self._slots.hold(ops, ledger)
        ledger.hold(METADATA, ops.lives, self._xarray_bytes)
        hold_tree(ops, ledger, self._xarray_bytes)
        classes = classes_of(ops)
        chosen = classes.new, classes.op, classes.backing
        classes.charge(ledger, self._walks[chosen], self._lines[chosen])
