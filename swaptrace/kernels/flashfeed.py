"""What the ops of a batch ask of a flash log, and what its answers mean for each op.

Rule. An op asks in this order: DROP of the block that dies, then STORE or FETCH of its block. What an op changes is the
sum over what it asked; it hit, or released a page on the device, if one of its events did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swaptrace.kernels.flashlog import DROP, FETCH, STORE, FlashResult
from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.order import in_order
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, readable
from swaptrace.model.ops import NOTHING, Ops

__all__ = ["PerOp", "ask", "per_op"]


@dataclass(frozen=True, slots=True)
class PerOp:
    """Per op: change of buffered pages, of places taken in the buffer, of live pages on the device, of segments in use;
    it hit; it released a page."""

    buffered: Ints32
    places: Ints32 | Ints
    live: Ints32
    segments: Ints32
    hit: Bools
    released: Bools


def ask(ops: Ops) -> tuple[Ints, Bytes, Ints32]:
    """Return the events of a batch: int64[m] the op, uint8[m] what it asks, int32[m] of which block."""
    if engine_name() == "numba":
        size = 2 * len(ops) + 1
        at, kind, unit = np.empty(size, np.int64), np.empty(size, np.uint8), np.empty(size, np.int32)
        m = _ask(
            readable(ops.drop, np.int32), readable(ops.store, np.bool_), readable(ops.fetch, np.bool_),
            readable(ops.block, np.int32), at, kind, unit,
        )  # fmt: skip
        return at[:m], kind[:m], unit[:m]
    at, second = in_order(ops.drop != NOTHING, ops.store | ops.fetch)
    kind = np.where(second, np.where(ops.store[at], np.uint8(STORE), np.uint8(FETCH)), np.uint8(DROP))
    return at, kind, np.where(second, ops.block[at], ops.drop[at])


def per_op(n: int, at: Ints, kind: Bytes, result: FlashResult) -> PerOp:
    """Return what the events ``at`` of n ops did, op by op."""
    buffered, live, segments = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
    places: Ints32 | Ints = buffered if result.places is None else np.zeros(n, result.places.dtype)
    out = PerOp(buffered, places, live, segments, np.zeros(n, np.bool_), np.zeros(n, np.bool_))
    if engine_name() == "numba":
        _spread(
            readable(at, np.int64), readable(kind, np.uint8), readable(result.buffered, np.int32),
            readable(result.live, np.int32), readable(result.segments, np.int32), readable(result.hit, np.bool_),
            readable(result.absorbed, np.bool_), out.buffered, out.live, out.segments, out.hit, out.released,
        )  # fmt: skip
        if result.places is not None:
            np.add.at(places, at, result.places)
        return out
    both = np.flatnonzero(at[1:] == at[:-1])  # ops that ask twice
    for total, change in (
        (buffered, result.buffered),
        (places, result.places),
        (live, result.live),
        (segments, result.segments),
    ):
        if change is not None:
            total[at] = change  # of the later one
            total[at[both]] += change[both]
    # Picking through indices does not guess branches, as picking through a mask does.
    out.hit[at[np.flatnonzero(result.hit)]] = True
    out.released[at[np.flatnonzero((kind == DROP) & ~result.absorbed)]] = True
    return out


@loop
def _ask(drops: Ints32, stores: Bools, fetches: Bools, blocks: Ints32, at: Ints, kind: Bytes, unit: Ints32) -> Any:
    """Fill the events; return how many there are. 0 is STORE, 1 DROP, 2 FETCH."""
    k = 0
    for i in range(len(drops)):
        if drops[i] >= 0:
            at[k] = i
            kind[k] = 1
            unit[k] = drops[i]
            k += 1
        at[k] = i
        kind[k] = 2 * fetches[i]
        unit[k] = blocks[i]
        k += stores[i] | fetches[i]
    return k


@loop
def _spread(
    at: Ints, kind: Bytes, buffered: Ints32, live: Ints32, segments: Ints32, hit: Bools, absorbed: Bools,
    buffered_of: Ints32, live_of: Ints32, segments_of: Ints32, hit_of: Bools, released_of: Bools,
) -> Any:  # fmt: skip
    """Add the events up by op; return how many there were."""
    for k in range(len(at)):
        i = at[k]
        buffered_of[i] += buffered[k]
        live_of[i] += live[k]
        segments_of[i] += segments[k]
        if hit[k]:
            hit_of[i] = True
        if kind[k] == 1 and not absorbed[k]:
            released_of[i] = True
    return len(at)
