"""The compressed pool with a content index: what ``dedup:scope=zswap`` makes of the stage zswap."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.order import indices
from swaptrace.kernels.pool import IN, IN_RAM, ON_DEVICE, OUT, POOLED, Limits
from swaptrace.kernels.reshape import behind, latest
from swaptrace.kernels.shared_pool import SharedFed, SharedRules, new_shared_pool
from swaptrace.kernels.tables import Bools, Bytes, Ints
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import NOTHING, Backing, Ops
from swaptrace.stages.dedup import Dedup

__all__ = ["SharedZswap"]

S = TypeVar("S", bound=np.generic)


class SharedZswap:
    """The pool, the index of the stage ``dedup`` inside it, and what both count.

    ``apart`` says that swap entries are physical slots: then no other entry can be pointed to the slot of one.
    """

    def __init__(self, limits: Limits, lru: bool, exclusive: bool, index: Dedup, apart: bool, ledger: Ledger) -> None:
        self._pool = new_shared_pool(limits, SharedRules(lru, exclusive, index.pins, apart))
        self._exclusive, self._apart = exclusive, apart
        self._index, self._ledger = index, ledger

    def feed(self, ops: Ops, code: Bytes, size: Ints, entry: int) -> tuple[Ops, Bools, Bools]:
        """Run the ops through the pool; return the new stream, and of the ops: whether it was a hit, whether the pool
        took it. ``entry`` is the bytes of metadata of a page in the pool.
        """
        hashed = ops.columns["has_hash"]
        self._index.owners.meet(ops.columns["memcg"][indices(ops.store)], self._pool.holders)
        fed = self._pool.feed(code, ops.handle, size, ops.ts, ops.columns["hash"], hashed)
        store, pooled = code == OUT, fed.found == POOLED
        taken = store & (fed.hit | (size >= 0))
        leaves = pooled & ((code != IN) | self._exclusive)
        self._annotate(ops, code, taken, fed)
        n, k = len(ops), len(fed.after)
        cause, leads = fed.after, fed.freed > 0
        if k:
            ops = behind(ops, cause, fed.owner, fed.moved, None if self._apart else ~leads)
            self._ledger.stream(ops.ts)
        elif not self._apart:
            ops.stored_at = latest(ops.store, ops.block)
        backs = cause + 1 + np.arange(k)
        rows = np.ones(n + k, np.bool_)
        rows[backs] = False

        def per_row(of_ops: NDArray[S], of_writebacks: NDArray[Any] | int) -> NDArray[S]:
            """Return the values of the new stream's rows."""
            if k == 0:
                return of_ops
            made = np.empty(n + k, of_ops.dtype)
            made[rows] = of_ops
            made[backs] = of_writebacks
            return made

        ledger, index = self._ledger, self._index
        ops.pooled = per_row(taken.view(np.int8) - leaves.view(np.int8), -1)
        blocks = per_row(fed.blocks, -leads.view(np.int8))
        ledger.hold(METADATA, blocks, entry)
        ledger.hold("zswap.pages", blocks)
        ledger.hold("zswap.pool_bytes", per_row(fed.change, -fed.freed))
        if index.pins:
            ledger.hold("zswap.pinned_bytes", per_row(fed.pinned, 0))
        for name, number in (
            ("zswap.stores", int(np.count_nonzero(taken & ~fed.hit))),
            ("zswap.rejects", int(np.count_nonzero(store & ~taken))),
            ("zswap.loads", int(np.count_nonzero(pooled & (code == IN)))),
            ("zswap.writebacks", int(np.count_nonzero(leads))),
            ("dedup.copied_pages" if self._apart else "dedup.repointed", int(np.count_nonzero(~leads))),
            ("zswap.absorbed_pages", fed.absorbed),
        ):
            ledger.count(name, number)
        takes, gives, hit = per_row(taken, 0), per_row(leaves, 1), per_row(fed.hit, 0)
        block, bytes_of, ends = per_row(fed.block, -1), per_row(size, 0), per_row(np.zeros(n, np.bool_), leads)
        index.count_pool(ops, takes, gives, hit, block, bytes_of, blocks, ends, fed)
        ledger.count("dedup.arrived", int(np.count_nonzero(store)))
        ledger.count("dedup.unhashed", int(np.count_nonzero(store & ~hashed)))
        return ops, fed.hit, taken

    def _annotate(self, ops: Ops, code: Bytes, taken: Bools, fed: SharedFed) -> None:
        """Leave to the stages below what is on the device, and say where the rest is."""
        store, below = code == OUT, fed.found == ON_DEVICE
        ops.store, ops.inplace, ops.fetch = store & ~taken, fed.inplace, (code == IN) & below
        ops.drop = np.where(fed.drop == NOTHING, fed.drop, ops.handle) if self._apart else fed.drop
        if not self._apart:
            ops.block = fed.block
        # an op that a stage above has taken (a writeout elided as a zero page) keeps its backing
        mine = ops.backing == Backing.PENDING
        ops.backing[mine & (taken | (~store & (fed.found == POOLED)))] = Backing.ZSWAP
        ops.backing[mine & fed.hit] = Backing.ZSWAP_SHARED
        ops.backing[mine & ~store & (fed.found == IN_RAM)] = Backing.CACHE
