"""The index that forgets late over Python lists; the rule is at the head of :mod:`swaptrace.kernels.stale`."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.stale_state import StaleContents, StaleTaken
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.model.ops import CARRIED, NOTHING, Ops

__all__ = ["ListStale"]

_STORE, _KNOWN, _GIVE, _OVER = 1, 2, 4, 8  # of an op: stores, with a hash, gives back, may store in place
# What it did: hit, one of a stale content; stored what was not there, in place; gave back a block without a hash, a
# content that became stale; cleaned a block.
_HIT, _REVIVED, _BORN, _INPLACE, _LOST, _AGED, _CLEANED = (1 << bit for bit in range(7))
_NONE = -1


class ListStale(StaleContents):
    """State: the index as a dict, what objects hold and what blocks are as lists, stale blocks by age."""

    def __init__(self, ttl: int, capacity: int) -> None:
        """``ttl`` in ns."""
        super().__init__(ttl, capacity)
        self._index: dict[int, int] = {}  # from hash to block
        self._holds: list[int] = []  # by handle: block
        self._key_of: list[int] = []  # by block: its hash, if it has one
        self._refs: list[int] = []  # by block that has a hash
        self._stale: OrderedDict[int, int] = OrderedDict()  # from block to since when, the oldest first
        self._due = 0  # nothing is old enough to be cleaned before
        self._blocks = 0  # that there are now
        self._spare: list[int] = []

    def holders(self) -> tuple[Ints, Ints32]:
        """Return the handles of the objects that hold a block, and the blocks."""
        holds = np.array(self._holds, np.int32)
        handles = np.flatnonzero(holds != _NONE)
        return handles, holds[handles]

    def feed(self, ops: Ops) -> StaleTaken:
        """Run ops in order."""
        n = len(ops)
        self._holds += [_NONE] * (int(ops.handle.max()) + 1 - len(self._holds))
        gives, known = (ops.drop != NOTHING) | ops.inplace, ops.columns["has_hash"] & ops.store
        kind = ops.store * np.uint8(_STORE) | known * np.uint8(_KNOWN) | gives * np.uint8(_GIVE)
        kind |= ops.inplace * np.uint8(_OVER)
        at, earlier, later = (
            np.flatnonzero(kind),
            ops.fetch & (ops.prev < 0),
            np.flatnonzero(ops.fetch & (ops.prev >= 0)),
        )
        block, drop, did = np.full(n, _NONE, np.int32), np.full(n, NOTHING, np.int32), np.zeros(n, np.uint8)
        block[earlier] = [self._holds[h] for h in ops.handle[earlier].tolist()]
        block[at], did[at], dead, refs_max = self._walk(
            kind[at], ops.handle[at], ops.ts[at], ops.columns["hash"][known]
        )
        block[later] = block[ops.prev[later]]

        hit, revived, born, inplace, lost, aged, cleaned = (
            (did & what) != 0 for what in (_HIT, _REVIVED, _BORN, _INPLACE, _LOST, _AGED, _CLEANED)
        )
        drop[lost & ~inplace | cleaned] = dead
        self._spare += dead
        up, new, down, old, clean = (each.view(np.int8) for each in (revived, born, lost, aged, cleaned))
        unhashed = int(np.count_nonzero(ops.store)) - int(np.count_nonzero(known))
        stored_at = self._stored_at(ops, gives | ops.fetch, block, born)
        return StaleTaken(
            hit, block, drop, inplace, stored_at, up + new - down - old, unhashed, refs_max, revived, old - up - clean
        )

    def _stored_at(self, ops: Ops, asks: Bools, block: Ints32, born: Bools) -> Ints32:
        """Return which op of this batch stored the block that each op had before, from its latest writeout."""
        by_block = np.full(len(self._key_of), CARRIED, np.int32)
        stores = np.flatnonzero(born)
        by_block[block[stores]] = stores  # in time order: the last one of a block stays
        asked = np.flatnonzero(asks & (ops.prev >= 0))
        previous = ops.prev[asked]
        stored_at = np.full(len(ops), CARRIED, np.int32)
        # a block without a hash may have been stored again since, by its only owner
        stored_at[asked] = np.where(born[previous], previous, by_block[block[previous]])
        return stored_at

    def _walk(
        self, kind: Bytes, handle: Ints32, ts: Ints, key: NDArray[np.uint64]
    ) -> tuple[list[int], Bytes, list[int], int]:
        """Run the ops that store or give back; ``key`` has the hashes of those that store one.

        Returns:
            The block of each op after its store, else before it; what it did; the blocks that died; most references.
        """
        blocks: list[int] = []
        did = bytearray(len(kind))
        dead: list[int] = []
        index, holds, key_of, refs, stale, spare = (
            self._index, self._holds, self._key_of, self._refs, self._stale, self._spare
        )  # fmt: skip
        ttl, capacity, room, due, there = self._ttl, self._capacity, self.room, self._due, self._blocks
        most = min(1, len(key))
        keys = iter(key.tolist())
        for i, (what, h, now) in enumerate(zip(kind.tolist(), handle.tolist(), ts.tolist(), strict=True)):
            lower = holds[h]
            new = mine = _NONE
            done = 0
            if what & _KNOWN:
                new = next(keys)
                mine = index.get(new, _NONE)
                if mine >= 0:
                    done = _HIT
                    count = refs[mine] = refs[mine] + 1
                    most = max(most, count)
                    if count == 1:
                        done = _HIT | _REVIVED
                        del stale[mine]
            if what & _GIVE:
                if key_of[lower] < 0:
                    done |= _LOST
                else:
                    refs[lower] -= 1
                    if not refs[lower]:
                        done |= _AGED
                        if not stale:
                            due = now + ttl
                        stale[lower] = now
            if mine < 0 and what & _STORE:
                done |= _BORN
                if done & _LOST and what & _OVER:
                    done |= _INPLACE
                    mine = lower
                else:
                    there += 1
                    if spare:
                        mine = spare.pop()
                    else:
                        mine = len(key_of)
                        key_of.append(_NONE)
                        refs.append(0)
                key_of[mine] = new
                if new >= 0:
                    index[new] = mine
                    refs[mine] = 1
            holds[h] = mine
            blocks.append(lower if mine < 0 else mine)
            if done & _LOST:
                if not done & _INPLACE:
                    dead.append(lower)
                    there -= 1
            elif stale and (now >= due or len(stale) > capacity or there > room):
                oldest = next(iter(stale))
                due = stale[oldest] + ttl
                if now >= due or len(stale) > capacity or there > room:
                    done |= _CLEANED
                    del stale[oldest], index[key_of[oldest]]
                    dead.append(oldest)
                    there -= 1
            did[i] = done
        self._due, self._blocks = due, there
        return blocks, np.frombuffer(did, np.uint8), dead, most
