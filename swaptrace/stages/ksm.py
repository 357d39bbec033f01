"""Pages of equal content are merged in RAM before they are swapped out, as KSM does: one entry, several owners.

Rule. Each content has at most one *node*: the entry of an object with that content, which later copies may join. A
writeout that finds no node of its content makes its own entry the node. A writeout is *merged* if its content's node
has been there for at least ``lag`` (the time that the scanner takes to come round) and is not its object's own entry,
held alone: nothing is written, one more page table entry shares the node's entry (DUP). Before that, an object that is
written out again leaves the entry that it had (PUT; FREE as its last owner), unless it holds it alone and is not
merged: then it is written over. Nodes end when their entry ends or is written over with other content; copies that
were not merged do not take their place. A writeout without a hash is never merged.

A free of a shared entry is a PUT, of the last owner a FREE. Merged pages are not shared any more once they are read
(``ksm_might_need_to_copy``): the first owner to read since the entry's latest writeout (DUPs are writeouts, too) reads
the device; another owner's first read since its own writeout is a *copy* of the page in the swap cache (HIT). Every
page after that is private, and merged at its next writeout by the same rule or not at all.

``lag=0s`` is an upper bound of what merging can save, ``lag=inf`` a lower one: nothing is merged. The stage is the
first of the path: pages are merged while they are in RAM, zero pages like any other (``use_zero_pages=0``). Merged
pages stand alone; the rule for the rest of a folio is that of :mod:`swaptrace.kernels.folios`.

Metadata: one ``ksm_rmap_item`` for each candidate, one ``ksm_stable_node`` for each content once merged, until its
entry ends or is written over with other content. Profit is that of Documentation/admin-guide/mm/ksm.rst: pages saved
times 4096 B less candidates times ``item``. The trace shows only pages that are swapped out: candidates in RAM, which
KSM pays for, too, are not seen, nor is what it saves there.

Sources: Documentation/admin-guide/mm/ksm.rst; mm/ksm.c; LWN 953141; proposed for swap by Kairui Song, linux-mm 2026
(docs/kernel-facts.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swaptrace.kernels.folios import Folios
from swaptrace.kernels.merging import NO_GIVE, Merged, new_merging
from swaptrace.kernels.reshape import renamed, reshaped
from swaptrace.kernels.tables import grown
from swaptrace.model.component import PAGE, Account, Layout, Space, Stage, count_param, time_param
from swaptrace.model.ledger import Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import Op, Ops

__all__ = ["Ksm"]

_NEVER = 1 << 62


class Ksm(Stage):
    """Merges equal pages after a scan lag."""

    name = "ksm"
    summary = "equal pages share one swap entry if the scanner had time to merge them"
    key_params = ("lag",)
    params = (
        time_param(
            "lag",
            "200s",
            "time from a copy's writeout until later ones merge with it; inf: never",
            ("inf", _NEVER),
            examples=("0s", "500ns", "3us", "inf"),
        ),
        count_param("item", "64", "bytes of a ksm_rmap_item, one for each candidate", examples=("0", "48")),
        count_param("node", "64", "bytes of a ksm_stable_node, one for each merged content", examples=("0", "48")),
    )
    requires = (Capability.HASH,)
    columns = ("hash",)
    assumptions = (
        "KSM is on for every process, and scans all pages once in lag: 200 s is the advisor's target scan time.",
        "Equal hashes are equal contents; n distinct contents collide with probability n^2 / 2^65.",
        "A page's content does not change between the scan and its writeout.",
        "Candidates are the pages swapped out; those in RAM are not seen.",
        "A merged page stays in the swap cache until its next writeout: other owners' reads are copies.",
    )
    references = ("Documentation/admin-guide/mm/ksm.rst", "LWN 953141")

    def __init__(self, lag: int, item: int, node: int) -> None:
        self._never = lag == _NEVER
        self._merging = new_merging(lag)
        self._folios = Folios()
        self._item, self._node = item, node

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger

    def feed(self, ops: Ops) -> Ops:
        """Retype and rename the ops on merged pages."""
        ledger = self._ledger
        ledger.hold("ksm.candidates", ops.lives)
        if self._item:
            ledger.hold("ksm.metadata_bytes", ops.lives, self._item)
        if self._never:
            return ops
        result = self._merging.feed(ops)
        ledger.hold("ksm.merged", result.merged)
        if self._node:
            ledger.hold("ksm.metadata_bytes", result.stable, self._node)
        ledger.count("ksm.merged_pages", int(np.count_nonzero(result.op == Op.DUP)))
        ledger.count("ksm.copies", int(np.count_nonzero((result.op == Op.HIT) & result.changed)))
        return self._below(ops, result)

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what was merged, and what that cost and gained."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        yield "ksm.merged_pages", counts["ksm.merged_pages"]
        yield "ksm.copies", counts["ksm.copies"]
        merged, candidates = (gauges.get(f"ksm.{name}", Gauge()) for name in ("merged", "candidates"))
        yield "ksm.merged_peak", merged.peak
        yield "ksm.metadata_bytes_peak", gauges.get("ksm.metadata_bytes", Gauge()).peak
        span = self._ledger.span
        yield "ksm.profit_bytes_avg", PAGE * merged.average(span) - self._item * candidates.average(span)

    def account(self) -> Account:
        """A merged page is written by the owner that was there first, and shares its entry."""
        merged = self._ledger.gauges.get("ksm.merged", Gauge())
        return Account(self._ledger.counts["ksm.merged_pages"], entryless=merged.now)

    def _below(self, ops: Ops, result: Merged) -> Ops:
        """Return the stream of the entries: an object that leaves one entry for another is two ops."""
        n = len(ops)
        sub = self._folios.feed(ops, result.changed & (result.op != Op.OUT))
        gives = result.give != NO_GIVE
        unlike = np.zeros(int(result.handle.max()) + 1, np.bool_)  # by entry: some op on it is not what it was
        unlike[result.handle[result.changed]] = True
        if not gives.any():
            below = renamed(ops, result.op, result.handle, result.new, unlike[result.handle])
            if sub is not None:
                below.sub = sub
            return below
        source = np.repeat(np.arange(n), 1 + gives)
        giving = np.append(source[1:] == source[:-1], False)
        op = np.where(giving, result.give[source], result.op[source])
        handle = np.where(giving, result.given[source], result.handle[source])
        unlike = grown(unlike, int(handle.max()) + 1, False)
        unlike[result.given[gives]] = unlike[result.handle[gives]] = True
        below = reshaped(ops, source, op, handle, result.new[source] & ~giving, unlike[handle])
        below.sub = np.where(giving, np.uint16(0), (ops.sub if sub is None else sub)[source])
        return below
