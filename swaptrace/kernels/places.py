"""Where blocks are: who gives back and takes slots in a batch, and the slot that each op stores to or reads from.

Rule, in order. In an op, the block that dies gives its slot back, then the block that is stored takes one, unless it
is stored in place: then it stays where it is. A block whose swap entry is its slot (``ops.mapped``) takes it when its
object begins and gives it back at the object's end instead, whatever is stored between. A fetch reads where the block
is. An op that neither takes a slot nor stores nor fetches has none, -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.order import in_order
from swaptrace.kernels.origins import origins
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32, Words16, grown, readable
from swaptrace.model.ops import NOTHING, Op, Ops

__all__ = ["LoopPlaces", "Turns", "VectorPlaces", "exchanges", "new_places", "turns"]


@dataclass(frozen=True)
class Turns:
    """What each op does to slots: ``drop`` is the block that gives its slot back (NOTHING: none does), ``gives`` where
    one does; ``takes`` says whether the op's own block takes one, behind that.
    """

    drop: Ints32
    gives: Bools
    takes: Bools


def turns(ops: Ops, at_entry: bool = False) -> Turns:
    """Return the turns of a batch; ``at_entry``: every swap entry is a slot."""
    if at_entry:
        drop, takes = _ends(ops), ops.new
    else:
        drop, takes = ops.drop, ops.store & ~ops.inplace
        if ops.mapped is not None:
            drop, takes = np.where(ops.mapped, _ends(ops), drop), np.where(ops.mapped, ops.new, takes)
    return Turns(drop, drop != NOTHING, takes)


def exchanges(ops: Ops, turns: Turns) -> tuple[Bools, Ints32, Words16]:
    """Return who gives back (True) or takes (False) a slot, in order: bool[m], the block, the CPU."""
    if engine_name() != "numba":
        at, taking = in_order(turns.gives, turns.takes)
        return ~taking, np.where(taking, ops.block[at], turns.drop[at]), ops.cpu[at]
    room = 2 * len(ops) + 1
    giving, block, cpu = np.empty(room, np.bool_), np.empty(room, np.int32), np.empty(room, np.uint16)
    m = _exchange(
        readable(turns.gives, np.bool_), readable(turns.takes, np.bool_), readable(turns.drop, np.int32),
        readable(ops.block, np.int32), readable(ops.cpu, np.uint16), giving, block, cpu,
    )  # fmt: skip
    return giving[:m], block[:m], cpu[:m]


def _ends(ops: Ops) -> Ints32:
    ends: Ints32 = np.where(ops.op == Op.FREE, ops.handle, np.int32(NOTHING))
    return ends


class VectorPlaces:
    """Slots by block, followed through a batch with what the ops say about one another."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, turns: Turns, slots: Ints, change: Ints8) -> tuple[Ints, Ints8]:
        """Return int64[n] slots, and the ``change`` of each exchange summed by op; ``slots`` are those exchanged."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        at, taking = in_order(turns.gives, turns.takes)
        slot, changes = np.full(len(ops), -1, np.int64), np.zeros(len(ops), np.int8)
        slot[at[taking]] = slots[taking]
        changes[at[~taking]] = change[~taking]
        changes[at[taking]] += change[taking]
        stored = ops.stored_at if ops.mapped is None else np.where(ops.mapped, ops.birth, ops.stored_at)
        inplace = np.flatnonzero(ops.store & ~turns.takes)
        origin = origins(stored, inplace)  # stores in place may replace one another
        carried = inplace[stored[inplace] < 0]
        slot[carried] = self._slot[ops.block[carried]]
        slot[inplace] = slot[origin[inplace]]
        reads, places = np.flatnonzero(ops.fetch), np.flatnonzero(ops.store | turns.takes)
        slot[reads] = np.where(stored[reads] >= 0, slot[stored[reads]], self._slot[ops.block[reads]])
        self._slot[ops.block[places]] = slot[places]
        return slot, changes


class LoopPlaces:
    """Slots by block, op by op."""

    def __init__(self) -> None:
        self._slot: Ints = np.full(0, -1, np.int64)

    def feed(self, ops: Ops, turns: Turns, slots: Ints, change: Ints8) -> tuple[Ints, Ints8]:
        """As :meth:`VectorPlaces.feed`."""
        self._slot = grown(self._slot, int(ops.block.max()) + 1, -1)
        slot, changes = np.empty(len(ops), np.int64), np.empty(len(ops), np.int8)
        _walk(
            readable(ops.store | ops.fetch, np.bool_), readable(turns.takes, np.bool_),
            readable(turns.gives, np.bool_), readable(ops.block, np.int32), readable(slots, np.int64),
            readable(change, np.int8), slot, changes, self._slot,
        )  # fmt: skip
        return slot, changes


def new_places() -> VectorPlaces | LoopPlaces:
    """Return the places of no block yet, in the form of the engine in force: both are exact."""
    return LoopPlaces() if engine_name() == "numba" else VectorPlaces()


@loop
def _exchange(
    gives: Bools, takes: Bools, drops: Ints32, blocks: Ints32, on: Words16, giving: Bools, block: Ints32, cpu: Words16
) -> Any:
    """Fill the last three; return how many there are. Written always, kept where true: no branch to guess."""
    m = 0
    for i in range(len(gives)):
        giving[m] = True
        block[m] = drops[i]
        cpu[m] = on[i]
        m += gives[i]
        giving[m] = False
        block[m] = blocks[i]
        cpu[m] = on[i]
        m += takes[i]
    return m


@loop
def _walk(
    asks: Bools, takes: Bools, gives: Bools, blocks: Ints32, slots: Ints, change: Ints8, slot: Ints, changes: Ints8,
    slot_of: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many exchanges there were."""
    k = 0
    for i in range(len(asks)):
        changed = 0
        at = -1
        if gives[i]:
            changed = change[k]
            k += 1
        if takes[i]:
            at = slots[k]
            slot_of[blocks[i]] = at
            changed += change[k]
            k += 1
        elif asks[i]:
            at = slot_of[blocks[i]]
        slot[i] = at
        changes[i] = changed
    return k
