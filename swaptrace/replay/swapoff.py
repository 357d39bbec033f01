"""What swapoff and its relatives would have to do at one moment, as vectors of exact counts; no prices.

Over the entries that live at that moment (replay/census.py): u of them with m page table entries, p distinct blocks
on the device, q in a compressed pool. One vector per operation:

* ``physical``, direct layouts: the kernel walks the page tables of all processes with swapped pages and brings every
  entry of the area back, whether its data is on the device, in a pool, in a buffer or nowhere (zero pages): scans the
  span of the page tables, updates m, u entries, reads p, decompresses q; nothing is left. Entries that share a block
  are copied: one page for each but the first.
* ``physical``, virtual layouts: p slots in use, found through the reverse map; no page table is touched. p reads;
  the virtual entries stay, backed by pages in memory, each page table entry costs a minor fault later.
* ``lazy``, direct layouts only: the data is read into the swap cache and the walk is left out. u entries stay.
* ``virtual``, layouts whose virtual space can be disabled: the walk of direct layouts over the virtual entries.
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
    on_device = (standing.backing == Backing.DISK) | (standing.backing == Backing.RAM)
    pooled = standing.backing == Backing.ZSWAP
    stored = (standing.backing != Backing.ZERO) & (standing.backing != Backing.SAME)
    fetch, ptes = _fetches(standing, everything), int(standing.ptes.sum())
    walk: _Vector = {"ptes_scanned": _SPAN, "ptes_updated": ptes, "entries": len(standing), **fetch}
    walk |= {"left_entries": 0, "left_faults": 0}
    if layout.direct:
        yield "physical", walk
        yield "lazy", {**_NO_WALK, "entries": len(standing), **fetch, **_left(standing, everything)}
    else:
        moved = _fetches(standing, on_device)
        yield "physical", {**_NO_WALK, "entries": moved["pages_read"], **moved, **_left(standing, on_device)}
    if layout.virtual_swapoff:
        yield "virtual", walk
    if of_memcg and (layout.direct or layout.virtual_swapoff):
        yield "pull_in", walk
    cached = standing.cached & stored
    yield "drop_cache", {"entries": int(np.count_nonzero(cached)), **_left(standing, cached)}
    out = _distinct(standing.block[pooled])
    written = {"pages_decompressed": out, "pages_written": out}
    yield "drop_data", {"entries": int(np.count_nonzero(pooled)), **written, **_left(standing, pooled)}


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
