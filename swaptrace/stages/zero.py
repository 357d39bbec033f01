"""Zero pages are not stored: the zeromap bit (or a flag in the swap table) says that the page reads as zeros.

Rule. A writeout is *elided* if its page is zero: its ``fill`` is known and 0, or the recording kernel itself kept
it as a zero page. With ``same=on`` it is elided as well if ``fill`` is any other known word (same-filled). An
elided writeout stores nothing; if it rewrites an object whose content was stored below, that content dies. Reads
and frees of an object whose latest writeout was elided end here.

With ``ro=on`` zero pages never become swap: the rule of :mod:`swaptrace.stages.mapped_zero` takes them out of the
stream, and no zeromap is needed for them. Same-filled pages cannot be mapped, and are elided as above.

Sources: "mm: store zero pages to be swapped out in a bitmap" (Linux 6.12),
20240627105730.3110705-1-usamaarif642@gmail.com; its version 2 mapped the zero page and was dropped for one more rmap
walk in reclaim and a race with writers of the page table; Kairui Song: with an entry users see the page as swapped out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.model.component import Account, Layout, Space, Stage, choice
from swaptrace.model.events import Backend
from swaptrace.model.ledger import Gauge, Ledger
from swaptrace.model.ops import NOTHING, Backing, Op, Ops
from swaptrace.stages.mapped_zero import MappedZero

__all__ = ["Zero"]

_STORED, _ZERO, _SAME = 0, 1, 2
_MARK = 128
_BACKING = np.array([Backing.PENDING, Backing.ZERO, Backing.SAME], np.uint8)


class Zero(Stage):
    """Elides zero pages, and with ``same=on`` same-filled ones."""

    name = "zero"
    summary = "zero pages are a bit, never stored"
    params = (
        choice(
            "same",
            "off",
            "elide pages filled with any one 8-byte word, not only zero pages",
            {"off": False, "on": True},
        ),
        choice(
            "ro",
            "off",
            "map the shared zero page at reclaim: zero pages take no swap entry",
            {"off": False, "on": True},
        ),
    )
    columns = ("backend", "fill", "write")
    assumptions = (
        "A page is zero if its recorded fill word is 0 or the recording kernel kept it as a zero page.",
        "With ro=on a page has one page table entry, and reclaim wins every race with writers of it.",
        "With ro=on a fault on a mapped page is taken for a write: most recorders do not tell (stages.mapped_zero).",
    )
    references = ("20240627105730.3110705-1-usamaarif642@gmail.com",)

    def __init__(self, same: bool, ro: bool) -> None:
        self._same, self._ro = same, ro
        self._latest = np.zeros(0, np.uint8)  # by handle: how its latest writeout was kept
        self._elided_live = 0

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self._mapped = MappedZero(ledger) if self._ro else None

    def feed(self, ops: Ops) -> Ops:
        """Take the elided ops out of the stream."""
        kept = self._how(ops)
        if self._mapped is not None:
            self._ledger.count("dedup.zero_pages", int(np.count_nonzero(kept == _ZERO)))
            ops = self._mapped.feed(ops, kept == _ZERO)
            self._ledger.stream(ops.ts)
            kept = self._how(ops)
            if len(ops) == 0:
                return ops
        zero, same = int(np.count_nonzero(kept == _ZERO)), int(np.count_nonzero(kept == _SAME))
        self._ledger.count("dedup.zero_pages", zero)
        self._ledger.count("dedup.same_filled_pages", same)
        if self._elided_live == zero == same == 0:
            return ops
        at = self._touched(ops, kept)
        if len(at) == 0:
            return ops
        was = ops.before(kept, self._latest, at)
        was[ops.new[at]] = _STORED
        now, out, free = kept[at], ops.op[at] == Op.OUT, ops.op[at] == Op.FREE
        elided, gone = now != _STORED, was != _STORED
        here = np.where(out, now, was)
        ops.backing[at] = np.where(here != _STORED, _BACKING[here], ops.backing[at])
        ends = out & ~ops.new[at] & elided & ~gone
        ops.drop[at] = np.where(ends, ops.block[at], np.where(free & gone, np.int32(NOTHING), ops.drop[at]))
        ops.store[at] &= ~elided
        ops.fetch[at] &= ~gone
        ops.inplace[at] &= ~(elided | gone)
        self._elided_live += int(np.count_nonzero(elided)) - int(np.count_nonzero((out | free) & gone))
        sets = out | free  # a handle is used again: nothing of the object that ended may stay
        self._latest[ops.handle[at[sets]]] = np.where(out, now, np.uint8(_STORED))[sets]
        return ops

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield how many pages were elided."""
        for name in ("dedup.zero_pages", "dedup.same_filled_pages"):
            yield name, self._ledger.counts[name]
        if self._mapped is not None:
            yield from self._mapped.figures()

    def account(self) -> Account:
        """Elided pages go no further; those that are mapped have no entry."""
        counts, mapped = self._ledger.counts, self._ledger.gauges.get("zero.mapped", Gauge())
        return Account(counts["dedup.zero_pages"] + counts["dedup.same_filled_pages"], entryless=mapped.now)

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """Each page that is swapped out is checked."""
        if op != Op.OUT:
            return ()
        return ("zero_accept_ns",) if backing in (Backing.ZERO, Backing.SAME) else ("zero_reject_ns",)

    def _touched(self, ops: Ops, kept: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the ops on objects that are elided before or in this batch: few, in most traces."""
        self._latest = grown(self._latest, int(ops.handle.max()) + 1, _STORED)
        marked = ops.handle[np.flatnonzero(kept != _STORED)]
        self._latest[marked] |= np.uint8(_MARK)
        touched = np.flatnonzero(self._latest[ops.handle] != _STORED)
        self._latest[marked] &= np.uint8(_MARK - 1)
        return touched

    def _how(self, ops: Ops) -> NDArray[np.uint8]:
        """Return for each op how it keeps its page; ops other than writeouts count as stored."""
        fill, known = ops.columns["fill"], ops.columns["has_fill"]
        zero = (known & (fill == 0)) | (ops.columns["backend"] == Backend.ZERO)
        kept: NDArray[np.uint8] = (zero & ops.store).astype(np.uint8)
        if self._same:
            kept[known & ~zero & ops.store] = _SAME
        return kept
