"""Stacked: virtual entries over a swap device that maps its slots once more (virtual -> virtual -> physical).

Rule. Everything is as in the layout ``upper``, with its default parameters (:mod:`swaptrace.layouts.vswap_v6` or
:mod:`swaptrace.layouts.vswap_table`), and the device below it keeps one more map: from the slots that it shows to the
place of their page, and back. Every op that reaches the device walks that map: a store, a read that is not answered
above the device (its own buffer may answer it), and the end of content that is stored (the device is told at once).
That is one walk and one line more (:mod:`swaptrace.layouts.charges`).

When the device moves pages (a buffer is written out, a cleaner copies), the new place goes into that map instead of
into the upper entry. This costs what the update of the upper entry costs: the rule of :mod:`swaptrace.layouts.moves`
is charged as it is.

Metadata: that of the upper layout; 8 B for each slot that the device shows, static (as many as the recording had,
whatever a stage's ``size=`` puts behind them); 8 B for each page on the device, the way back.

So ``stacked`` differs from its upper layout on the same path by this map and by nothing else: the price of the third
level, with all that is gained by buffering on both sides.

Sources: YoungJun Park, aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330 (2026-02-18) and 2026-03-25, lkml.iu.edu/2603.3/04457;
Kairui Song, CAMgjq7BO6SLZPfNXDh1F-7RAOqDAfqMQ4PM=qjAq1mCsWyD0LQ@mail.gmail.com; Nhat Pham,
CAKEwX=NtcGBnDpSuePqfK9G4jACC5gU95-69A4z5JzKkYRq1YA@mail.gmail.com (no third level is needed); docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from swaptrace.layouts.vswap_table import VswapTable
from swaptrace.layouts.vswap_v6 import VswapV6
from swaptrace.model.component import Layout, Space, choice
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import NOTHING, Ops

__all__ = ["Stacked"]

_MAP_BYTES = 8
_UPPER: dict[str, type[Layout]] = {kind.name: kind for kind in (VswapV6, VswapTable)}


class Stacked(Layout):
    """A virtual layout over a device with a map of its own."""

    name = "stacked"
    summary = "virtual entries over a device that maps its slots once more"
    direct = False
    params = (choice("upper", "vswap-v6", "the virtual layout above", _UPPER),)
    state_per_slot = (
        ("upper layout", "what it says of itself: swaptrace policies explain vswap-v6, or vswap-table"),
        ("map of the device", "8 B per slot of the device, static"),
        ("its reverse map", "8 B per page on the device"),
    )
    lookups = (
        ("swap_out", "upper; + 1 if the page goes to the device", "upper, + 1"),
        ("swap_in", "upper; + 1 if read from the device", "upper, + 1"),
        ("swap-cache hit", "upper", "upper"),
        ("free", "upper; + 1 if the page is on the device", "upper, + 1"),
        ("writeback", "upper; from a compressed pool + 1", "upper, + 1; moves as upper"),
    )
    assumptions = (
        *(text for text in VswapV6.assumptions if text in VswapTable.assumptions),
        "The map of the device is a flat array of 8 B per slot (4 B would do below 16 TiB); it and the way back lie in "
        "RAM.",
        "The device is told of every free at once, and then forgets the slot.",
        "A move updates the device's map at the price of the upper entry's update: where the map is denser, it costs "
        "less than that.",
        "The slot that the swap core takes before the device chooses the place is charged as the walk of the map "
        "only: a page in the device's buffer counts neither as a physical slot nor in the upper reverse map.",
    )
    references = (
        "aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330",
        "CAMgjq7BO6SLZPfNXDh1F-7RAOqDAfqMQ4PM=qjAq1mCsWyD0LQ@mail.gmail.com",
        "CAKEwX=NtcGBnDpSuePqfK9G4jACC5gU95-69A4z5JzKkYRq1YA@mail.gmail.com",
    )

    def __init__(self, upper: type[Layout]) -> None:
        self._upper: Layout = upper(**{p.name: p.parse(p.default) for p in upper.params})

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        ledger.fix(METADATA, _MAP_BYTES * space.slots)
        self._upper.start(space, ledger)

    def cached(self) -> Mapping[str, int]:
        """What the upper layout's CPUs may keep."""
        return self._upper.cached()

    def enter(self, ops: Ops) -> None:
        """Give new objects the upper layout's entry."""
        self._upper.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge what the upper layout charges, and the map."""
        ops.device_walk = ops.store | ops.fetch | (ops.drop != NOTHING)
        if ops.placement is not None:
            self._ledger.hold(METADATA, ops.placement.slots, _MAP_BYTES)
        self._upper.feed(ops)
