"""What swapoff and its relatives would have to do at one moment, as vectors of exact counts; no prices.

Over the entries that live at that moment (replay/census.py): u of them with m page table entries, p distinct blocks
on the device, q in a compressed pool. One vector per operation:

* ``physical``, entries that are slots of the device (all of a direct layout): the kernel walks the page tables of all
  processes with swapped pages and brings every entry of the area back, whether its data is on the device, in a pool,
  in a buffer or nowhere (zero pages): scans the span of the page tables, updates m, u entries, reads p, decompresses
  q; nothing is left. Entries that share a block are copied: one page for each but the first.
* ``physical``, virtual entries: p slots in use, found through the reverse map; no page table is touched. p reads; the
  virtual entries stay, backed by pages in memory, each page table entry costs a minor fault later. A layout without a
  reverse map looks at all its virtual entries instead of the p slots. A layout with both kinds of entries does both:
  it walks the page tables for those that are slots.
* ``lazy``, layouts with entries that are slots: the data is read into the swap cache and the walk is left out. The
  entries stay.
* ``virtual``, layouts whose virtual space can be disabled: the walk of direct layouts over the virtual entries; those
  that are slots stay as they are.
* ``pull_in``, with one memory cgroup asked for: that walk over this cgroup; layouts that have the walk.
* ``drop_cache``: drop the swap-cache pages of entries whose data is stored below; entries and data stay.
* ``drop_data``: write what a compressed pool holds to the device; entries stay, on the device.

With a memory cgroup asked for, every vector counts the entries of that cgroup alone.
Sources: mm/swapfile.c try_to_unuse; Kairui Song and Nhat Pham, linux-mm 2026-04 (swapoff of the virtual space).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import Layout
from swaptrace.model.ops import Backing
from swaptrace.replay.census import Standing

__all__ = ["swapoff_figures"]


def swapoff_figures(
    layout: Layout, standing: Standing, span: int | None, of_memcg: bool
) -> Iterator[tuple[str, float]]:
    """Yield name and value of each figure; work that an operation never does has none.

    ``span`` is None where nobody recorded the page tables: then ``ptes_scanned`` of operations that walk them is
    absent, too.
    """
    for operation, vector in _vectors(layout, standing, of_memcg):
        for part, value in vector.items():
            if value is not _SPAN:
                yield f"swapoff.{operation}.{part}", value
            elif span is not None:
                yield f"swapoff.{operation}.{part}", span


_SPAN = None  # in a vector: the span of the page tables
_Vector = dict[str, int | None]
_NO_WALK = {"ptes_scanned": 0, "ptes_updated": 0}


def _vectors(layout: Layout, standing: Standing, of_memcg: bool) -> Iterator[tuple[str, _Vector]]:
    everything = np.ones(len(standing), np.bool_)
    of_one_kind = everything if layout.direct else ~everything
    slots = of_one_kind if standing.mapped is None else standing.mapped
    on_device = (standing.backing == Backing.DISK) | (standing.backing == Backing.RAM)
    pooled = standing.backing == Backing.ZSWAP
    nowhere = (Backing.ZERO, Backing.SAME, Backing.CACHE)
    stored = ~np.isin(standing.backing, nowhere)
    behind = on_device & ~slots  # virtual entries that the device backs
    found = int(np.count_nonzero(slots))
    found += _distinct(standing.block[behind]) if layout.reverse_map else len(standing) - found
    fetch = _fetches(standing, slots | behind)
    if layout.direct or layout.mixed:
        yield "physical", {**_walk(standing, slots), "entries": found, **fetch, **_left(standing, behind)}
        yield "lazy", {**_NO_WALK, "entries": found, **fetch, **_left(standing, slots | behind)}
    else:
        yield "physical", {**_NO_WALK, "entries": found, **fetch, **_left(standing, behind)}
    if layout.virtual_swapoff:
        yield "virtual", _brought_back(standing, ~slots)
    if of_memcg and (layout.direct or layout.virtual_swapoff):
        yield "pull_in", _brought_back(standing, everything)
    cached = standing.cached & stored
    yield "drop_cache", {"entries": int(np.count_nonzero(cached)), **_left(standing, cached)}
    out = _distinct(standing.block[pooled])
    written = {"pages_decompressed": out, "pages_written": out}
    yield "drop_data", {"entries": int(np.count_nonzero(pooled)), **written, **_left(standing, pooled)}


def _walk(standing: Standing, which: NDArray[np.bool_]) -> _Vector:
    """Return the walk of all page tables that brings back the entries ``which``."""
    return {"ptes_scanned": _SPAN, "ptes_updated": int(standing.ptes[which].sum())}


def _brought_back(standing: Standing, which: NDArray[np.bool_]) -> _Vector:
    """Return the work of a walk that leaves nothing of the entries ``which``."""
    work = {"entries": int(np.count_nonzero(which)), **_fetches(standing, which), **_left(standing, which & ~which)}
    return {**_walk(standing, which), **work}


def _fetches(standing: Standing, which: NDArray[np.bool_]) -> dict[str, int]:
    """Return what it takes to bring the pages of the entries ``which`` into memory, one page for each."""
    device = which & ((standing.backing == Backing.DISK) | (standing.backing == Backing.RAM))
    pool, buffer = which & (standing.backing == Backing.ZSWAP), which & (standing.backing == Backing.BUFFER)
    stored = device | pool | buffer
    return {
        "pages_read": _distinct(standing.block[device]),
        "pages_decompressed": _distinct(standing.block[pool]),
        "pages_copied": int(np.count_nonzero(stored)) - _distinct(standing.block[stored]),
    }


def _left(standing: Standing, which: NDArray[np.bool_]) -> dict[str, int]:
    return {"left_entries": int(np.count_nonzero(which)), "left_faults": int(standing.ptes[which].sum())}


def _distinct(block: NDArray[np.int32]) -> int:
    return len(np.unique(block))
