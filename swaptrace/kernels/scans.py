"""What a cluster allocator reads on its way to a free slot: lines of a table of slots, and whose the slots are.

Rule. An allocation passes over slots in use (rule of :mod:`swaptrace.kernels.clusters`) and looks each of them up in a
table with one entry per slot, of which several share a cache line. Its *lines* are the distinct ones of the slots that
it passes over, without that of the slot which it takes. A slot's owner is the block that took it last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.clusters import Passed, PhysicalClusters
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16
from swaptrace.model.ops import Scan

__all__ = ["ENTRIES_PER_LINE", "ScannedClusters"]

ENTRIES_PER_LINE = 8  # entries of 8 bytes


@dataclass
class ScannedClusters:
    """A cluster allocator that tells what it passes over; ``owners`` asks for the blocks as well.

    ``entries_per_line`` is how many table entries share a cache line; a cluster begins a line.
    """

    clusters: PhysicalClusters
    owners: bool = False
    entries_per_line: int = ENTRIES_PER_LINE

    def __post_init__(self) -> None:
        self._owner: Ints32 = np.full(self.clusters.slots if self.owners else 0, -1, np.int32)  # by slot

    def feed(self, giving: Bools, block: Ints32, cpu: Words16) -> tuple[Ints, Ints8, Scan]:
        """Give back and take slots; see :meth:`PhysicalClusters.feed`. ``Scan.at`` are indices of these ops."""
        passed = Passed.room(len(block))
        slot, change = self.clusters.feed(giving, block, cpu, passed)
        at = np.flatnonzero((passed.before > 0) | (passed.tail >= 0))
        before, tail = passed.before[at].astype(np.int64), passed.tail[at]
        first = slot[at] - before
        cluster, per_line = self.clusters.cluster, self.entries_per_line
        device_end = self.clusters.ends[np.searchsorted(self.clusters.ends[:-1], tail, side="right")]
        end = np.minimum((tail // cluster + 1) * cluster, device_end)
        tail_slots = np.where(tail >= 0, end - tail, 0)
        lines = slot[at] // per_line - first // per_line
        # a search that ends where it began, in the same cluster, may meet the line of the slot taken again
        met = (slot[at] // per_line == tail // per_line) & (slot[at] // cluster == tail // cluster)
        lines += np.where(tail >= 0, (end - 1) // per_line - tail // per_line + 1 - met, 0)
        owners = None
        if self.owners:
            begins, lengths = (np.stack(pair, axis=1).ravel() for pair in ((tail, first), (tail_slots, before)))
            over = np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
            owners = self._owners(giving, block, slot, over, np.repeat(at, tail_slots + before))
        return slot, change, Scan(at, tail_slots + before, lines, owners)

    def _owners(self, giving: Bools, block: Ints32, slot: Ints, asked: Ints, when: Ints) -> Ints32:
        """Return whose the slots ``asked`` are at the ops ``when``; they are in use then."""
        taking = np.flatnonzero(~giving)
        bits = max(1, (len(giving) - 1).bit_length())
        takes = np.sort((slot[taking] << bits) | taking)
        place = np.searchsorted(takes, (asked << bits) | when) - 1
        latest = takes[np.maximum(place, 0)] if len(takes) else np.zeros(len(asked), np.int64)
        here = (place >= 0) & (latest >> bits == asked)
        found = np.where(here, block[np.where(here, latest & ((1 << bits) - 1), 0)], self._owner[asked])
        self._owner[slot[taking]] = block[taking]  # in time order: the last one stays
        return found
