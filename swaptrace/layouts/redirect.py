"""What it costs that a virtual swap table entry says where its data is: four answers that were given on linux-mm.

Rule. Every virtual cluster of 512 entries has a header, a swap table of 4096 B (8 B for each entry: folio, shadow,
count and zero flag) and 9 B of xarray. To this comes, by ``redirect=``:

* **8**, the Swap Table Edition: a virtual table of 4096 B (8 B for each entry: what backs it) and a memcg table of
  1024 B; the header has 80 B (48 of swap_cluster_info, 32 of what makes it dynamic). Its physical slots have a
  reverse map.
* **24**, the dynamic ghost swapfile with reverse mapping: a virtual table, no memcg table (the id lies in the
  shadow); the header has 64 B (32 + 32). 8 + 8 B per entry, 8 B per physical slot.
* **16**, the same without reverse mapping: 8 + 8 B per entry.
* **4**, the principle that only an entry that is redirected may cost more, and that 4 B: a memcg table of 1024 B and a
  header of 80 B as in 8, no virtual table, no reverse map. 4 B for each live entry that is *redirected*: unless its
  latest content is a zero page or was put into a compressed pool and not written back since. The pool is found as
  below a swap entry that is a slot: :mod:`swaptrace.layouts.zswap_tree`, with its walks, lines and bytes; resolving
  the backing of a page in the pool costs no walk and no line of its own then.

A physical cluster in use has, with a reverse map, a swap table (8 B for each of its slots): it is the reverse map.
Without one, a bitmap (1 bit per slot); a swap table of 4096 B in its place once a slot of it is mapped directly,
until the cluster is empty again. With memcg tables in the virtual clusters (8 and 4), physical clusters may have one
of 1024 B, too (2 B for each slot): ``memcg_table=deferred`` (RFC v2), from the first slot of the cluster that is
mapped directly until the cluster is empty; ``memcg_table=eager`` (RFC v1), while the cluster is in use. Static: 48 B
(8 and 4) or 32 B (16 and 24) of header for each 512 slots of the device.

Without a reverse map a swapoff of the device looks at all virtual entries to find those that it backs.

Sources: 8: 20260528212955.1912856-1-nphamcs@gmail.com, 20260612193738.2183968-1-nphamcs@gmail.com; 16 and 24: "16
bytes per slot memory usage, when using ghost / virtual zswap", "24 bytes only if including reverse mapping is in
use", 20260220-swap-table-p4-v1-0-104795d19815@tencent.com; 4: Chris Li, lkml.iu.edu/2511.3/03250; the bitmap and the
reverse map as all that a physical cluster needs: Yosry Ahmed,
CAO9r8zP+PkgRzXJcFv+3i2pKFQdLt78Ax1s1DY0qNaiUo7ySqA@mail.gmail.com; docs/kernel-facts.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER
from swaptrace.kernels.marks import Marks
from swaptrace.layouts.swap_table import PHASES, Phase
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import Backing, Ops

__all__ = ["REDIRECTS", "REDIRECT_ASSUMPTIONS", "PhysicalTables", "Redirect", "Redirected"]

_MEMCG_TABLE, _SWAP_TABLE, _VIRTUAL_TABLE, _XARRAY = 1024, 4096, 4096, 9
_DYNAMIC = 32  # of swap_cluster_info_dynamic, behind its swap_cluster_info


@dataclass(frozen=True)
class Redirect:
    """Bytes of one way to redirect. ``phase`` is that of the swap table below: of directly mapped slots."""

    phase: Phase
    memcg_table: bool
    virtual_table: bool = True
    reverse_map: bool = True
    each: int = 0  # bytes for each redirected entry

    @property
    def cluster(self) -> int:
        """Bytes of a virtual cluster."""
        tables = _SWAP_TABLE + _VIRTUAL_TABLE * self.virtual_table + _MEMCG_TABLE * self.memcg_table
        return self.phase.header + _DYNAMIC + tables + _XARRAY


REDIRECTS = {
    "4": Redirect(PHASES["p4"], memcg_table=True, virtual_table=False, reverse_map=False, each=4),
    "8": Redirect(PHASES["p4"], memcg_table=True),
    "16": Redirect(PHASES["p4rfc"], memcg_table=False, reverse_map=False),
    "24": Redirect(PHASES["p4rfc"], memcg_table=False),
}
REDIRECT_ASSUMPTIONS = (
    "redirect=4 is a principle without a patch: that it keeps no reverse map, leaves the pool to its xarray, and "
    "packs its 4 B without slack is inferred.",
    "redirect=16 on a device is inferred: a bitmap in place of the reverse map, as many walks and lines as with it. "
    "The header of a cluster of the dynamic ghost is taken to be that of the Swap Table Edition less 16 B.",
    "When a deferred table of a physical cluster is freed is inferred: with its swap table, when it is empty.",
)


class PhysicalTables:
    """Charges the tables of physical clusters."""

    def __init__(self, redirect: Redirect, eager: bool) -> None:
        self._redirect, self._eager = redirect, eager

    def hold(self, ops: Ops, ledger: Ledger) -> None:
        """Hold what the clusters have that came into use, or became empty, in this batch."""
        placement, redirect = ops.placement, self._redirect
        assert placement is not None
        slots = placement.cluster_slots
        used = 8 * slots if redirect.reverse_map else slots // 8
        if redirect.memcg_table and self._eager:
            used += _MEMCG_TABLE * slots // CLUSTER
        ledger.hold(METADATA, placement.clusters, used)
        mapped = 0 if redirect.reverse_map else _SWAP_TABLE - slots // 8
        if redirect.memcg_table and not self._eager:
            mapped += _MEMCG_TABLE
        if ops.mapped_clusters is not None and mapped:
            ledger.hold(METADATA, ops.mapped_clusters, mapped)


class Redirected:
    """Counts the virtual entries that are redirected, for a layout that pays for each of them."""

    def __init__(self) -> None:
        self._unredirected = Marks()

    def feed(self, ops: Ops, virtual: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return their change by each op, that of the number of ``virtual`` entries given."""
        mark = (ops.backing == Backing.ZERO) | (ops.backing == Backing.ZSWAP) | (ops.backing == Backing.ZSWAP_SHARED)
        if ops.mapped is not None:
            mark &= ~ops.mapped
        change = self._unredirected.feed(ops, mark)
        return virtual if change is None else virtual - change
