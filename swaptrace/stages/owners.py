"""Which memory cgroups hold a content: hits that cross them, and what each of them is charged for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.order import in_order
from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Ints, Ints32, grown
from swaptrace.model.ops import Op, Ops
from swaptrace.stages.charging import Charging

__all__ = ["Owners"]

_MIX = np.uint64(0xBF58476D1CE4E5B9)
_GIVE, _TAKE = -1, 1


class Owners:
    """References of objects to blocks, each owned by the memory cgroup that wrote the object.

    While a trace shows one memory cgroup only there is nothing to count, and nothing is followed; what objects hold
    when a second one appears is entered then. Charges, if they are kept, are followed from the beginning on.
    """

    def __init__(self, charges: bool) -> None:
        self._pairs = RefCounts()  # references by (block, memcg)
        self._block: Ints32 = np.full(0, -1, np.int32)  # by handle: what its reference is to
        self._memcg: NDArray[np.uint64] = np.zeros(0, np.uint64)  # by handle: who owns it
        self._charging = Charging() if charges else None
        self._only: int | None = None
        self._following = charges

    def meet(self, memcg: NDArray[Any], holders: Callable[[], tuple[Ints, Ints32]]) -> None:
        """See who takes references in the next batch; ``holders`` gives the handles of objects that have one, and the
        blocks that these are to.
        """
        if self._following or len(memcg) == 0:
            return
        low, high = int(memcg.min()), int(memcg.max())
        if self._only is None:
            self._only = low
        if low == high == self._only:
            return
        self._following = True
        handles, blocks = holders()
        self._grow(int(handles.max(initial=-1)) + 1)
        self._block[handles], self._memcg[handles] = blocks, self._only
        number, _ = self._pairs.number(_pair_key(blocks, self._memcg[handles]))
        self._pairs.change(number, np.ones(len(number), np.int8))

    def _grow(self, size: int) -> None:
        self._block, self._memcg = grown(self._block, size, -1), grown(self._memcg, size, 0)

    def feed(
        self, ops: Ops, takes: Bools, gives: Bools, block: Ints32, size: Ints, hit: Bools, over: Bools, ends: Bools
    ) -> int:
        """Follow one batch; return how many of its hits are on a block that no object of the same cgroup holds.

        Args:
            ops: the batch, with the column memcg.
            takes, gives: bool[n], ops whose object takes a reference, gives back the one that it has.
            block: int32[n], what is taken.
            size: int64[n], the bytes of what is taken, looked at where nobody holds it yet.
            hit: bool[n], takes of a block that is held already.
            over: bool[n], takes of a new content in the block that is given back.
            ends: bool[n], writebacks that take a block from all its owners at once; those of the others follow.
        """
        if not self._following:
            return 0
        self._grow(int(ops.handle.max(initial=-1)) + 1)
        taking, giving = np.flatnonzero(takes), np.flatnonzero(gives)
        memcg = ops.columns["memcg"]
        old, owner = np.full(len(ops), -1, np.int32), np.zeros(len(ops), np.uint64)
        old[giving] = ops.before(block, self._block, giving)
        owner[giving] = ops.before(memcg, self._memcg, giving)
        self._block[ops.handle[taking]] = block[taking]  # in time order: the last one of an object stays
        self._memcg[ops.handle[taking]] = memcg[taking]

        at, late = in_order(takes, gives)  # in an op, take first: a block that it takes again is held all the time
        number, _ = self._pairs.number(
            _pair_key(np.where(late, old[at], block[at]), np.where(late, owner[at], memcg[at]))
        )
        refs = self._pairs.change(number, np.where(late, np.int8(_GIVE), np.int8(_TAKE)))
        first = at[refs.order[refs.before == 0]]  # takes of a block that its cgroup has no other reference to
        crossing = int(np.count_nonzero(hit[first]))
        if self._charging is not None:
            # what an op gives back goes first here, but for the block that it takes again
            again = takes[giving] & ~over[giving] & (old[giving] == block[giving])
            order = np.argsort(np.concatenate([3 * taking + 1, 3 * giving + 2 * again]), kind="stable")
            at = np.concatenate([taking, giving])[order]
            which = np.concatenate([block[taking], old[giving]])[order].astype(np.int64)
            who = np.concatenate([memcg[taking], owner[giving]])[order].astype(np.uint64)
            by = np.repeat(np.array([_TAKE, _GIVE]), [len(taking), len(giving)])[order]
            bytes_of = np.append(size[taking], np.zeros(len(giving), np.int64))[order]
            charged = np.flatnonzero((ops.op[at] != Op.WRITEBACK) | ends[at])
            change = np.where(ends[at], 0, by)
            self._charging.feed(which[charged], who[charged], change[charged], bytes_of[charged])
        return crossing

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield the charges, if they are kept."""
        if self._charging is not None:
            yield from self._charging.figures()


def _pair_key(block: NDArray[Any], memcg: NDArray[Any]) -> NDArray[np.uint64]:
    """Return one number for a block and a cgroup; those of two pairs are equal as rarely as two 64-bit hashes."""
    return block.astype(np.uint64) ^ (memcg.astype(np.uint64) * _MIX)
