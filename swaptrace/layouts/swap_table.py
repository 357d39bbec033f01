"""The swap table: the swap entry in a page table is the physical slot, and one table entry per slot says the rest.

Rule. Entries are physical slots: :mod:`swaptrace.layouts.device_slots`. The allocator scans swap_map, 64 slots to a
line (p1, p2), or the table itself, 8 slots to a line, without a walk (:mod:`swaptrace.layouts.scans`).

Walks per page (a folio of several pages walks once, its further pages touch a table line every 8 pages):
writeout of a new object 3 (allocate, one ``swap_duplicate`` at unmap, remove from the swap cache), of an object that
kept its slot 2 (duplicate, remove), read 4 (look up, add, put, delete), swap-cache hit 2 (look up, put), free 1;
writeback from a compressed pool 2 (add to and delete from the swap cache), a further page table entry or one less 1.
Before phase IV the swap_cgroup and zeromap arrays are walked as well: +2 at the writeout of a new object (+1, the
zeromap, at a rewrite) and +2 at a read.

zswap has an xarray of its own, walked besides the table (X: :mod:`swaptrace.layouts.zswap_tree`). Memory that acts as
a swap device (zram) counts as the device: its own table comes on top.

Distinct dependent cache lines: cluster header and table entry (2) at each of these; p1 and p2 add a swap_map byte;
p1 to p3 add a swap_cgroup line at new writeouts, reads and frees and a zeromap line at writeouts and reads; p4 adds
a memcg_table line where p3 adds the swap_cgroup line; p4rfc (memcg id in the shadow) adds none.

Metadata: static per slot of the device: p1 and p2 1 B swap_map + 2 B swap_cgroup + 1/8 B zeromap, p3 the latter two,
p4 and p4rfc none; per 512 slots a cluster header of 32 B, in p4 48 B. While a cluster has a slot in use: a table page
of 4096 B, in p4 and a memcg_table of 1024 B. Per object in the compressed pool 9 B of the zswap tree.

Sources: docs/kernel-facts.md; "Swap table phase IV" 20260517-swap-table-p4-v5-0-88ae43e064c7@tencent.com;
LWN 1056405, 1057102, 1072657.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER
from swaptrace.kernels.scans import ENTRIES_PER_LINE
from swaptrace.layouts.charges import classes_of
from swaptrace.layouts.device_slots import DeviceSlots
from swaptrace.layouts.zswap_tree import REAL_BYTES, TREE_ASSUMPTIONS, add_tree, hold_tree
from swaptrace.model.component import PREFER, PRIORITIES, Layout, Space, choice
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["PHASES", "Phase", "SwapTable", "slot_costs"]


@dataclass(frozen=True)
class Phase:
    """Sizes in bytes and extra lines of one phase of the series."""

    static_bits: int  # per slot
    header: int  # per cluster
    used_cluster: int
    swap_map: int = 0
    memcg: int = 1
    zeromap: int = 0


PHASES = {
    "p1": Phase(static_bits=25, header=32, used_cluster=4096, swap_map=1, zeromap=1),
    "p2": Phase(static_bits=25, header=32, used_cluster=4096, swap_map=1, zeromap=1),
    "p3": Phase(static_bits=17, header=32, used_cluster=4096, zeromap=1),
    "p4rfc": Phase(static_bits=0, header=32, used_cluster=4096, memcg=0),
    "p4": Phase(static_bits=0, header=48, used_cluster=4096 + 1024),
}


def slot_costs(phase: Phase) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the walks and the lines of one page whose swap entry is a slot, both int64[new, op, backing]."""
    walks = np.zeros((2, len(Op), len(Backing)), np.int64)
    lines = np.zeros_like(walks)
    arrays, base = phase.zeromap, 2 + phase.swap_map  # p1 to p3 walk the two arrays besides the table
    for op, (walk, line) in {
        Op.OUT: (2 + arrays, base + phase.zeromap),
        Op.IN: (4 + 2 * arrays, base + phase.memcg + phase.zeromap),
        Op.FREE: (1, base + phase.memcg),
        Op.HIT: (2, base),
        Op.WRITEBACK: (2, base),
        Op.DUP: (1, base),
        Op.PUT: (1, base),
    }.items():
        walks[:, op], lines[:, op] = walk, line
    walks[1, Op.OUT], lines[1, Op.OUT] = 3 + 2 * arrays, base + phase.memcg + phase.zeromap
    add_tree(walks, lines)
    return walks, lines


class SwapTable(Layout):
    """Direct physical slots with the swap table of Linux 6.18 (p1) to the posted phase IV (p4)."""

    name = "swap-table"
    summary = "direct physical slots, one swap table entry per slot (today's kernel)"
    direct = True
    key_params = ("phase",)
    params = (choice("phase", "p4", "phase of the swap table series", PHASES), PREFER, PRIORITIES)
    state_per_slot = (
        ("swap table entry", "8 B per slot of a used cluster"),
        ("memcg id", "2 B per slot: static before p4, of a used cluster in p4, in the shadow in p4rfc"),
        ("swap_map", "1 B per slot, static (p1, p2)"),
        ("zeromap", "1 bit per slot, static (p1 to p3)"),
        ("cluster header", "32 B per 512 slots, static (p4: 48 B)"),
        ("zswap xarray", "9 B per object in the pool"),
    )
    lookups = (
        (
            "swap_out",
            "3 (+2 before p4); 2 (+1) for an object that kept its slot; zswap + 1 X",
            "2, +1 memcg, +1 swap_map (p1, p2), +1 zeromap (p1 to p3); zswap + 3",
        ),
        ("swap_in", "4 (+2 before p4); zswap + 2 X", "the same"),
        ("swap-cache hit", "2", "2, +1 swap_map (p1, p2)"),
        ("free", "1; zswap + 1 X", "2, +1 memcg, +1 swap_map (p1, p2); zswap + 3"),
        ("writeback", "2 + 2 X", "5, +1 swap_map (p1, p2)"),
    )
    assumptions = (
        "swap_count is 1, one page table entry per object, but for pages that ksm merged.",
        "A physical slot is taken at folio_alloc_swap, before the content is known.",
        "p1 and p2 are charged alike: that p1 reads from synchronous devices past the swap cache is not modelled.",
        *TREE_ASSUMPTIONS,
    )
    references = (
        "20260517-swap-table-p4-v5-0-88ae43e064c7@tencent.com",
        "20260220-swap-table-p4-v1-0-104795d19815@tencent.com",
        "LWN 1056405, 1057102, 1072657",
    )

    def __init__(self, phase: Phase, prefer: bool, priorities: bool) -> None:
        self._phase, self._spread, self._priorities = phase, prefer, priorities
        self._walks, self._lines = slot_costs(phase)
        self.entries_per_line = 64 if phase.swap_map else ENTRIES_PER_LINE

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        if self._priorities:
            self.areas = space.by_priority(self.name)
        self._slots = DeviceSlots(space.slots, self._spread, self.entries_per_line, self.areas)
        ledger.fix(
            METADATA,
            space.slots * self._phase.static_bits // 8 + -(-space.slots // CLUSTER) * self._phase.header,
        )

    def enter(self, ops: Ops) -> None:
        """Give new objects their physical slot."""
        if self.gives_entries:
            self._slots.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        ledger = self._ledger
        self._slots.hold(ops, ledger)
        ledger.hold(METADATA, self._slots.used, self._phase.used_cluster)
        hold_tree(ops, ledger, REAL_BYTES)
        classes = classes_of(ops)
        chosen = classes.new, classes.op, classes.backing
        classes.charge(ledger, self._walks[chosen], self._lines[chosen])
