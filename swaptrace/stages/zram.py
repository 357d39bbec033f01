"""zram: the swap device is memory. Each page is compressed into an object of its own; nothing is written to a medium.

Rule. Every store that arrives is taken, and has the backing RAM. A page that one 8-byte word fills is kept as that word
in the table (``same=on``) and occupies nothing. Any other becomes an object of its compressed size, which occupies the
bytes of :mod:`swaptrace.kernels.zsmalloc`. A page that compresses to 3625 B or more is *huge*: it is stored raw, as
4096 B. The compressed size is what the recording kernel's compressor made (column ``csize``); a page without one counts
as huge, and as unsized. A store in place frees the old object; so does the end of the block, at once
(swap_slot_free_notify). A read loads the object and leaves it there.

Slots. Under a layout whose swap entries are physical slots (direct) the entry is zram's slot. Everywhere else a block
takes a slot when it is stored, keeps it when it is stored over in place, and gives it back when it dies (before the
same op takes one), by the rule of :mod:`swaptrace.kernels.clusters`, on the CPU of the op.

The table has an entry for each slot. Each op that stores a page, reads one or ends one here walks it: one walk and one
line (:mod:`swaptrace.layouts.charges`). With dedup above, the table of a direct layout leads from the slots of all
sharers to the one object: writeouts that hit walk it, too, and so do frees of pages that others still share. In a
virtual layout it is the virtual entry that leads to the shared slot.

Metadata: 16 B per slot of the device, static (struct zram_table_entry), and per object a handle of 8 B.

Sources: drivers/block/zram/zram_drv.c: zram_write_page, write_same_filled_page, write_incompressible_page,
zram_slot_free_notify (Linux 6.18); mm/zsmalloc.c: zs_huge_class_size; sizes of structs: docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import PhysicalClusters
from swaptrace.kernels.holdings import Holdings
from swaptrace.kernels.places import exchanges, new_places, turns
from swaptrace.kernels.zsmalloc import PAGE, occupied
from swaptrace.model.component import PREFER, Account, Layout, Role, Space, Stage, choice, size_param
from swaptrace.model.ledger import METADATA, Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import NOTHING, Backing, Op, Ops, Placement
from swaptrace.stages.slots import MAX_CPUS

__all__ = ["Zram"]

_TABLE_ENTRY, _HANDLE = 16, 8
_HUGE = 3625  # zs_huge_class_size: what, with its handle, no class below a page takes


class Zram(Stage):
    """A swap device in memory."""

    name = "zram"
    summary = "the swap device is memory: each page compressed into an object of its own"
    role = Role.PLACEMENT
    over_ftl = False
    params = (
        choice(
            "same",
            "on",
            "keep pages filled with any one 8-byte word in the table",
            {"off": False, "on": True},
        ),
        choice("compressor", "lz4", "whose prices a page pays (cost model)", {"lz4": "lz4", "zstd": "zstd"}),
        PREFER,
        size_param(),
    )
    requires = (Capability.CLEN,)
    columns = ("csize", "fill")
    assumptions = (
        "Pages compress to the size that the recording kernel stored; compressor= changes prices, not sizes.",
        "Holes in zsmalloc chains are not counted: the occupied bytes are a lower bound.",
        "Synchronous I/O drops the swap cache at once where the recording kernel did: the trace's own frees say when.",
        "No backing device, no memory limit, no recompression.",
        "Same-filled and huge pages are priced as compressed ones: too high for the former.",
    )
    references = ("drivers/block/zram/zram_drv.c: zram_write_page, zram_slot_free_notify",)

    def __init__(self, same: bool, compressor: str, prefer: bool, size: int) -> None:
        self._same, self._spread, self._size = same, prefer, size
        self.compressors = {Backing.RAM: compressor}
        self._holdings = Holdings()
        self._places = new_places()

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger, self._direct = ledger, layout.direct
        slots = self._size or space.slots
        self._clusters = PhysicalClusters(slots, MAX_CPUS, spread=self._spread)
        ledger.fix(METADATA, _TABLE_ENTRY * slots)

    def feed(self, ops: Ops) -> Ops:
        """Take the stores into memory, answer the reads, free what dies."""
        ends = ops.drop != NOTHING
        arrives = ops.backing == Backing.PENDING
        ops.device_walk = ops.store | ops.fetch | ends
        if self._direct and ops.shared:
            ops.device_walk |= (ops.op == Op.OUT) & (ops.backing == Backing.SHARED)
            ops.device_walk |= (ops.op == Op.FREE) & arrives
        size = self._sizes(ops)
        gone = self._holdings.feed(ops, size)
        self._hold(ops, size, gone, ends)
        if not self._direct:
            self._place(ops, ends)
        ops.backing |= arrives * np.uint8(Backing.RAM)
        return ops

    def account(self) -> Account:
        """What arrives is kept in memory."""
        return Account(self._ledger.counts["zram.stores"])

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what the device took, gave back and held."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        for name in ("stores", "loads", "same_filled", "huge", "unsized"):
            yield f"zram.{name}", counts[f"zram.{name}"]
        pages, held = gauges.get("zram.pages", Gauge()), gauges.get("zram.pool_bytes", Gauge())
        yield "zram.pages_peak", pages.peak
        yield "zram.pages_end", pages.now
        yield "zram.pool_bytes_peak", held.peak
        yield "zram.pool_bytes_avg", held.average(self._ledger.span)
        if counts["zram.occupied"]:
            yield "zram.ratio", PAGE * counts["zram.stores"] / counts["zram.occupied"]

    def _sizes(self, ops: Ops) -> NDArray[np.int16]:
        """Return the bytes that the store of each op occupies, 0 where it has none or keeps its page in the table."""
        at = np.flatnonzero(ops.store)
        recorded = ops.columns["csize"][at].astype(np.int64)
        same = ops.columns["has_fill"][at] if self._same else np.zeros(len(at), np.bool_)
        unsized = (recorded == 0) & ~same
        huge = (unsized | (recorded >= _HUGE)) & ~same
        bytes_of = np.where(same, 0, occupied(np.where(huge | same, PAGE, recorded)))
        for name, number in (
            ("stores", len(at)),
            ("loads", np.count_nonzero(ops.fetch)),
            ("same_filled", np.count_nonzero(same)),
            ("huge", np.count_nonzero(huge)),
            ("unsized", np.count_nonzero(unsized)),
            ("occupied", bytes_of.sum()),
        ):
            self._ledger.count(f"zram.{name}", int(number))
        size = np.zeros(len(ops), np.int16)
        size[at] = bytes_of
        return size

    def _hold(self, ops: Ops, size: NDArray[np.int16], gone: NDArray[np.int16], ends: NDArray[np.bool_]) -> None:
        """Hold pages, the bytes of their objects, and the handles."""
        ledger = self._ledger
        ledger.hold("zram.pages", (ops.store & ~ops.inplace).view(np.int8) - ends.view(np.int8))
        ledger.hold("zram.pool_bytes", size - gone)
        ledger.hold(METADATA, (size > 0).view(np.int8) - (gone > 0).view(np.int8), _HANDLE)

    def _place(self, ops: Ops, ends: NDArray[np.bool_]) -> None:
        """Hand out zram's slots to virtual entries."""
        who = turns(ops)
        _, clusters = self._places.feed(ops, who, *self._clusters.feed(*exchanges(ops, who)))
        ops.placement = Placement(who.takes.view(np.int8) - ends.view(np.int8), clusters, who.takes, ends)
