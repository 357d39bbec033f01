"""What the two forms of :mod:`swaptrace.kernels.merging` share: their result, and their state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.order import indices
from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown
from swaptrace.model.ops import Ops

__all__ = ["NO_GIVE", "NO_NODE", "Merged", "Merging"]

NO_GIVE = 255
NO_NODE = -1


@dataclass(frozen=True, slots=True)
class Merged:
    """What n ops became; one entry per op of the input."""

    op: Bytes
    handle: Ints32
    """The entry that the op is on."""
    new: Bools
    give: Bytes
    """PUT or FREE of the entry that the object leaves before its writeout, NO_GIVE if it leaves none."""
    given: Ints32
    merged: Ints8
    """Change of the number of objects that share another's entry."""
    stable: Ints8
    """Change of the number of merged contents."""
    changed: Bools
    """The op is not what it was, but for its handle."""

    @classmethod
    def unchanged(cls, op: Bytes, new: Bools) -> Merged:
        """Return what ops become that stay what they are; their entries are to be filled in."""
        n = len(op)
        give, given, handle = np.full(n, NO_GIVE, np.uint8), np.empty(n, np.int32), np.empty(n, np.int32)
        merged, stable, changed = np.zeros(n, np.int8), np.zeros(n, np.int8), np.zeros(n, np.bool_)
        return cls(op.copy(), handle, new.copy(), give, given, merged, stable, changed)

    def put(self, rows: Ints, other: Merged) -> None:
        """Overwrite ``rows`` with what they became in ``other``."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)


class Merging(ABC):
    """Entries and their owners, carried from batch to batch."""

    def __init__(self, lag: int) -> None:
        """``lag`` in ns."""
        self._lag = lag
        self._nodes = RefCounts()  # by content number: 1 if later copies have an entry to merge with
        self._node_of: Ints32 = np.full(len(self._nodes.count), NO_NODE, np.int32)  # by content number: that entry
        self._entry_of: Ints32 = np.full(0, -1, np.int32)  # by handle
        self._faulted = np.zeros(0, np.uint8)  # by handle: read since its latest writeout
        self._refs: Ints32 = np.zeros(0, np.int32)  # by entry, as all below
        self._content: Ints32 = np.full(0, NO_NODE, np.int32)  # whose node it is
        self._since: Ints = np.zeros(0, np.int64)
        self._stable = np.zeros(0, np.uint8)  # 1 merged, 2 and read since its latest writeout
        self._spare: Ints32 = np.empty(0, np.int32)
        self._given_out = 0

    @abstractmethod
    def feed(self, ops: Ops) -> Merged:
        """Run ops in order; needs the columns ``hash`` and ``has_hash``, and changes nothing in ``ops``."""

    def _contents(self, ops: Ops) -> Ints32:
        """Make room for a batch; return for each op the number of the content that it writes out, -1 without one."""
        handles, entries = int(ops.handle.max()) + 1, self._given_out + len(ops)
        self._entry_of, self._faulted = grown(self._entry_of, handles, -1), grown(self._faulted, handles, 0)
        self._refs, self._content = grown(self._refs, entries, 0), grown(self._content, entries, NO_NODE)
        self._since, self._stable = grown(self._since, entries, 0), grown(self._stable, entries, 0)
        at = indices(ops.columns["has_hash"] & ops.store)
        number, moved = self._nodes.number(ops.columns["hash"][at])
        if moved is not None:
            nodes = np.flatnonzero(self._content >= 0)
            self._content[nodes] = moved[self._content[nodes]]
            self._node_of = np.full(len(self._nodes.count), NO_NODE, np.int32)
            self._node_of[self._content[nodes]] = nodes
        contents = np.full(len(ops), -1, np.int32)
        contents[at] = number
        return contents
