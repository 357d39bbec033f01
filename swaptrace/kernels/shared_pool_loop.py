"""The pool with shared blocks as one loop over the ops; the rule is at the head of
:mod:`swaptrace.kernels.shared_pool`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.keys import KeyTable
from swaptrace.kernels.loop import loop
from swaptrace.kernels.pool import NEVER, POOLED, Limits
from swaptrace.kernels.shared_pool_state import SharedFed, SharedRules
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown, readable
from swaptrace.model.ops import NOTHING

__all__ = ["LoopShared"]


class LoopShared:
    """Blocks and references, carried from batch to batch. Numbers of dead blocks are used again at once."""

    def __init__(self, limits: Limits, rules: SharedRules) -> None:
        self._limits, self._rules = limits, rules
        self._queues = limits.limit < NEVER or limits.age < NEVER  # else who is oldest does not matter
        self._keys = KeyTable()
        self._block_of: Ints32 = np.full(len(self._keys), -1, np.int32)  # by number of the hash
        self._state = np.zeros(0, np.uint8)  # by unit, as the three below
        self._holds: Ints32 = np.full(0, -1, np.int32)  # the block of its latest content
        self._next: Ints32 = np.full(0, -1, np.int32)  # a block's owners are a list
        self._last: Ints32 = np.full(0, -1, np.int32)
        self._size: Ints = np.zeros(0, np.int64)  # by block, as all below
        self._since: Ints = np.zeros(0, np.int64)  # when it took its place in the queue
        self._number: Ints = np.full(0, -1, np.int64)  # of its hash, in the pool
        self._refs: Ints32 = np.zeros(0, np.int32)
        self._names: Ints32 = np.zeros(0, np.int32)  # units whose latest content it is: its number is theirs
        self._head: Ints32 = np.full(0, -1, np.int32)
        self._tail: Ints32 = np.full(0, -1, np.int32)
        self._queued: Bools = np.zeros(0, np.bool_)
        self._younger: Ints32 = np.zeros(1, np.int32)  # by block + 1; 0 is both ends
        self._older: Ints32 = np.zeros(1, np.int32)
        self._spare: Ints32 = np.empty(0, np.int32)
        self._held: Ints = np.zeros(5, np.int64)  # bytes, blocks in the queue, references, spare and given numbers

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints, key: NDArray[np.uint64], known: Bools) -> SharedFed:
        """Run ops in order.

        Args:
            op, unit, size, ts: as those of the plain pool.
            key, known: uint64[n], bool[n], of OUTs: the hash, and whether there is one.
        """
        n = len(op)
        self._grow(int(unit.max(initial=-1)) + 1)
        room = (n + int(self._held[2])) * self._queues + 1
        out = SharedFed(
            np.zeros(n, np.uint8), np.zeros(n, np.bool_), np.zeros(n, np.int64), np.zeros(n, np.int8),
            np.zeros(n, np.int64), np.empty(n, np.int32), np.full(n, NOTHING, np.int32), np.zeros(n, np.bool_),
            np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64),
            0, 0, 0,
        )  # fmt: skip
        number = self._numbers(key, known & (op == 0))
        told = np.zeros(4, np.int64)  # writebacks, absorbed, refs_max, saved
        limits, rules = self._limits, self._rules
        _walk(
            readable(op, np.uint8), readable(unit, np.int32), readable(size, np.int64), readable(ts, np.int64), number,
            limits.limit, limits.low, limits.age, limits.batch, rules.lru, rules.exclusive, rules.pin, rules.apart,
            self._queues, self._block_of, self._state, self._holds, self._next, self._last, self._size, self._since,
            self._number, self._refs, self._names, self._head, self._tail, self._queued, self._younger, self._older,
            self._spare, self._held, out.found, out.hit, out.change, out.blocks, out.pinned, out.block, out.drop,
            out.inplace, out.after, out.owner, out.moved, out.freed, told,
        )  # fmt: skip
        k, absorbed, most, saved = told.tolist()
        return SharedFed(
            out.found, out.hit, out.change, out.blocks, out.pinned, out.block, out.drop, out.inplace,
            out.after[:k], out.owner[:k], out.moved[:k], out.freed[:k], absorbed, most, saved,
        )  # fmt: skip

    def holders(self) -> tuple[Ints, Ints32]:
        """Return the units in the pool, and their blocks."""
        units = np.flatnonzero(self._state == POOLED)
        return units, self._holds[units]

    def _grow(self, units: int) -> None:
        """Make room: each unit names one block at most, and a new one is numbered before the old one is let go."""
        self._state = grown(self._state, units, 0)
        self._holds = grown(self._holds, units, -1)
        blocks = len(self._state) + 2
        self._size = grown(self._size, blocks, 0)
        self._number = grown(self._number, blocks, -1)
        self._refs, self._names = grown(self._refs, blocks, 0), grown(self._names, blocks, 0)
        self._spare = grown(self._spare, blocks, 0)
        if not self._queues:
            return
        self._next, self._last = grown(self._next, units, -1), grown(self._last, units, -1)
        self._since, self._queued = grown(self._since, blocks, 0), grown(self._queued, blocks, 0)
        self._head, self._tail = grown(self._head, blocks, -1), grown(self._tail, blocks, -1)
        self._younger, self._older = grown(self._younger, blocks + 1, 0), grown(self._older, blocks + 1, 0)

    def _numbers(self, key: NDArray[np.uint64], asked: Bools) -> Ints:
        """Return the number of each hash that is looked up, -1 for other ops."""
        at = np.flatnonzero(asked)
        if self._keys.wants_rebuild(len(at)):
            held = np.flatnonzero(self._block_of >= 0)
            blocks = self._block_of[held]
            moved = self._keys.rebuild(self._block_of >= 0, len(at))
            self._block_of = np.full(len(self._keys), -1, np.int32)
            self._block_of[moved[held]] = blocks
            self._number[blocks] = moved[held]
        number = np.full(len(key), -1, np.int64)
        number[at] = self._keys.number(key[at])
        return number


@loop
def _walk(
    op: Bytes, unit: Ints32, size: Ints, ts: Ints, numbers: Ints, limit: int, low: int, age: int, batch: int,
    lru: bool, exclusive: bool, pin: bool, apart: bool, queues: bool, block_of: Ints32, state: Bytes, holds: Ints32,
    following: Ints32, leading: Ints32, size_of: Ints, since: Ints, number_of: Ints, refs: Ints32, names: Ints32,
    head: Ints32, tail: Ints32, queued: Bools, younger: Ints32, older: Ints32, spare: Ints32, held: Ints,
    found: Bytes, hit: Bools, change: Ints, blocks: Ints8, pinned: Ints, block: Ints32, drop: Ints32, inplace: Bools,
    after: Ints, owner: Ints32, moved: Ints32, freed: Ints, told: Ints,
) -> Any:  # fmt: skip
    """Run the ops. States: 0 nowhere, 1 in the pool, 2 on the device, 3 in RAM."""
    used = held[0]
    waiting = held[1]
    pooled = held[2]
    left = held[3]
    given_out = held[4]
    absorbed = 0
    most = 0
    saved = 0
    k = 0
    for i in range(len(op)):
        code = op[i]
        if code == 3:
            block[i] = -1
            continue
        u = unit[i]
        was = state[u]
        old = holds[u]
        found[i] = was
        store = code == 0
        new = -1
        if store and numbers[i] >= 0:
            new = block_of[numbers[i]]
        is_hit = new >= 0
        enters = store and (is_hit or size[i] >= 0)
        keeps = is_hit and was == 1 and new == old
        gives = not keeps and ((was == 1 and (code != 1 or exclusive)) or (was == 2 and code != 1))
        dies = gives and refs[old] == 1
        over = dies and was == 2 and store and not enters
        if over:
            new = old
        elif store and not is_hit:
            if left > 0:
                left -= 1
                new = spare[left]
            else:
                new = given_out
                given_out += 1
            refs[new] = 0
            names[new] = 0
            if queues:
                head[new] = -1
                tail[new] = -1
            number_of[new] = numbers[i]
            size_of[new] = size[i]
        block[i] = new if store else (old if 1 <= was <= 2 else -1)
        hit[i] = is_hit
        if is_hit:
            saved += size_of[new]
        inplace[i] = over
        if gives and not over:  # give
            refs[old] -= 1
            if was == 1:
                pooled -= 1
                if queues:
                    before = leading[u]
                    behind = following[u]
                    if before >= 0:
                        following[before] = behind
                    else:
                        head[old] = behind
                    if behind >= 0:
                        leading[behind] = before
                    else:
                        tail[old] = before
                if pin and refs[old] == 1:
                    pinned[i] -= size_of[old]
                if dies:
                    used -= size_of[old]
                    change[i] -= size_of[old]
                    blocks[i] -= 1
                    absorbed += 1
                    if number_of[old] >= 0:
                        block_of[number_of[old]] = -1
            elif dies:
                drop[i] = old
        if code != 1 and old >= 0 and new != old:
            names[old] -= 1
            if names[old] == 0:
                spare[left] = old
                left += 1
        if store and not keeps:  # take
            if new != old:
                names[new] += 1
                holds[u] = new
            if not over:
                refs[new] += 1
            state[u] = 2
            if enters:
                state[u] = 1
                pooled += 1
                most = max(most, refs[new])
                if queues:
                    leading[u] = tail[new]
                    following[u] = -1
                    if tail[new] >= 0:
                        following[tail[new]] = u
                    else:
                        head[new] = u
                    tail[new] = u
                if pin and refs[new] == 2:
                    pinned[i] += size_of[new]
                if not is_hit:
                    used += size_of[new]
                    change[i] += size_of[new]
                    blocks[i] += 1
                    if numbers[i] >= 0:
                        block_of[numbers[i]] = new
        elif code == 2:
            state[u] = 0
            holds[u] = -1
        elif code == 1 and gives:
            state[u] = 3
        if not queues:
            continue
        for turn in range(2):  # the places in the queue: of what was given back or read, of what was taken
            which = -1
            fresh = False
            if turn == 0 and was == 1 and not keeps:
                which = old
                fresh = lru and code == 1
            elif turn == 1 and enters:
                which = new
                fresh = lru and is_hit
            if which >= 0:
                belongs = refs[which] == 1 or (refs[which] > 1 and not pin)
                if queued[which] and (fresh or not belongs):
                    younger[older[which + 1]] = younger[which + 1]
                    older[younger[which + 1]] = older[which + 1]
                    queued[which] = False
                    waiting -= 1
                if belongs and not queued[which]:
                    youngest = older[0]
                    younger[youngest] = which + 1
                    older[which + 1] = youngest
                    younger[which + 1] = 0
                    older[0] = which + 1
                    queued[which] = True
                    since[which] = ts[i]
                    waiting += 1
        full = enters and not is_hit and used > limit
        written = 0
        while waiting > 0:
            first = younger[0] - 1
            if ts[i] - since[first] < age:
                wanted = (full and used > low) or (written > 0 and written < batch)
                if not wanted or waiting == 1:
                    break
            younger[0] = younger[first + 1]
            older[younger[0]] = 0
            queued[first] = False
            waiting -= 1
            used -= size_of[first]
            if number_of[first] >= 0:
                block_of[number_of[first]] = -1
            each = head[first]
            leads = True
            while each >= 0:
                mine = first
                if apart and not leads:
                    if left > 0:
                        left -= 1
                        mine = spare[left]
                    else:
                        mine = given_out
                        given_out += 1
                    refs[mine] = 1
                    names[mine] = 1
                    holds[each] = mine
                    refs[first] -= 1
                    names[first] -= 1
                state[each] = 2
                pooled -= 1
                after[k] = i
                owner[k] = each
                moved[k] = mine
                freed[k] = size_of[first] if leads else 0
                k += 1
                if apart or leads:
                    written += 1
                leads = False
                each = following[each]
            head[first] = -1
            tail[first] = -1
    held[0] = used
    held[1] = waiting
    held[2] = pooled
    held[3] = left
    held[4] = given_out
    told[0] = k
    told[1] = absorbed
    told[2] = most
    told[3] = saved
    return k
