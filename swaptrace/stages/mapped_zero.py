"""Zero pages that never become swap: reclaim maps the shared zero page in their place.

Rule. A writeout of a zero page is *mapped*: it takes no swap entry, and the object does not exist below. If the object
had an entry (a page written out before with other content), that entry is freed at this op, each page on its own. While
an object is mapped, its reads, hits and its end vanish; a writeout with other content begins a new object below. All
other ops pass. A mapping ends with the object, or with its next writeout.

Of a folio some pages may be mapped and others not; the rule for those left is that of :mod:`swaptrace.kernels.folios`.

Costs. One more rmap walk for each folio that has a mapped page, at its first one; one page table entry is replaced for
each page. A fault on a mapped page is a write: reads of the zero page do not fault. A trace tells faults (reads and
hits), but few recorders tell writes: the minor faults lie between the mappings with a fault that the trace marks as a
write, and the mappings with any fault. A second fault of one mapping is none: the first made the page private.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.folios import Folios
from swaptrace.kernels.reshape import latest, reshaped
from swaptrace.kernels.tables import grown
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Op, Ops

__all__ = ["MappedZero"]

_BELOW, _MAPPED, _FAULTED, _WRITTEN = 0, 1, 2, 4  # bits of an object's state; no mapping: it is below, or nowhere
_MARK = 128
_NAMES = ("mapped_pages", "rmap_walks", "minor_faults", "minor_faults_least")


class MappedZero:
    """Objects whose latest writeout was mapped, with state carried from batch to batch."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._state = np.zeros(0, np.uint8)  # by handle
        self._live = 0
        self._folios = Folios()
        self._walked = False  # that folio has a mapped page

    def feed(self, ops: Ops, zero: NDArray[np.bool_]) -> Ops:
        """Return what is left of a batch whose writeouts ``zero`` are of zero pages."""
        vanish, frees = np.zeros(len(ops), np.bool_), np.zeros(len(ops), np.bool_)
        new, moved = ops.new, np.zeros(len(ops), np.bool_)
        if self._live or zero.any():
            at = self._touched(ops, zero)
            moved[at] = True
            out = ops.op[at] == Op.OUT
            at_out = zero.astype(np.uint8)
            mapped = (ops.before(at_out, np.minimum(self._state, 1), at) == _MAPPED) & ~ops.new[at]
            now = zero[at]
            vanish[at] = np.where(out, now & (mapped | ops.new[at]), mapped)
            frees[at] = out & now & ~mapped & ~ops.new[at]
            new = ops.new.copy()
            new[at] |= out & mapped & ~now
            self._account(ops, at, mapped, now)
        elif self._walked:
            self._walks(ops, np.empty(0, np.int64))
        gone = vanish | frees
        sub = self._folios.feed(ops, gone)
        if not gone.any() and sub is None and new is ops.new:
            return ops
        kept = np.flatnonzero(~vanish)
        op = np.where(frees[kept], np.uint8(Op.FREE), ops.op[kept])
        below = reshaped(ops, kept, op, ops.handle[kept], new[kept] & ~frees[kept], moved[kept])
        if sub is not None:
            below.sub = sub[kept]
        return below

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what was mapped and what it cost."""
        for name in _NAMES:
            yield f"zero.{name}", self._ledger.counts[f"zero.{name}"]
        gauge = self._ledger.gauges.get("zero.mapped")
        yield "zero.mapped_peak", gauge.peak if gauge else 0
        yield "zero.mapped_end", gauge.now if gauge else 0

    def _touched(self, ops: Ops, zero: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the ops on objects that are mapped before or in this batch."""
        self._state = grown(self._state, int(ops.handle.max()) + 1, _BELOW)
        marked = ops.handle[zero]
        self._state[marked] |= np.uint8(_MARK)
        touched = np.flatnonzero(self._state[ops.handle] != _BELOW)
        self._state[marked] &= np.uint8(_MARK - 1)
        return touched

    def _account(self, ops: Ops, at: NDArray[np.int64], mapped: NDArray[np.bool_], now: NDArray[np.bool_]) -> None:
        """Count mappings and their faults, and follow the objects' states."""
        ledger, op, handle = self._ledger, ops.op[at], ops.handle[at]
        begins, ends = now, mapped & ((op == Op.OUT) | (op == Op.FREE))
        change = np.zeros(len(ops), np.int8)
        change[at] = begins.view(np.int8) - ends.view(np.int8)
        ledger.hold("zero.mapped", change)
        self._live += int(np.count_nonzero(begins)) - int(np.count_nonzero(ends))
        ledger.count("zero.mapped_pages", int(np.count_nonzero(begins)))
        ledger.count("zero.rmap_walks", self._walks(ops, at[now]))
        faults = mapped & ((op == Op.IN) | (op == Op.HIT))
        began = latest(begins, handle)  # the mapping that each op is of: its row here, or an earlier batch's
        bits = np.zeros(len(at), np.uint8)
        for name, bit, which in (
            ("zero.minor_faults", _FAULTED, faults),
            ("zero.minor_faults_least", _WRITTEN, faults & (ops.columns["write"][at] != 0)),
        ):
            seen = np.flatnonzero(which)
            earlier = began[seen] < 0
            old, here = np.unique(handle[seen[earlier]]), np.unique(began[seen[~earlier]])
            old = old[self._state[old] & bit == 0]
            self._state[old] |= np.uint8(bit)
            bits[here] |= np.uint8(bit)
            ledger.count(name, len(old) + len(here))
        decides = np.flatnonzero((op == Op.OUT) | (op == Op.FREE))
        state = np.where(now, bits | np.uint8(_MAPPED), np.uint8(_BELOW))
        self._state[handle[decides]] = state[decides]  # in time order: the last one of an object stays

    def _walks(self, ops: Ops, mapped: NDArray[np.int64]) -> int:
        """Return how many folios have a page among the writeouts ``mapped``, none counted twice over batches."""
        outs = np.flatnonzero(ops.op == Op.OUT)
        folio = np.cumsum(ops.sub[outs] == 0)
        place = np.zeros(len(ops), np.int64)
        place[outs] = folio
        found = np.unique(place[mapped])
        walks = len(found) - int(self._walked and len(found) > 0 and found[0] == 0)
        if len(outs):
            self._walked = bool(len(found) and found[-1] == folio[-1]) or (self._walked and folio[-1] == 0)
        return walks
