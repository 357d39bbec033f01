"""vswap v6: every swap entry is virtual; a 24-byte descriptor says where the data is, a physical slot comes late.

Rule. Entries and the number of xarray levels d: :mod:`swaptrace.layouts.virtual_space`. V is a virtual walk
(cluster map, cluster, descriptor), P a walk of the physical swap table.

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout: 1 V per ``swap_duplicate`` at unmap, 2 V at
reclaim's end, and 2 V for zero, shared or buffered content (prepare, associate), 3 V for the device (prepare,
allocate, resolve the sector); + 2 P where a physical slot is taken (allocate, set its reverse map). The allocation
of the entry itself uses the CPU's cluster and walks nothing. Read: 10 V (tryget 2, look up, prepare, add, memcg id,
zeromap, free, free_folio, put), + 1 V for data in a buffer, + 2 V and 1 P for data on the device. Swap-cache hit: 5 V
(tryget 2, look up, free, put). Free: 1 V, + 1 P where a physical slot is given back. Writeback from a compressed
pool: 3 V (look up, allocate, resolve the sector), + 2 P for the slot. A further page table entry or one less: 1 V.
Memory that acts as a swap device counts as the device. Moves: layouts/moves.py.

Per-CPU lookup cache (``mru=1``, patch 22/22): it holds the cluster of the CPU's latest asking walk, and is dropped
when that cluster becomes empty. All V ask it except tryget's first and put, at reads and swap-cache hits, which go to
the cluster map directly. The first asking walk of a page hits if the CPU's cache holds its cluster; the further ones
always hit.

Distinct dependent cache lines per page: d nodes, unless every walk of the page hit; 2 of the cluster header (v6 splits
the descriptors off: the second line holds their pointer); the descriptor's line, 2 where its 24 bytes straddle a
line; 1 of the bitmap where the entry is allocated or freed; 2 (cluster header and table entry) for P.

Metadata: static 2 bits per physical slot. Per virtual cluster ``bytes=published`` 512 x 24.125 B as in the cover,
``bytes=real`` 12553 B (112 header + 12288 descriptors + 144 of vzalloc's vm_struct and vmap_area + 9 of xarray).
Per physical cluster in use 8 B for each of its slots: the swap table as reverse map.

Sources: 20260505153854.1612033-1-nphamcs@gmail.com (v6 cover, 14/22, 22/22), mm/vswap.c; docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from swaptrace.layouts.charges import Classes, classes_of
from swaptrace.layouts.moves import MoveCosts, charge_moves
from swaptrace.layouts.mru import LookupCache
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.component import Layout, Space, choice
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["VswapV6"]

_DESCRIPTOR = 24
_CLUSTER_BYTES = {"published": 512 * 24 + 512 // 8, "real": 112 + 512 * 24 + 72 + 72 + 9}
_OWN = (3, 1, 1, 1, 1)  # bits of a class: levels, straddles, cached, took, gave
# By position in the cluster: its descriptor lies in two cache lines.
_STRADDLING = _DESCRIPTOR * np.arange(512) % 64 > 64 - _DESCRIPTOR


class VswapV6(Layout):
    """Virtual swap space v6, with its per-CPU lookup cache."""

    name = "vswap-v6"
    summary = "virtual entries with 24-byte descriptors, physical slots at I/O time"
    direct = False
    params = (
        choice(
            "mru",
            "1",
            "clusters in the per-CPU lookup cache (0: none, as before patch 22/22)",
            {"0": False, "1": True},
        ),
        choice(
            "bytes",
            "published",
            "bytes of a cluster: as published in the cover, or as allocated",
            _CLUSTER_BYTES,
        ),
    )
    state_per_slot = (
        ("descriptor", "24 B per entry of an allocated virtual cluster"),
        ("bitmap", "1 bit per entry of an allocated virtual cluster (real: 24.52 B per entry in all)"),
        ("reverse map", "8 B per slot of a used physical cluster"),
        ("physical device", "2 bits per slot, static"),
    )
    lookups = (
        (
            "swap_out",
            "5 V; to the device 6 V + 2 P",
            "d (0 if the cache hits) + 2 + descriptor 1 or 2, +1 bitmap, +2 if a slot is taken",
        ),
        ("swap_in", "10 V; buffer 11 V; device 12 V + 1 P", "d + 2 + descriptor, +2 device"),
        ("swap-cache hit", "5 V", "d + 2 + descriptor"),
        (
            "free",
            "1 V; + 1 P if a slot is given back",
            "d (0 if the cache hits) + 2 + descriptor, +1 bitmap, +2 P",
        ),
        ("writeback, gc", "1 V per distinct virtual cluster and segment", "see moves"),
    )
    assumptions = (
        "swap_count is 1: one page table entry per object.",
        "Each free is a run of its own: traces carry no batch id, so v6's batched free is not credited.",
        "The walk counts are read from mm/vswap.c (inferred).",
    )
    references = (
        "20260505153854.1612033-1-nphamcs@gmail.com",
        "20260320192735.748051-1-nphamcs@gmail.com",
        "mm/vswap.c",
    )

    def __init__(self, mru: bool, bytes: int) -> None:
        self._cluster_bytes = bytes
        self._space = VirtualSpace()
        self._cache = LookupCache() if mru else None
        walks = np.zeros((len(Op), len(Backing)), np.int64)
        walks[Op.OUT], walks[Op.OUT, Backing.DISK] = 5, 6
        walks[Op.IN], walks[Op.IN, Backing.BUFFER], walks[Op.IN, Backing.DISK] = 10, 11, 12
        walks[Op.IN, Backing.ZSWAP], walks[Op.IN, Backing.RAM] = 11, 12
        walks[Op.OUT, Backing.RAM] = 6
        walks[Op.HIT], walks[Op.FREE], walks[Op.WRITEBACK], walks[Op.DUP], walks[Op.PUT] = 5, 1, 3, 1, 1
        self._walks = walks
        self._bypass = np.array([0, 2, 0, 2, 0, 0, 0])  # by op: walks that never ask the lookup cache

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        ledger.fix(METADATA, space.slots // 4)

    def cached(self) -> Mapping[str, int]:
        """A CPU's cluster stays allocated when it is empty."""
        return {METADATA: self._cluster_bytes}

    def enter(self, ops: Ops) -> None:
        """Give new objects their virtual entry."""
        self._space.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        assert ops.entry is not None
        ledger, space, placement = self._ledger, self._space, ops.placement
        ledger.hold(VIRTUAL, ops.lives)
        ledger.hold(METADATA, space.change, self._cluster_bytes)
        none = np.zeros(len(ops), np.bool_)
        hits = none if self._cache is None else self._cache.hits(ops)
        took = gave = none
        if placement is not None:
            ledger.hold("slots.physical", placement.slots)
            ledger.hold(METADATA, placement.clusters, 8 * placement.cluster_slots)
            took, gave = placement.took, placement.gave
        own = zip((space.levels, _STRADDLING[ops.entry & 511], hits, took, gave), _OWN, strict=True)
        self._charge(classes_of(ops, own), placement is not None)
        charge_moves(ledger, ops, space, MoveCosts(fixed_lines=2, descriptor_bytes=_DESCRIPTOR))

    def _charge(self, classes: Classes, placed: bool) -> None:
        """Price the classes of a batch; ``placed`` says whether a stage hands out physical slots."""
        ledger, op, backing, new = self._ledger, classes.op, classes.backing, classes.new
        level, straddles, cached, took, gave = classes.own(_OWN)
        walks, bypass = self._walks[op, backing], self._bypass[op]
        if self._cache is not None:
            heads = classes.heads
            asked = int((walks - bypass) @ heads)
            ledger.count("indirection.mru_asked", asked)
            ledger.count("indirection.mru_hits", asked - int(heads[cached == 0].sum()))
        lines = np.where((cached == 1) & (bypass == 0), 0, level) + 3 + straddles + ((new == 1) | (op == Op.FREE))
        if placed:
            on_disk = (backing == Backing.DISK) | (backing == Backing.RAM)
            written, on_device = (took == 1) & on_disk, (op == Op.IN) & on_disk
            walks = walks + 2 * written + gave + on_device
            lines += 2 * (written | (gave == 1) | on_device)
        classes.charge(ledger, walks, lines)
