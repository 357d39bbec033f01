"""vswap v6: every swap entry is virtual; a 24-byte descriptor says where the data is, a physical slot comes late.

Rule. Entries and the number of xarray levels d: :mod:`swaptrace.layouts.virtual_space`. V is a virtual walk
(cluster map, cluster, descriptor), P a walk of the physical swap table.

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout: 1 V per ``swap_duplicate`` at unmap, 1 V to
see that page table entries are left, 2 V at reclaim's end (lock, remove), and 1 V for zero and same-filled pages (set
the backing), 2 V for all others (prepare; associate, or allocate); + 2 P where a physical slot is taken (allocate, set
its reverse map). The allocation of the entry itself uses the CPU's cluster and walks nothing. Read: 12 V (tryget 2,
look up, prepare, is it a folio?, memcg id, add, zeromap, is it on a device?, free, free_folio, put), + 1 V for data in
a buffer or pool or on the device (find it), + 1 P on the device. Swap-cache hit: 6 V (tryget 2, look up, is it on a
device?, free, put). Free: 1 V, + 1 P where a physical slot is given back. Writeback from a compressed pool: 2 V (look
up, allocate), + 2 P for the slot; 1 V for each further owner of the page. A further page table entry or one less: 1 V.
Memory that acts as a swap device counts as the device. Moves: layouts/moves.py.

Per-CPU lookup cache (``mru=1``, patch 22/22): it holds the cluster of the CPU's latest asking walk, and is dropped
when that cluster becomes empty. All V ask it except tryget's first and put, at reads and swap-cache hits, which go to
the cluster map directly. The first asking walk of a page hits if the CPU's cache holds its cluster; the further ones
always hit.

Distinct dependent cache lines per page: d nodes, unless every walk of the page hit; the 2 of the cluster header (lock
and id; bitmap, and the pointer to the descriptors, which v6 splits off); the descriptor's line, 2 where its 24 bytes
straddle a line; 2 (cluster header and table entry) for P.

The allocator's scan (layouts/scans.py): a bit of the reverse map says whether only the swap cache holds a slot: no
walk, 8 slots to a line.

Metadata: static 2 bits per physical slot. Per virtual cluster ``bytes=published`` 512 x 24.125 B as in the cover,
``bytes=real`` 12553 B (112 header + 12288 descriptors + 144 of vzalloc's vm_struct and vmap_area + 9 of xarray).
Per physical cluster in use 8 B for each of its slots: the swap table as reverse map.

Sources: 20260505153854.1612033-1-nphamcs@gmail.com (v6 cover), mm/vswap.c, mm/page_io.c and mm/memory.c in its 14/22,
22/22; docs/kernel-facts.md.
"""

from __future__ import annotations

from swaptrace.kernels.touched import EntryLines
from swaptrace.layouts.descriptors import DESCRIPTOR, DescriptorLayout, Version, published
from swaptrace.model.component import choice

__all__ = ["VswapV6"]

_CLUSTER_BYTES = {"published": published, "real": 112 + 512 * DESCRIPTOR + 72 + 72 + 9}


class VswapV6(DescriptorLayout):
    """Virtual swap space v6, with its per-CPU lookup cache."""

    name = "vswap-v6"
    summary = "virtual entries with 24-byte descriptors, physical slots at I/O time"
    key_params = ("bytes",)
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
            "5 V; held in RAM 6 V; to the device 6 V + 2 P",
            "d (0 if the cache hits) + 2 + descriptor 1 or 2, +2 if a slot is taken",
        ),
        ("swap_in", "12 V; buffer, pool 13 V; device 13 V + 1 P", "d + 2 + descriptor, +2 device"),
        ("swap-cache hit", "6 V", "d + 2 + descriptor"),
        ("free", "1 V; + 1 P if a slot is given back", "d (0 if the cache hits) + 2 + descriptor, +2 P"),
        ("allocator's scan", "none: a bit of the reverse map", "1 per 8 slots in use passed over"),
        ("writeback, gc", "1 V per distinct virtual cluster and segment", "see moves"),
    )
    assumptions = (
        "swap_count is 1, one page table entry per object, but for pages that ksm merged.",
        "Each free is a run of its own, or of one folio: traces carry no batch id, so a batched free is not credited.",
        "The walk counts are read from the patches (inferred): order 0, cgroup v2, without the paths that retry.",
    )
    references = (
        "20260505153854.1612033-1-nphamcs@gmail.com",
        "20260320192735.748051-1-nphamcs@gmail.com",
        "mm/vswap.c",
    )
    version = Version(out=(5, 6, 6), read=(12, 13, 13), hit=6, free=1, writeback=2, pte=1, bypass=(2, 2))
    shape = EntryLines(fixed_lines=2, entry_bytes=DESCRIPTOR)

    def __init__(self, mru: bool, bytes: int) -> None:
        super().__init__(bytes, mru)
