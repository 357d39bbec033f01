"""A pool of objects in bytes that is written back from its oldest end when it grows past its limit.

Rule. The pool is a queue. In an op, what the object had before is resolved first, then what the op brings:

* **OUT** (code 0). If the object is in the pool it leaves it. With size -1 it goes to the device. With any other size
  it enters at the young end; then, if the bytes in the pool are more than ``limit``, the oldest objects are written
  back, one by one, until they are at most ``low`` or the new object alone is left.
* **IN** (code 1). With ``lru``, an object in the pool goes to the young end. With ``exclusive`` it leaves the pool; its
  content is then in RAM only.
* **FREE** (code 2). The object is nowhere.

Each op gets the state in which it found the object: NOWHERE, POOLED, ON_DEVICE or IN_RAM.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.pool_vector import VectorPool
from swaptrace.kernels.tables import Bytes, Ints, Ints32, grown, readable

__all__ = ["IN_RAM", "NEVER", "NOWHERE", "ON_DEVICE", "POOLED", "new_pool"]

NOWHERE, POOLED, ON_DEVICE, IN_RAM = 0, 1, 2, 3
NEVER = 1 << 62  # a limit that no pool reaches
Fed = tuple[Bytes, Ints, Ints, Ints32, Ints]


class ListPool:
    """The queue as an ordered dict from object to size: the form for the interpreted engine."""

    def __init__(self, limit: int, low: int, lru: bool, exclusive: bool) -> None:
        self._limit, self._low, self._lru, self._exclusive = limit, low, lru, exclusive
        self._queue: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0
        self._state = bytearray()

    def feed(self, op: Bytes, unit: Ints32, size: Ints) -> Fed:
        """Run ops in order.

        Args:
            op: uint8[n], 0 OUT, 1 IN, 2 FREE.
            unit: int32[n], dense ids of the objects.
            size: int64[n], of OUTs: bytes that they occupy, above 0; -1: goes to the device.

        Returns:
            The state that each op found, the change of bytes by it and all that it caused but for writebacks; and the
            ops that caused writebacks (int64[k], ascending), the objects written back (int32[k]), the bytes that they
            occupied (int64[k]).
        """
        state, queue, used = self._state, self._queue, self._bytes
        room = int(unit.max(initial=-1)) + 1 - len(state)
        if room > 0:
            state.extend(bytes(room))
        found = bytearray(len(op))
        change = [0] * len(op)
        after: list[int] = []
        victims: list[int] = []
        freed: list[int] = []
        limit, low, lru, exclusive = self._limit, self._low, self._lru, self._exclusive
        for i, (code, u, bytes_in) in enumerate(zip(op.tolist(), unit.tolist(), size.tolist(), strict=True)):
            was = found[i] = state[u]
            if code == 1:
                if was == POOLED:
                    if exclusive:
                        gone = queue.pop(u)
                        used -= gone
                        change[i] = -gone
                        state[u] = IN_RAM
                    elif lru:
                        queue.move_to_end(u)
                continue
            gone = queue.pop(u) if was == POOLED else 0
            used -= gone
            if code == 2 or bytes_in < 0:
                change[i] = -gone
                state[u] = ON_DEVICE if code == 0 else NOWHERE
                continue
            queue[u] = bytes_in
            used += bytes_in
            change[i] = bytes_in - gone
            state[u] = POOLED
            if used > limit:
                while used > low and len(queue) > 1:
                    victim, gone = queue.popitem(last=False)
                    used -= gone
                    freed.append(gone)
                    state[victim] = ON_DEVICE
                    after.append(i)
                    victims.append(victim)
        self._bytes = used
        return (
            np.frombuffer(bytes(found), np.uint8),
            np.array(change, np.int64),
            np.array(after, np.int64),
            np.array(victims, np.int32),
            np.array(freed, np.int64),
        )


class LoopPool:
    """The queue as links between objects: the form for the compiled engine. Link 0 is both ends."""

    def __init__(self, limit: int, low: int, lru: bool, exclusive: bool) -> None:
        self._limit, self._low, self._lru, self._exclusive = limit, low, lru, exclusive
        self._state = np.zeros(0, np.uint8)
        self._size: Ints = np.zeros(0, np.int64)
        self._after: Ints32 = np.zeros(1, np.int32)
        self._before: Ints32 = np.zeros(1, np.int32)
        self._held: Ints = np.zeros(2, np.int64)  # bytes and objects in the pool

    def feed(self, op: Bytes, unit: Ints32, size: Ints) -> Fed:
        """As :meth:`ListPool.feed`."""
        top = int(unit.max(initial=-1)) + 1
        self._state, self._size = grown(self._state, top, 0), grown(self._size, top, 0)
        self._after, self._before = grown(self._after, top + 1, 0), grown(self._before, top + 1, 0)
        n = len(op)
        room = n + int(self._held[1]) + 1
        found, change = np.empty(n, np.uint8), np.zeros(n, np.int64)
        after, victims, freed = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int64)
        k = _walk(
            readable(op, np.uint8), readable(unit, np.int32), readable(size, np.int64), self._limit, self._low,
            self._lru, self._exclusive, self._state, self._size, self._after, self._before, self._held, found,
            change, after, victims, freed,
        )  # fmt: skip
        return found, change, after[:k], victims[:k], freed[:k]


def new_pool(limit: int, low: int, lru: bool, exclusive: bool) -> ListPool | LoopPool | VectorPool:
    """Return an empty pool of ``limit`` bytes that shrinks to ``low``, in the form of the engine in force."""
    if engine_name() == "numpy" and limit >= NEVER:
        return VectorPool(exclusive)
    return (LoopPool if engine_name() == "numba" else ListPool)(limit, low, lru, exclusive)


@loop
def _walk(
    op: Bytes, unit: Ints32, size: Ints, limit: int, low: int, lru: bool, exclusive: bool, state: Bytes,
    size_of: Ints, younger: Ints32, older: Ints32, held: Ints, found: Bytes, change: Ints, after: Ints, victims: Ints32,
    freed: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many objects were written back."""
    used = held[0]
    objects = held[1]
    k = 0
    for i in range(len(op)):
        u = unit[i]
        link = u + 1
        was = state[u]
        found[i] = was
        code = op[i]
        moves = code == 1 and was == 1 and (lru or exclusive)
        if code == 1 and not moves:
            continue
        if was == 1:
            younger[older[link]] = younger[link]
            older[younger[link]] = older[link]
            used -= size_of[u]
            objects -= 1
            change[i] = -size_of[u]
        if code == 1 and exclusive:
            state[u] = 3
            continue
        if code == 2 or (code == 0 and size[i] < 0):
            state[u] = 2 if code == 0 else 0
            continue
        if code == 0:
            size_of[u] = size[i]
        last = older[0]
        younger[last] = link
        older[link] = last
        younger[link] = 0
        older[0] = link
        used += size_of[u]
        objects += 1
        change[i] += size_of[u]
        state[u] = 1
        if code == 0 and used > limit:
            while used > low and objects > 1:
                first = younger[0]
                younger[0] = younger[first]
                older[younger[first]] = 0
                used -= size_of[first - 1]
                objects -= 1
                state[first - 1] = 2
                after[k] = i
                victims[k] = first - 1
                freed[k] = size_of[first - 1]
                k += 1
    held[0] = used
    held[1] = objects
    return k
