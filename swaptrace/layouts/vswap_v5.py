"""vswap v3 and v5: every swap entry is virtual, its 24-byte descriptor lies inside the cluster object; no lookup cache.

Rule. Entries and the number of xarray levels d: :mod:`swaptrace.layouts.virtual_space`. V is a virtual walk
(cluster map, cluster, descriptor), P a walk of the physical swap table. What v6 does under one lock of the cluster
takes walks of its own here; v3 and v5 differ in frees alone.

Walks per page (folios as in :mod:`swaptrace.layouts.charges`). Writeout: 1 V per ``swap_duplicate`` at unmap, 1 V to
see that page table entries are left, 4 V at reclaim's end (lock, delete, unlock, clear); 2 V more where the object is
new (record the memcg id, add to the swap cache); and by content: 2 V for zero and same-filled pages (release the old
backing, set the new one); 5 V where it is shared, buffered or in a compressed pool (is it on a device?, release, store
the folio, release, associate); 7 V and 2 P for the device (is it on a device?, release, store the folio, the same
question, link; find the device, find the sector; allocate, set the reverse map), but 4 V where the page already has
its slot (twice the question, device, sector). Read: 12 V (tryget 2, look up, prepare, is it a folio?, memcg id, add,
zeromap, is it on a device?, free, free_folio, put), + 1 V for data in a buffer or pool, + 2 V and 1 P for data on the
device (device, sector). Swap-cache hit: 6 V (tryget 2, look up, is it on a device?, free, put). Writeback from a
compressed pool: 5 V (look up, is it on a device?, link, device, sector), + 2 P for the slot; 1 V for each further
owner of the page. A further page table entry: 1 V. Where a physical slot is given back: + 1 V (uncharge its memcg) and
1 P. Memory that acts as a swap device counts as the device. Moves: layouts/moves.py.

Free: 4 V (memcg id of the page table entry, count it down, release the backing, clear the memcg id), in v3 one more
(does its neighbour have the same backing?). v5 frees the entries of a folio in one batch: each further page costs 3 V
(memcg id, release, clear). v3 has no batch, each page pays all of it. In both, each slot that is given back pays for
itself. A page table entry less costs what a free asks before it releases: 2 V, in v3 3 V.

Distinct dependent cache lines per page: d nodes; the cluster header (104 B before the descriptors), 2 lines where the
entry's bit of the bitmap lies in the second one (positions from 192 on); the descriptor's line, 2 where its 24 bytes
straddle a line (a cluster begins a line); 2 (cluster header and table entry) for P.

The allocator's scan (layouts/scans.py): for each slot in use that it passes over it walks the reverse map and the
owner's descriptor (``vswap_only_has_cache``), to learn whether only the swap cache holds it. Of the descriptor it reads
the last 8 bytes (count and flags).

Metadata: static 2 bits per physical slot. Per virtual cluster ``bytes=published`` 512 x 24.125 B as in the cover,
``bytes=real`` 16384 B: the object of 12392 B (104 + 12288) is rounded up by the slab allocator, plus 9 of xarray. Per
physical cluster in use 8 B for each of its slots: the swap table as reverse map.

Sources: 20260208215839.87595-1-nphamcs@gmail.com (v3), 20260320192735.748051-1-nphamcs@gmail.com (v5), mm/vswap.c,
mm/page_io.c, mm/memory.c and mm/internal.h in their 14/20 and 14/21; docs/kernel-facts.md.
"""

from __future__ import annotations

from dataclasses import replace

from swaptrace.kernels.touched import EntryLines
from swaptrace.layouts.descriptors import DESCRIPTOR, HEADER, DescriptorLayout, Version, published
from swaptrace.model.component import choice

__all__ = ["VswapV3", "VswapV5"]

_IN_LINE = 64 - (HEADER - 512 // 8)  # bytes of the bitmap in the first line of the header


def _lookups(free: int) -> tuple[tuple[str, str, str], ...]:
    return (
        (
            "swap_out",
            "10 V; held in RAM 13 V; to the device 15 V + 2 P; an object that is not new 2 V less, device again 10 V",
            "d + 1 or 2 + descriptor 1 or 2, +2 if a slot is taken",
        ),
        ("swap_in", "12 V; buffer, pool 13 V; device 14 V + 1 P", "d + 1 or 2 + descriptor, +2 device"),
        ("swap-cache hit", "6 V", "d + 1 or 2 + descriptor"),
        ("free", f"{free} V; + 1 V + 1 P if a slot is given back", "d + 1 or 2 + descriptor, +2 P"),
        ("allocator's scan", "1 P + 1 V for each slot in use passed over", "1 per 8 slots, + entries' distinct lines"),
        ("writeback, gc", "1 V per distinct virtual cluster and segment", "see moves"),
    )


class VswapV5(DescriptorLayout):
    """Virtual swap space v5."""

    name = "vswap-v5"
    summary = "virtual entries with 24-byte descriptors inside the cluster, one walk for each step (v5)"
    scan_asks_owners = True
    key_params = ("bytes",)
    params = (
        choice(
            "bytes",
            "published",
            "bytes of a cluster: as published in the cover, or as allocated",
            {"published": published, "real": 16384 + 9},
        ),
    )
    state_per_slot = (
        ("descriptor", "24 B per entry of an allocated virtual cluster"),
        ("bitmap", "1 bit per entry of an allocated virtual cluster (real: 32.02 B per entry in all)"),
        ("reverse map", "8 B per slot of a used physical cluster"),
        ("physical device", "2 bits per slot, static"),
    )
    lookups = _lookups(free=4)
    assumptions = (
        "swap_count is 1, one page table entry per object, but for pages that ksm merged.",
        "Each free is a run of its own, or of one folio: traces carry no batch id.",
        "The walk counts are read from the patches (inferred): order 0, cgroup v2, without the paths that retry.",
        "A cluster object begins a cache line; its first descriptor counts as a line apart from the bitmap.",
    )
    references = ("20260320192735.748051-1-nphamcs@gmail.com", "20260320192735.748051-15-nphamcs@gmail.com")
    version = Version(
        out=(8, 11, 13), read=(12, 13, 14), hit=6, free=4, writeback=5, pte=2, begins=2, kept=3, gives=1, frees_on=3,
    )  # fmt: skip
    shape = EntryLines(fixed_lines=1, entry_bytes=DESCRIPTOR, first_byte=HEADER, second_line_from=8 * _IN_LINE)
    asked = replace(shape, first_byte=HEADER + 16, used_bytes=8)  # its count and flags

    def __init__(self, bytes: int) -> None:
        super().__init__(bytes)


class VswapV3(VswapV5):
    """Virtual swap space v3."""

    name = "vswap-v3"
    summary = "virtual entries with 24-byte descriptors inside the cluster, freed one by one (v3)"
    lookups = _lookups(free=5)
    references = ("20260208215839.87595-1-nphamcs@gmail.com", "20260208215839.87595-15-nphamcs@gmail.com")
    version = replace(VswapV5.version, free=5, pte=3, frees_on=5)
