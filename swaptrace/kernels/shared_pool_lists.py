"""A pool with shared blocks that is never written back, over Python lists; the rule is at the head of
:mod:`swaptrace.kernels.shared_pool`.

Without writeback the order of the queue does not matter, nor that of a block's owners; blocks on the device have one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.pool import IN_RAM, NOWHERE, ON_DEVICE, POOLED
from swaptrace.kernels.shared_pool_state import SharedFed
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32, grown
from swaptrace.model.ops import NOTHING

__all__ = ["ListShared"]

_OUT, _IN, _FREE, _OUT_HASHED = 0, 1, 2, 4
# What an op did: hit; a new block in the pool; stored in place; the death of a block in the pool, on the device.
_HIT, _ENTERED, _OVER, _ABSORBED, _DROPPED = (1 << bit for bit in range(5))


class ListShared:
    """State: the index as a dict, units and blocks as lists. Numbers of dead blocks are used from the next batch on."""

    def __init__(self, exclusive: bool) -> None:
        self._exclusive = exclusive
        self._index: dict[int, int] = {}  # from hash to block in the pool
        self._state = bytearray()  # by unit
        self._holds: list[int] = []  # by unit: its block, where it is in the pool or on the device
        self._key_of: list[int] = []  # by block: its hash, -1 if it is not in the index
        self._refs: list[int] = []  # by block in the pool
        self._size: Ints = np.zeros(0, np.int64)  # by block in the pool
        self._spare: list[int] = []

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints, key: NDArray[np.uint64], known: Bools) -> SharedFed:
        """As :meth:`swaptrace.kernels.shared_pool_loop.LoopShared.feed`; nothing is written back."""
        n, room = len(op), int(unit.max(initial=-1)) + 1 - len(self._state)
        self._state.extend(bytes(max(room, 0)))
        self._holds += [-1] * room
        hashed = known & (op == _OUT)
        found, did, blocks, dead, refs_max = self._walk(op + hashed * np.uint8(_OUT_HASHED), unit, size, key[hashed])

        hit, entered, over, absorbed, dropped = (
            (did & what) != 0 for what in (_HIT, _ENTERED, _OVER, _ABSORBED, _DROPPED)
        )
        block = np.array(blocks, np.int32)
        died = np.full(n, NOTHING, np.int32)
        died[absorbed | dropped] = dead
        self._spare += dead
        self._size = grown(self._size, len(self._refs), 0)
        self._size[block[entered]] = size[entered]
        change = size * entered
        change[absorbed] -= self._size[died[absorbed]]
        none = np.empty(0, np.int32)
        return SharedFed(
            found, hit, change, entered.view(np.int8) - absorbed.view(np.int8), np.zeros(n, np.int64), block,
            np.where(dropped, died, np.int32(NOTHING)), over, np.empty(0, np.int64), none, none, np.empty(0, np.int64),
            int(np.count_nonzero(absorbed)), refs_max, int(self._size[block[hit]].sum()),
        )  # fmt: skip

    def _walk(
        self, kind: Bytes, unit: Ints32, size: Ints, key: NDArray[np.uint64]
    ) -> tuple[Bytes, Bytes, list[int], list[int], int]:
        """Run the ops; ``key`` has the hashes of those that are looked up.

        Returns:
            The state that each op found, what it did, its block; the blocks that died; most owners of a block.
        """
        state, holds, index, key_of, refs, spare = (
            self._state, self._holds, self._index, self._key_of, self._refs, self._spare
        )  # fmt: skip
        exclusive, most = self._exclusive, 0
        found, did = bytearray(len(kind)), bytearray(len(kind))
        blocks: list[int] = []
        dead: list[int] = []
        keys = iter(key.tolist())
        for i, (what, u, needs) in enumerate(zip(kind.tolist(), unit.tolist(), size.tolist(), strict=True)):
            was = found[i] = state[u]
            old = holds[u]
            if what == _IN and not (exclusive and was == POOLED):
                blocks.append(old)
                continue
            new = hashed = -1
            done = 0
            if what == _OUT_HASHED:
                hashed = next(keys)
                new = index.get(hashed, -1)
                if new >= 0:
                    did[i] = done = _HIT
                    if new == old:  # it keeps it
                        blocks.append(new)
                        continue
            if was == POOLED:
                refs[old] -= 1
                if not refs[old]:
                    done |= _ABSORBED
                    dead.append(old)
                    index.pop(key_of[old], None)
            elif was == ON_DEVICE:
                if what != _FREE and new < 0 and needs < 0:
                    did[i] = _OVER
                    blocks.append(old)
                    continue
                done |= _DROPPED
                dead.append(old)
            if what & (_IN | _FREE):
                did[i] = done
                blocks.append(old)
                state[u] = IN_RAM if what == _IN else NOWHERE
                holds[u] = -1
                continue
            if new < 0:
                if spare:
                    new = spare.pop()
                    refs[new], key_of[new] = 0, -1
                else:
                    new = len(refs)
                    refs.append(0)
                    key_of.append(-1)
                if needs >= 0:
                    done |= _ENTERED
                    if hashed >= 0:
                        index[hashed] = new
                        key_of[new] = hashed
            holds[u] = new
            blocks.append(new)
            state[u] = ON_DEVICE
            if done & (_HIT | _ENTERED):
                state[u] = POOLED
                count = refs[new] = refs[new] + 1
                most = max(most, count)
            did[i] = done
        return np.frombuffer(found, np.uint8), np.frombuffer(did, np.uint8), blocks, dead, most
