"""What a cluster allocator reads on its way to a free slot: lines of a table of slots, and whose the slots are.

Rule. An allocation passes over slots in use (rule of :mod:`swaptrace.kernels.clusters`) and looks each of them up in a
table with one entry per slot, of which several share a cache line. Its *lines* are the distinct ones of the slots that
it passes over, without that of the slot which it takes. A slot's owner is the swap entry for which it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swaptrace.kernels.clusters import Passed, PhysicalClusters
from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.order import indices
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, readable, scalars
from swaptrace.model.ops import Scan

__all__ = ["ENTRIES_PER_LINE", "ScannedClusters"]

ENTRIES_PER_LINE = 8  # entries of 8 bytes


@dataclass
class ScannedClusters:
    """A cluster allocator that tells what it passes over; ``owners`` asks for the owners as well.

    ``entries_per_line`` is how many table entries share a cache line; a cluster begins a line.
    """

    clusters: PhysicalClusters
    owners: bool = False
    entries_per_line: int = ENTRIES_PER_LINE

    def __post_init__(self) -> None:
        self._owner: Ints = np.full(self.clusters.slots if self.owners else 0, -1, np.int64)  # by slot

    def feed(self, giving: Bools, unit: Ints32, cpu: Words16, owner: Ints | None = None) -> tuple[Ints, Ints8, Scan]:
        """Give back and take slots; see :meth:`PhysicalClusters.feed`. ``owner`` int64[n]: for whom an op takes one.

        ``Scan.at`` are indices of these ops.
        """
        passed = Passed.room(len(unit))
        slot, change = self.clusters.feed(giving, unit, cpu, passed)
        begun = np.flatnonzero(passed.tail >= 0)  # few: once in a cluster
        scans = passed.before > 0
        scans[begun] = True
        at = indices(scans)
        taken, before = slot[at], passed.before[at].astype(np.int64)
        first = taken - before
        lines = taken // self.entries_per_line - first // self.entries_per_line
        tail, tail_slots = np.full(len(at), -1, np.int64), np.zeros(len(at), np.int64)
        which = np.searchsorted(at, begun)
        tail[which] = passed.tail[begun]
        tail_slots[which], more = self._tails(passed.tail[begun], slot[begun])
        lines[which] += more
        found = None
        if owner is not None:
            find = _find_in_loop if engine_name() == "numba" else _find_in_searches
            found = find(giving, slot, owner, self._owner, at, tail, tail_slots, first, before)
        return slot, change, Scan(at, tail_slots + before, lines, found)

    def _tails(self, tail: Ints, slot: Ints) -> tuple[Ints, Ints]:
        """Return how many slots lie from ``tail`` to the end of its cluster; their lines, without that of ``slot``."""
        cluster, per_line = self.clusters.cluster, self.entries_per_line
        device_end = self.clusters.ends[np.searchsorted(self.clusters.ends[:-1], tail, side="right")]
        end = np.minimum((tail // cluster + 1) * cluster, device_end)
        # a search that ends where it began, in the same cluster, may meet the line of the slot taken again
        met = (slot // per_line == tail // per_line) & (slot // cluster == tail // cluster)
        return end - tail, (end - 1) // per_line - tail // per_line + 1 - met


def _find_in_searches(
    giving: Bools, slot: Ints, owner: Ints, owner_of: Ints, at: Ints, tail: Ints, tail_slots: Ints, first: Ints,
    before: Ints,
) -> Ints:  # fmt: skip
    """Return the owners of the slots that the ops ``at`` pass over, and note the new ones in ``owner_of``.

    Takes that follow one another pass over most of a cluster together, as each begins to look behind the slot of the
    one before: what lies between is copied in one piece, and the slots taken are left out afterwards.
    """
    taking = np.flatnonzero(~giving)
    taken, whose, passing = slot[taking], owner[taking], np.searchsorted(taking, at)
    begin, tail_of = taken.copy(), np.zeros((2, len(taken)), np.int64)
    begin[passing], tail_of[:, passing] = first, (tail, tail_slots)
    begins = np.append(-2, taken[:-1]) + 1 != begin
    begins[passing[tail_slots > 0]] = True

    starts = np.flatnonzero(begins)  # by search, from here on
    takes = np.diff(starts, append=len(taken))
    begin, (tail_begin, tails) = begin[starts], tail_of[:, starts]
    lengths = taken[starts + takes - 1] + 1 - begin
    some = (tails > 0) | (lengths > takes)
    lengths *= some  # who passes over nothing reads nothing
    ends = np.cumsum(tails + lengths)
    found = np.empty(int((tails + lengths).sum()), np.int64)
    parts = (starts, tail_begin, tails, begin, lengths, ends - lengths)
    table, out = scalars(owner_of), scalars(found)
    noted = 0
    for start, t, more, s, length, k in zip(*(part[some].tolist() for part in parts), strict=True):
        if start == noted + 1:  # where CPUs take turns
            table[taken[noted]] = whose[noted]
        else:
            owner_of[taken[noted:start]] = whose[noted:start]
        if more:
            out[k - more : k] = table[t : t + more]
        out[k : k + length] = table[s : s + length]
        noted = start
    owner_of[taken[noted:]] = whose[noted:]
    passed = np.ones(len(found), np.bool_)
    passed[(taken + np.repeat(ends - lengths - begin, takes))[np.repeat(some, takes)]] = False
    return found[passed]


def _find_in_loop(
    giving: Bools, slot: Ints, owner: Ints, owner_of: Ints,
    at: Ints, tail: Ints, tail_slots: Ints, first: Ints, before: Ints,
) -> Ints:  # fmt: skip
    """As :func:`_find_in_searches`."""
    found = np.empty(int((tail_slots + before).sum()), np.int64)
    _find(
        readable(giving, np.bool_), readable(slot, np.int64), readable(owner, np.int64),
        owner_of,
        readable(at, np.int64), readable(tail, np.int64), readable(tail_slots, np.int64), readable(first, np.int64),
        readable(before, np.int64), found,
    )  # fmt: skip
    return found


@loop
def _find(
    giving: Bools, slot: Ints, owner: Ints, owner_of: Ints, at: Ints, tail: Ints, tail_slots: Ints, first: Ints,
    before: Ints, found: Ints,
) -> Any:  # fmt: skip
    """Run the ops in order; return how many owners were found."""
    k = 0
    j = 0
    for i in range(len(giving)):
        if giving[i]:
            continue
        if j < len(at) and at[j] == i:
            for s in range(tail[j], tail[j] + tail_slots[j]):
                found[k] = owner_of[s]
                k += 1
            for s in range(first[j], first[j] + before[j]):
                found[k] = owner_of[s]
                k += 1
            j += 1
        owner_of[slot[i]] = owner[i]
    return k
