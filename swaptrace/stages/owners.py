"""Which memory cgroups hold a content: hits that cross them, and what each of them is charged for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Ints, Ints32, grown
from swaptrace.model.ops import Op, Ops
from swaptrace.stages.charging import Charging

__all__ = ["Owners"]

_MIX = np.uint64(0xBF58476D1CE4E5B9)
_GIVE, _TAKE = -1, 1


class Owners:
    """References of objects to contents, each owned by the memory cgroup that wrote the object.

    ``charges`` says whether charges are kept, too: they cost an interpreted engine a few microseconds per reference.
    """

    def __init__(self, charges: bool) -> None:
        self._pairs = RefCounts()  # references by (content, memcg)
        self._content: Ints32 = np.full(0, -1, np.int32)  # by handle: what its reference is to
        self._memcg: NDArray[np.uint64] = np.zeros(0, np.uint64)  # by handle: who owns it
        self._charging = Charging() if charges else None

    def feed(
        self, ops: Ops, takes: Bools, gives: Bools, content: Ints32, size: Ints, hit: Bools, over: Bools, ends: Bools
    ) -> int:
        """Follow one batch; return how many of its hits are on content that no object of the same cgroup holds.

        Args:
            ops: the batch, with the column memcg.
            takes, gives: bool[n], ops whose object takes a reference, gives back the one that it has.
            content: int32[n], what is taken.
            size: int64[n], the bytes of what is taken, looked at where nobody holds it yet.
            hit: bool[n], takes of a content that is held already.
            over: bool[n], takes of a new content in the number of the one that is given back.
            ends: bool[n], writebacks that take a content from all its owners at once; those of the others follow.
        """
        most = int(ops.handle.max(initial=-1)) + 1
        self._content, self._memcg = grown(self._content, most, -1), grown(self._memcg, most, 0)
        taking, giving = np.flatnonzero(takes), np.flatnonzero(gives)
        memcg = ops.columns["memcg"]
        old, owner = ops.before(content, self._content, giving), ops.before(memcg, self._memcg, giving)
        self._content[ops.handle[taking]] = content[taking]  # in time order: the last one of an object stays
        self._memcg[ops.handle[taking]] = memcg[taking]
        if len(taking) + len(giving) == 0:
            return 0
        # what an op gives back goes first, but for the content that it takes again: that is held all the time
        again = takes[giving] & ~over[giving] & (old == content[giving])
        order = np.argsort(np.concatenate([3 * taking + 1, 3 * giving + 2 * again]), kind="stable")
        which = np.concatenate([content[taking], old])[order].astype(np.int64)
        who = np.concatenate([memcg[taking], owner]).astype(np.uint64)[order]
        by = np.repeat(np.array([_TAKE, _GIVE]), [len(taking), len(giving)])[order]
        number, _ = self._pairs.number(which.astype(np.uint64) ^ (who * _MIX))
        refs = self._pairs.change(number, by)
        first = np.zeros(len(by), np.bool_)  # of its cgroup, among the references to this content
        first[refs.order] = refs.before == 0
        hits = np.append(hit[taking], np.zeros(len(giving), np.bool_))[order]
        if self._charging is not None:
            bytes_of = np.append(size[taking], np.zeros(len(giving), np.int64))[order]
            at = np.concatenate([taking, giving])[order]
            charged = np.flatnonzero((ops.op[at] != Op.WRITEBACK) | ends[at])
            change = np.where(ends[at], 0, by)
            self._charging.feed(which[charged], who[charged], change[charged], bytes_of[charged])
        return int(np.count_nonzero(first & hits & (by == _TAKE)))

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield the charges, if they are kept."""
        if self._charging is not None:
            yield from self._charging.figures()
