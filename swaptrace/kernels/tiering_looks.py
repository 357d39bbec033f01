"""Looks at idle blocks, and the moves that these lead to.

A block that is found idle gives its slot back and takes one behind the steps of an op: two steps more, the second of a
kind of its own. If it may not move, it gets its own slot back.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.kernels.tiering_idle import Idle

__all__ = ["Looks", "Stuck", "exchanges"]


class Stuck(Exception):
    """An idle block may move down, but nowhere is room."""

    def __init__(self, behind: int) -> None:
        self.behind = behind


class Looks:
    """The looks of a batch in order, and the moves that they led to: look, tier from which, tier to which."""

    def __init__(self, idle: Idle, room: list[int], tiers_of: list[list[int]]) -> None:
        self.moves: list[tuple[int, int, int]] = []
        self._behind, self._allowed, self._rank, self._arrival = (
            each.tolist() for each in (idle.behind, idle.allowed, idle.rank, idle.arrival)
        )
        self._name, self._room, self._tiers_of = idle.name.tolist(), room, tiers_of
        self._looked = 0
        self._nth: dict[int, int] = {}  # by the name of a move

    def at(self, left: list[int], used: list[int]) -> list[int]:
        """Return the tiers to which the next ones come that have ``left`` theirs, all behind one op."""
        first, came = self._looked, left.copy()
        self._looked += len(left)
        for t in left:
            used[t] += 1
        keys = [(t, self._rank[k], self._nth.get(self._arrival[k], 0), k) for k, t in enumerate(left, first)]
        for t, _, _, look in sorted(keys):
            below = self._tiers_of[self._allowed[look] & -2 << t]
            for lower in below:
                if used[lower] < self._room[lower]:
                    used[t] -= 1
                    used[lower] += 1
                    came[look - first] = lower
                    self._nth[self._name[look]] = len(self.moves)
                    self.moves.append((look, t, lower))
                    break
            else:
                if below:
                    raise Stuck(self._behind[look])
        return came


def exchanges(looks: Idle) -> tuple[Ints, Bools, Ints32]:
    """Return behind which steps idle blocks give back and take, which of these give, and the blocks.

    Those that are found behind one op first give back and then take, for the tiers to see all of them.
    """
    k = len(looks.block)
    group = np.flatnonzero(np.diff(looks.behind, prepend=-1))
    size = np.diff(group, append=k)
    gives = np.arange(k) + np.repeat(group, size)
    giving, block = np.zeros(2 * k, np.bool_), np.empty(2 * k, np.int32)
    giving[gives] = True
    block[giving] = block[~giving] = looks.block
    return np.repeat(looks.behind, 2), giving, block
