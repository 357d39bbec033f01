"""Who lives at one moment of a replay, and where its data is: what a swapoff at that moment would find.

Rule. An entry lives from the OUT that begins its object to the FREE that ends it. Its data is where its latest OUT put
it: elided (zero, same-filled), or in a *block*, its own or one that it shares. A block is where the latest op that
stored it left it (the backing of an OUT that is no hit, or of a WRITEBACK); one in a RAM buffer is on the disk from the
next write of it to the device on, which may be in the op that stored it. A read that took the page out of a compressed
pool left it in the swap cache alone: nothing holds its data below until the next OUT. The swap cache may still have the
page of an entry whose latest op is a read or a hit: a clean page that was reclaimed since then shows in no event. An
entry has one page table entry, one more for each DUP, one less for each PUT. Its memory cgroup is that of its latest
OUT. Under a layout that has both kinds of entries, it is a slot of the device or virtual as its ops say
(``ops.mapped``).

The tables are indexed by handle and by block: their size is bounded by live state. Of several ops on one thing in a
batch the last wins, which is what numpy's assignment to repeated indices does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.tables import grown
from swaptrace.model.ops import CARRIED, Backing, Op, Ops
from swaptrace.replay.moment import Moment

__all__ = ["Census", "Standing"]

_DEAD, _IN_BLOCK = 255, 254  # besides the backings of pages that are in no block


@dataclass(frozen=True)
class Standing:
    """One row per live entry: where its data is, in which block (meaningless where it is in none), how many page table
    entries it has, whether the swap cache may have its page, and whether it is a slot of the device (``mapped``; None
    where all entries are of one kind)."""

    backing: NDArray[np.uint8]
    block: NDArray[np.int32]
    ptes: NDArray[np.int32]
    cached: NDArray[np.bool_]
    mapped: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.backing)


class Census:
    """Follows the stream that the stages leave, up to and including its moment."""

    def __init__(self, moment: Moment) -> None:
        self._until, self._of = moment.ts, moment.memcg
        self._held = np.full(0, _DEAD, np.uint8)  # by handle, as the three below
        self._cached = np.zeros(0, np.bool_)
        self._block = np.zeros(0, np.int32)
        self._ptes = np.zeros(0, np.int32)
        self._birth = np.zeros(0, np.int32)
        self._memcg = np.zeros(0, np.uint64)
        self._mapped: NDArray[np.bool_] | None = None
        self._place = np.full(0, Backing.PENDING, np.uint8)  # by block
        self._buffers = False

    def feed(self, ops: Ops) -> None:
        """Follow one batch, which lies on one side of the moment."""
        if int(ops.ts[-1]) > self._until:
            return
        self._grow(int(ops.handle.max()) + 1)
        op, handle = ops.op, ops.handle
        out = op == Op.OUT
        outs = np.flatnonzero(out)
        elided = (ops.backing == Backing.ZERO) | (ops.backing == Backing.SAME)
        held = np.where(elided, ops.backing, np.uint8(_IN_BLOCK))
        held[op == Op.FREE] = _DEAD
        moves = out | (op == Op.FREE)
        if ops.pooled is not None:
            loaded = (op == Op.IN) & (ops.pooled < 0)
            held[loaded] = Backing.CACHE
            moves |= loaded
        at = np.flatnonzero(moves)
        self._held[handle[at]] = held[at]
        self._block[handle[outs]] = ops.block[outs]
        seen = np.flatnonzero(op <= Op.HIT)
        self._cached[handle[seen]] = ((op == Op.IN) | (op == Op.HIT))[seen]
        if self._of is not None:
            self._memcg[handle[outs]] = ops.columns["memcg"][outs]
        if ops.mapped is not None:
            mapped = np.zeros(0, np.bool_) if self._mapped is None else self._mapped
            self._mapped = grown(mapped, len(self._held), False)
            self._mapped[handle[outs]] = ops.mapped[outs]
        self._count_ptes(ops)
        stores = ((out & ~elided) | (op == Op.WRITEBACK)) & (ops.backing != Backing.SHARED)
        self._follow_blocks(ops, np.flatnonzero(stores))

    def standing(self) -> Standing:
        """Return the entries that live now, of the cgroup asked for."""
        living = self._held != _DEAD
        if self._of is not None:
            living &= self._memcg == self._of
        at = np.flatnonzero(living)
        held, block = self._held[at], self._block[at]
        inside = held == _IN_BLOCK
        held[inside] = self._place[block[inside]]
        mapped = None if self._mapped is None else self._mapped[at]
        return Standing(held, block, self._ptes[at], self._cached[at], mapped)

    def _grow(self, size: int) -> None:
        self._held = grown(self._held, size, _DEAD)
        self._cached = grown(self._cached, size, 0)
        self._block = grown(self._block, size, 0)
        self._ptes = grown(self._ptes, size, 0)
        self._birth = grown(self._birth, size, 0)
        if self._of is not None:
            self._memcg = grown(self._memcg, size, 0)

    def _count_ptes(self, ops: Ops) -> None:
        born = np.flatnonzero(ops.new)
        self._ptes[ops.handle[born]] = 1
        shared = np.flatnonzero((ops.op == Op.DUP) | (ops.op == Op.PUT))
        if len(shared) == 0:
            return
        mine = ops.handle[shared]
        self._birth[mine] = CARRIED
        self._birth[ops.handle[born]] = born
        last = ops.birth[shared] == self._birth[mine]  # of the life that the handle has after the batch
        step = np.where(ops.op[shared] == Op.DUP, np.int32(1), np.int32(-1))
        np.add.at(self._ptes, mine[last], step[last])

    def _follow_blocks(self, ops: Ops, stores: NDArray[np.int64]) -> None:
        block, place = ops.block[stores], ops.backing[stores]
        place[place == Backing.ZSWAP_SHARED] = Backing.ZSWAP
        if ops.placement is not None and ops.placement.buffered is not None:  # a writeback waits there like a writeout
            place[ops.op[stores] == Op.WRITEBACK] = Backing.BUFFER
        self._buffers |= bool((place == Backing.BUFFER).any())
        writes = ops.writes
        if self._buffers and writes is not None:  # an op stores before it writes the buffer out
            real = np.flatnonzero(writes.block >= 0)  # the rest is padding
            behind = 1 if writes.early is None else 1 - 2 * writes.early[real].view(np.int8)
            order = np.argsort(np.concatenate([2 * stores, 2 * writes.at[real] + behind]), kind="stable")
            block = np.concatenate([block, writes.block[real]])[order]
            place = np.concatenate([place, np.full(len(real), Backing.DISK, np.uint8)])[order]
        if len(block):
            self._place = grown(self._place, int(block.max()) + 1, Backing.PENDING)
            self._place[block] = place
