"""The virtual swap space as a module, enabled by swapon next to ordinary devices: some entries go past it.

Rule. Which entries go past the virtual space: :mod:`swaptrace.layouts.bypass`. An entry that goes through it is
virtual, and everything is as in :mod:`swaptrace.layouts.vswap_table`, of whose parameters this layout has all. An
entry that goes past it is *mapped directly*: it is a slot of the device, taken when the object begins, before its
content is known, and kept until its end. It costs the walks and lines of :mod:`swaptrace.layouts.swap_table`, of
phase p4 (with redirect=16 and 24, which come from the series that had the id in the shadow, of phase p4rfc), the
zswap xarray included; it has no virtual entry and no reverse map. Its slot is idle while the latest content of its
page is not there: zero, same-filled, in a compressed pool, or loaded from there, in the swap cache.

There is one device with one allocator for both kinds of slots, so they share physical clusters. A physical cluster has
the tables of :mod:`swaptrace.layouts.redirect`: its swap table holds the entries of slots that are mapped directly and
the reverse map of the others; a deferred memcg table is made for the first of the former.

If nothing goes past, all figures are those of ``vswap-table``; if everything does, walks, lines, slots and metadata
are those of ``swap-table``. ``slots.virtual_peak`` counts virtual entries only. swapoff of the virtual space walks
the page tables and leaves the directly mapped entries alone; swapoff of the device walks them for the directly mapped
entries, and finds the owners of all other slots by the reverse map.

Sources: YoungJun Park, linux-mm 2026-03-25, lkml.iu.edu/2603.3/04457 (a swap module, enabled by swapon: vswap and
regular swap, vswap only, ...); Kairui Song, CAMgjq7BO6SLZPfNXDh1F-7RAOqDAfqMQ4PM=qjAq1mCsWyD0LQ@mail.gmail.com
(agrees; optional, by cgroup or at run time; swapoff of the virtual space);
20260220-swap-table-p4-v1-0-104795d19815@tencent.com (dynamic ghost swapfile: plain swap has no overhead);
docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.layouts.bypass import MILLION, Bypass
from swaptrace.layouts.charges import Classes
from swaptrace.layouts.device_slots import IdleSlots
from swaptrace.layouts.redirect import REDIRECTS, Redirect
from swaptrace.layouts.swap_table import slot_costs
from swaptrace.layouts.vswap_table import VswapTable, mapped_of
from swaptrace.layouts.zswap_tree import REAL_BYTES, hold_tree
from swaptrace.model.component import Param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import ENTRIES, VIRTUAL
from swaptrace.model.ops import Ops
from swaptrace.model.units import parse_share

__all__ = ["VswapModule"]


def _millionths(text: str) -> int:
    share = parse_share(text)
    millionths = round(share * MILLION)
    if share > 1 or abs(millionths - share * MILLION) > 1e-6:
        raise UsageError("not a share from 0% to 100% in steps of 0.0001%.", "", "For example 50%.")
    return millionths


def _ids(text: str) -> frozenset[int]:
    parts = [] if text == "none" else text.split("/")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError("not ids of memory cgroups.", "", "For example 7/9, or none.")
    return frozenset(int(part) for part in parts)


class VswapModule(VswapTable):
    """The Swap Table Edition with entries that are slots of the device next to virtual ones."""

    name = "vswap-module"
    summary = "virtual entries for some, slots of the device as entries for the rest (Swap Table Edition as a module)"
    key_params = ("share",)
    params = (
        Param("share", "50%", "share of allocations that go through the virtual space", _millionths, "share"),
        Param("bypass", "none", "memory cgroups whose entries go past it, by id: 7/9", _ids, "ids"),
        *VswapTable.params,
    )
    columns = ("memcg",)
    state_per_slot = (
        *VswapTable.state_per_slot,
        ("directly mapped slot", "8 B of the swap table, 2 B of the memcg table of its used cluster"),
    )
    lookups = tuple((op, f"{walks}; directly mapped: as swap-table", lines) for op, walks, lines in VswapTable.lookups)
    assumptions = (
        *VswapTable.assumptions,
        "What share goes through the module is a matter of policy: 50% stands between the two layouts that it joins.",
        "Virtual and directly mapped slots lie on one device and in the same clusters.",
    )
    references = (
        *VswapTable.references,
        "lkml.iu.edu/2603.3/04457",
        "CAMgjq7BO6SLZPfNXDh1F-7RAOqDAfqMQ4PM=qjAq1mCsWyD0LQ@mail.gmail.com",
        "20260517-swap-table-p4-v5-0-88ae43e064c7@tencent.com",
    )

    def __init__(self, share: int, bypass: frozenset[int], redirect: Redirect, memcg_table: bool, mru: bool) -> None:
        super().__init__(redirect, memcg_table, mru)
        if share == 0 and bypass:
            raise UsageError(
                "vswap-module: bypass= cannot act.",
                "With share=0% every entry goes past the virtual space.",
                "Give one of them.",
            )
        if share == 0 and (memcg_table or mru or redirect is REDIRECTS["4"]):
            raise UsageError(
                "vswap-module: redirect=4, memcg_table=eager and mru=1 cannot act.",
                "With share=0% there is no virtual entry.",
                "Leave them out.",
            )
        self._bypass = Bypass(share, bypass)
        self.mixed = self._bypass.acts
        self._idle = IdleSlots()
        self._slot_walks, self._slot_lines = slot_costs(redirect.phase)

    def enter(self, ops: Ops) -> None:
        """Decide which new objects go past the virtual space, and give the others their virtual entry."""
        if self.mixed:
            ops.mapped = self._bypass.feed(ops)
        super().enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        super().feed(ops)
        if self.mixed:
            self._ledger.hold(ENTRIES, ops.lives)
            self._idle.hold(ops, self._ledger)
            hold_tree(ops, self._ledger, REAL_BYTES, ops.mapped)

    def beside(self) -> int:
        """Entries that are slots of the device."""
        gauges = self._ledger.gauges
        return gauges[ENTRIES].now - gauges[VIRTUAL].now if ENTRIES in gauges else 0

    def warnings(self) -> Iterator[str]:
        """Name the cgroups of ``bypass=`` that swapped nothing out."""
        for memcg in self._bypass.unmet():
            yield f"vswap-module:bypass={memcg}: no page of this memory cgroup is swapped out in the trace"

    def _prices(self, classes: Classes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        walks, lines = super()._prices(classes)
        chosen = classes.new, classes.op, classes.backing
        mapped = mapped_of(classes)
        return np.where(mapped, self._slot_walks[chosen], walks), np.where(mapped, self._slot_lines[chosen], lines)
