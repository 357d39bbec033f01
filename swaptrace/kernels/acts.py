"""What happens to blocks in tiers, in order: what both forms of :mod:`swaptrace.kernels.tiering` return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from swaptrace.kernels.reshape import latest
from swaptrace.kernels.tables import Bytes, Ints32
from swaptrace.model.errors import SpaceError

__all__ = ["Act", "Acts", "all_full", "brought"]


class Act(IntEnum):
    """What happens to a block in a tier."""

    GIVE = 0
    TAKE = 1
    STORE = 2
    FETCH = 3
    LEAVE = 4  # it moves away from here
    ARRIVE = 5  # it moves here


@dataclass(frozen=True, slots=True)
class Acts:
    """What happened, in order; arrays of one length."""

    at: Ints32
    """The op that did it."""
    act: Bytes
    block: Ints32
    tier: Bytes
    since: Ints32
    """Of a STORE or FETCH: the TAKE or ARRIVE that brought the block to its tier; CARRIED: one of an earlier batch."""
    overflows: int
    """Takes in a tier below the first that the cgroup may use."""

    def before(self, later: Acts, ops: int) -> Acts:
        """Return these acts and then the ``later`` ones, whose ops begin at ``ops``."""
        act, block = np.concatenate([self.act, later.act]), np.concatenate([self.block, later.block])
        at, tier = np.concatenate([self.at, later.at + np.int32(ops)]), np.concatenate([self.tier, later.tier])
        return Acts(at, act, block, tier, brought(act, block), self.overflows + later.overflows)


def brought(act: Bytes, block: Ints32) -> Ints32:
    """Return ``Acts.since``."""
    return latest((act == Act.TAKE) | (act == Act.ARRIVE), block)


def all_full(capacity: list[int]) -> SpaceError:
    """Return the error of a block that finds no tier with a free slot."""
    return SpaceError(
        "no tier that the memory cgroup may use has a free slot.",
        f"Slots of the tiers: {', '.join(map(str, capacity))}; all in use where it may store.",
        "Give the tiers more room: sizes=",
    )
