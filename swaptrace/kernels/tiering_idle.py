"""Which blocks of a batch come to be idle, and behind which op: all of those that may move down, at once.

A touch of a block counts until its next step. Where that comes too late, the first op that is ``age`` or more behind
the touch finds the block idle. If the block moves there, its arrival is a touch again; whether it moves only the tiers
know that have room then.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.reshape import latest
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32

__all__ = ["NOBODY", "Idle", "Steps", "idle"]


@dataclass(frozen=True, slots=True)
class Steps:
    """What ops do to blocks, in order: an op gives, then takes, then stores or fetches. The last two are by op."""

    at: Ints
    """The op."""
    time: Ints
    block: Ints32
    takes: Bools
    gives: Bools
    allowed: Bytes
    """The tiers that the op may use, as bits."""
    taker: Ints32
    """The op that took the slot of its block, CARRIED: one of an earlier batch."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Blocks that are found idle, in order of the ops, then of their touches; arrays of one length."""

    behind: Ints
    """How many steps come before: those up to the end of an op."""
    block: Ints32
    allowed: Bytes
    """The tiers that the block may be in, as bits."""
    rank: Ints
    """Ascends with the touch; equal for the arrivals behind one op."""
    arrival: Ints
    """If this holds only after the block has moved: the name of that move, else -1."""
    name: Ints


_NONE = np.empty(0, np.int64)
NOBODY = Idle(_NONE, np.empty(0, np.int32), np.empty(0, np.uint8), _NONE, _NONE, _NONE)


def idle(steps: Steps, queues: list[Ints32], touched: Ints, allowed_of: Bytes, age: int) -> Idle:
    """Return who is found idle; ``queues`` are earlier batches' touched blocks by tier, the lowest left out.

    ``touched`` and ``allowed_of`` say for each block when it was touched last and where it may be, before the batch.
    """
    n, least = len(steps.at), steps.time - age
    if n == 0:
        return NOBODY
    waiting, fresh = _waiting(steps, queues, touched, allowed_of, least), _touches(steps, allowed_of, least)
    block, since, allowed, rank, until = (np.concatenate(both) for both in zip(waiting, fresh, strict=True))
    arrival, names = np.full(len(block), -1), 0
    found: list[tuple[NDArray[Any], ...]] = []
    for _ in queues:
        first = np.searchsorted(least, since)
        behind = np.full(len(first), n + 1)
        due = np.flatnonzero(first < n)
        behind[due] = np.searchsorted(steps.at, steps.at[first[due]], "right")  # the whole op
        here = np.flatnonzero(behind <= until)
        block, allowed, until, behind = block[here], allowed[here], until[here], behind[here]
        name = np.arange(names, names + len(here))
        found.append((behind, block, allowed, rank[here], arrival[here], name))
        names += len(here)
        since, rank, arrival = steps.time[behind - 1], 2 * behind - 1, name
    joined = [np.concatenate(each) for each in zip(*found, strict=True)]
    order = np.lexsort((joined[3], joined[0]))
    return Idle(*(each[order] for each in joined))


def _waiting(
    steps: Steps, queues: list[Ints32], touched: Ints, allowed_of: Bytes, least: Ints
) -> tuple[NDArray[Any], ...]:
    """Return those touched in earlier batches: block, time of touch, allowed tiers, rank, steps until its next one."""
    due = [queue[: bisect_right(queue, least[-1], key=lambda b: int(touched[b]))] for queue in queues]
    block = np.concatenate(due)
    n, next_of = len(steps.at), np.empty(len(touched), np.int64)
    next_of[block] = n
    next_of[steps.block[::-1]] = np.arange(n - 1, -1, -1)  # in order: the first step stays
    return block, touched[block], allowed_of[block], np.arange(-len(block), 0), next_of[block]


def _touches(steps: Steps, allowed_of: Bytes, least: Ints) -> tuple[NDArray[Any], ...]:
    """Return the same of those touched in this batch, but for those too young to be found idle in it."""
    n, old = len(steps.at), int(np.searchsorted(steps.time, least[-1], "right"))
    touch = np.flatnonzero(~steps.gives[:old])
    block, until = steps.block[touch], np.full(len(touch), n)
    if len(touch):
        next_of = np.empty(len(allowed_of), np.int64)
        next_of[block] = n
        next_of[steps.block[: old - 1 : -1]] = np.arange(n - 1, old - 1, -1)  # in order: the first step stays
        soon = latest(np.ones(old, np.bool_), steps.block[:old][::-1])[::-1][touch]
        until = np.where(soon >= 0, old - 1 - soon, next_of[block])
        late = (until == n) | (least[until - (until == n)] >= steps.time[touch])
        touch, block, until = touch[late], block[late], until[late]
    taker = steps.taker[steps.at[touch]]
    allowed = np.where(taker >= 0, steps.allowed[taker], allowed_of[block])
    return block, steps.time[touch], allowed, 2 * touch, until
