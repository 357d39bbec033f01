"""The tree of zswap beside a layout whose swap entries are physical slots: an xarray for each 64 MB of the device.

Rule. X is a walk of such an xarray: 16384 slots, always 3 nodes. Where the backing is zswap: + 1 X at a writeout
(store, of an equal content that the pool has already, too) and at a free (erase), + 2 X at a read (load, erase: loads
are exclusive); a writeback + 2 X (load, erase).
Lines: its 3 nodes once per op that walks it. Metadata: per object in the pool its share of a dense xarray, the pointer
of 8 B or, with the node around it, 9 B (xa_node of 576 B for 64 slots).

A virtual layout has no such tree: its entry points to the zswap_entry itself.

Source: mm/zswap.c: swap_zswap_tree, zswap_store, zswap_load, zswap_invalidate, zswap_writeback_entry (Linux 6.18).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["NODES", "REAL_BYTES", "TREE_ASSUMPTIONS", "add_tree", "hold_tree"]

NODES = 3
REAL_BYTES = 9
_WALKS = {Op.OUT: 1, Op.IN: 2, Op.FREE: 1}
TREE_ASSUMPTIONS = (
    "A look into the zswap tree that finds nothing (a read from the device, a rejected store) is not charged; a load "
    "is charged its erase even with zswap:load=keep.",
)


def add_tree(walks: NDArray[Any], lines: NDArray[Any]) -> None:
    """Add what the tree costs to ``walks`` and ``lines`` of one op, both int64[new, op, backing]."""
    for op, walk in _WALKS.items():
        walks[:, op, Backing.ZSWAP] += walk
        lines[:, op, Backing.ZSWAP] += NODES
    walks[:, Op.OUT, Backing.ZSWAP_SHARED] += _WALKS[Op.OUT]
    lines[:, Op.OUT, Backing.ZSWAP_SHARED] += NODES
    walks[:, Op.WRITEBACK] += 2
    lines[:, Op.WRITEBACK] += NODES


def hold_tree(ops: Ops, ledger: Ledger, bytes: int, of: NDArray[Any] | None = None) -> None:
    """Hold ``bytes`` of metadata for each object in the pool, or for those of the ops ``of`` alone."""
    if ops.pooled is not None:
        ledger.hold(METADATA, ops.pooled if of is None else ops.pooled * of, bytes)
