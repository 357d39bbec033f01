"""Allocations and frees in chunks and runs, as the allocators do them without a compiler.

Swap works in batches: tens of allocations of one CPU follow one another, then tens of frees. Which allocation a free
takes back depends on the ops of its unit alone, so one sort per chunk tells it for all frees. What is left to do op by
op is little: a free appends its place to the list of its cluster, and a run of allocations takes lists, or their heads.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16

__all__ = ["FREES", "Chunk", "chunks"]

CHUNK = 1 << 14  # ops that are turned into Python objects at a time: few enough for the cache
FREES = -1  # what a run of frees has in the place of a CPU


@dataclass(frozen=True, slots=True)
class Chunk:
    """Ops that contradict neither one another nor what came before.

    Its *places* are those that it takes back from earlier chunks, and behind them those of its allocations, in order.
    """

    part: slice
    """Which of the ops these are."""
    frees: Bools
    units: Ints32
    on: Words16
    before: Ints
    """Places from earlier chunks that it frees."""
    source: Ints32
    """Of each free: the index of what it takes back among the places."""

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the length of each run of ops of one kind, and its CPU, or FREES."""
        lane = np.where(self.frees, np.int32(FREES), self.on)
        starts = np.append(0, np.flatnonzero(lane[1:] != lane[:-1]) + 1)
        return zip(np.diff(starts, append=len(lane)).tolist(), lane[starts].tolist(), strict=True)

    def finish(
        self, places: list[int], made: list[int], emptied: list[int], place: Ints, change: Ints8, place_of: Ints
    ) -> int:
        """Fill in ``place`` and ``change`` of each op, and the ``place_of`` each unit; return how many ops were done.

        ``places`` may end early: there was none for the next allocation. ``made`` are the indices of places whose
        allocation brought a cluster into use, ``emptied`` those of places whose free took one out of use.
        """
        allocations, freed, known = np.flatnonzero(~self.frees), np.flatnonzero(self.frees), len(self.before)
        taken, n = len(places) - known, len(self.frees)
        if taken < len(allocations):
            n = int(allocations[taken])
            allocations, freed = allocations[:taken], freed[: n - taken]
        made_now = np.frombuffer(array("q", places[known:]), np.int64)
        found, source = np.concatenate([self.before, made_now]), self.source[: len(freed)]
        place[allocations] = made_now
        place[freed] = found.take(source)
        change[allocations[np.array(made, np.int64) - known]] = 1
        if emptied:
            freed_at = np.empty(len(found), np.int64)
            freed_at[source] = freed
            change[freed_at[emptied]] = -1
        # Of several places of a unit the last one stays; a free leaves none.
        place_of[self.units[:n]] = np.where(self.frees[:n], -1, place[:n])
        return n


def chunks(frees: Bools, units: Ints32, on: Words16, place_of: Ints, most: int = CHUNK) -> Iterator[Chunk]:
    """Yield ops in chunks of ``most``, up to one that contradicts ``place_of``: what each unit holds, -1 if nothing.

    The caller finishes each chunk before it asks for the next.
    """
    n, start = len(units), 0
    while start < n:
        part = slice(start, min(start + most, n))
        sound, before, source = _match(frees[part], units[part], place_of)
        if start + sound < part.stop:
            n = start + sound  # nothing from the faulty op on
            continue
        yield Chunk(part, frees[part], units[part], on[part], before, source)
        start = part.stop


def _match(frees: Bools, units: Ints32, place_of: Ints) -> tuple[int, Ints, Ints32]:
    """Return how many ops come before the first faulty one, and ``before`` and ``source`` of the chunk."""
    n = len(units)
    bits = np.uint64(n.bit_length() + 1)
    low = np.arange(0, 2 * n, 2, dtype=np.uint32)
    low |= frees
    packed = units.astype(np.uint64)
    packed <<= bits
    packed |= low
    packed.sort()
    low = packed.astype(np.uint32)
    low &= np.uint32((1 << int(bits)) - 1)
    packed >>= bits
    free = (low & np.uint32(1)).astype(np.bool_)
    at = (low >> np.uint32(1)).astype(np.int64)
    first = np.ones(n, np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=first[1:])
    firsts = np.flatnonzero(first)
    place = place_of[packed.view(np.int64)[firsts]]
    holds = np.empty(n, np.bool_)
    np.logical_not(free[:-1], out=holds[1:])
    holds[firsts] = place >= 0
    faulty = at[holds != free]
    freed_first = np.flatnonzero(free[firsts])
    before = place[freed_first]
    rank = np.cumsum(~frees, dtype=np.int32)
    rank += np.int32(len(before) - 1)
    source = np.empty(n, np.int32)
    source[at[1:]] = rank[at[:-1]]
    source[at[firsts[freed_first]]] = np.arange(len(before), dtype=np.int32)
    return int(faulty.min(initial=n)), before, source[frees]
