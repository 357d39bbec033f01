"""What the two forms of :mod:`swaptrace.kernels.shared_pool` share: their rules and their result."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32

__all__ = ["SharedFed", "SharedRules"]


@dataclass(frozen=True, slots=True)
class SharedRules:
    """Which variant of the rule is in force."""

    lru: bool
    exclusive: bool
    pin: bool
    apart: bool


@dataclass(frozen=True, slots=True)
class SharedFed:
    """What n ops did, and the k writebacks behind them."""

    found: Bytes
    """The state in which each op found its unit."""
    hit: Bools
    change: Ints
    """Change of the bytes in the pool, writebacks apart; as in the two below."""
    blocks: Ints8
    """Change of the number of blocks in the pool."""
    pinned: Ints
    """Change of the bytes of pinned blocks."""
    block: Ints32
    """The block of an OUT after it, of other ops before them; -1: none."""
    drop: Ints32
    """The block that dies on the device, NOTHING if none."""
    inplace: Bools
    """It stores over the old content of its block on the device."""
    after: Ints
    """int64[k], ascending: the op that caused each writeback. A block has one for each owner, in their order."""
    owner: Ints32
    moved: Ints32
    """The block that the owner has on the device."""
    freed: Ints
    """Bytes that it occupied; 0 for its further owners."""
    absorbed: int
    """Blocks that died in the pool."""
    refs_max: int
    """Most owners that a block had after a take."""
    saved: int
    """Bytes of the blocks that were hit."""
