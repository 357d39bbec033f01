"""A pool of objects in bytes that is written back from its oldest end when it grows past its limit, or by age.

Rule. The pool is a queue. In an op, what the object had before is resolved first, then what the op brings:

* **OUT** (code 0). If the object is in the pool it leaves it. With size -1 it goes to the device. With any other size
  it enters at the young end, and if the bytes in the pool are more than ``limit`` then, the pool is *full*.
* **IN** (code 1). With ``lru``, an object in the pool goes to the young end. With ``exclusive`` it leaves the pool; its
  content is then in RAM only.
* **FREE** (code 2). The object is nowhere.
* An op with code 3 does not reach the pool: nothing happens, and it finds NOWHERE.

Then, behind the op, objects are written back one by one, the oldest first, as long as one of these holds:

* the oldest took its place in the queue ``age`` or longer ago;
* the pool was found full by this op, still has more than ``low`` bytes, and more than one object is left;
* this op has written back an object, but fewer than ``batch``, and more than one object is left.

Each op gets the state in which it found the object: NOWHERE, POOLED, ON_DEVICE or IN_RAM.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.pool_paths import FREE, IN, IN_RAM, NOWHERE, ON_DEVICE, OUT, PASSES, POOLED
from swaptrace.kernels.pool_vector import VectorPool
from swaptrace.kernels.tables import Bytes, Ints, Ints32, grown, readable

__all__ = [
    "FREE", "IN", "IN_RAM", "NEVER", "NOWHERE", "ON_DEVICE", "OUT", "PASSES", "POOLED", "Limits", "new_pool",
]  # fmt: skip

NEVER = 1 << 62  # a limit that no pool reaches, an age that no object
Fed = tuple[Bytes, Ints, Ints, Ints32, Ints]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a pool is written back, in bytes, ns and objects."""

    limit: int
    low: int
    age: int = NEVER
    batch: int = 1


class ListPool:
    """The queue as an ordered dict from object to size: the form for the interpreted engine."""

    def __init__(self, limits: Limits, lru: bool, exclusive: bool) -> None:
        self._limits, self._lru, self._exclusive = limits, lru, exclusive
        self._queue: OrderedDict[int, int] = OrderedDict()
        self._since: dict[int, int] = {}  # when each took its place, kept where age counts
        self._bytes = 0
        self._state = bytearray()

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints) -> Fed:
        """Run ops in order.

        Args:
            op: uint8[n], 0 OUT, 1 IN, 2 FREE, 3 does not reach the pool.
            unit: int32[n], dense ids of the objects.
            size: int64[n], of OUTs: bytes that they occupy, above 0; -1: goes to the device.
            ts: int64[n], their times in ns; where no age counts they are not looked at.

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
        limit, low, lru, exclusive = self._limits.limit, self._limits.low, self._lru, self._exclusive
        ages, since = self._limits.age < NEVER, self._since
        rare = ages or self._limits.batch > 1
        times = ts.tolist() if ages else []
        for i, (code, u, bytes_in) in enumerate(zip(op.tolist(), unit.tolist(), size.tolist(), strict=True)):
            if code == 3:
                continue
            was = found[i] = state[u]
            full = False
            if code == 1:
                if was == POOLED:
                    if exclusive:
                        gone = queue.pop(u)
                        used -= gone
                        change[i] = -gone
                        state[u] = IN_RAM
                    elif lru:
                        queue.move_to_end(u)
                        if ages:
                            since[u] = times[i]
            else:
                gone = queue.pop(u) if was == POOLED else 0
                used -= gone
                if code == 2 or bytes_in < 0:
                    change[i] = -gone
                    state[u] = ON_DEVICE if code == 0 else NOWHERE
                else:
                    queue[u] = bytes_in
                    used += bytes_in
                    change[i] = bytes_in - gone
                    state[u] = POOLED
                    full = used > limit
                    if ages:
                        since[u] = times[i]
            written = 0
            while (full and used > low and len(queue) > 1) or (rare and self._goes(written, times[i] if ages else 0)):
                victim, gone = queue.popitem(last=False)
                used -= gone
                written += 1
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

    def _goes(self, written: int, now: int) -> bool:
        """Return whether the oldest object is written back for its age, or to fill a batch."""
        if not self._queue:
            return False
        if self._limits.age < NEVER and now - self._since[next(iter(self._queue))] >= self._limits.age:
            return True
        return 0 < written < self._limits.batch and len(self._queue) > 1


class LoopPool:
    """The queue as links between objects: the form for the compiled engine. Link 0 is both ends."""

    def __init__(self, limits: Limits, lru: bool, exclusive: bool) -> None:
        self._limits, self._lru, self._exclusive = limits, lru, exclusive
        self._state = np.zeros(0, np.uint8)
        self._size: Ints = np.zeros(0, np.int64)
        self._since: Ints = np.zeros(0, np.int64)  # when each took its place, kept where age counts
        self._after: Ints32 = np.zeros(1, np.int32)
        self._before: Ints32 = np.zeros(1, np.int32)
        self._held: Ints = np.zeros(2, np.int64)  # bytes and objects in the pool

    def feed(self, op: Bytes, unit: Ints32, size: Ints, ts: Ints) -> Fed:
        """As :meth:`ListPool.feed`."""
        top = int(unit.max(initial=-1)) + 1
        self._state, self._size = grown(self._state, top, 0), grown(self._size, top, 0)
        self._after, self._before = grown(self._after, top + 1, 0), grown(self._before, top + 1, 0)
        if self._limits.age < NEVER:
            self._since = grown(self._since, top, 0)
        n = len(op)
        room = n + int(self._held[1]) + 1
        found, change = np.zeros(n, np.uint8), np.zeros(n, np.int64)
        after, victims, freed = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int64)
        limits = self._limits
        k = _walk(
            readable(op, np.uint8), readable(unit, np.int32), readable(size, np.int64), readable(ts, np.int64),
            limits.limit, limits.low, limits.age, limits.batch, self._lru, self._exclusive, self._state, self._size,
            self._since, self._after, self._before, self._held, found, change, after, victims, freed,
        )  # fmt: skip
        return found, change, after[:k], victims[:k], freed[:k]


def new_pool(limits: Limits, lru: bool, exclusive: bool) -> ListPool | LoopPool | VectorPool:
    """Return an empty pool in the form of the engine in force."""
    if engine_name() == "numpy" and limits.limit >= NEVER and limits.age >= NEVER:
        return VectorPool(exclusive)
    return (LoopPool if engine_name() == "numba" else ListPool)(limits, lru, exclusive)


@loop
def _walk(
    op: Bytes, unit: Ints32, size: Ints, ts: Ints, limit: int, low: int, age: int, batch: int, lru: bool,
    exclusive: bool, state: Bytes, size_of: Ints, since: Ints, younger: Ints32, older: Ints32, held: Ints,
    found: Bytes, change: Ints, after: Ints, victims: Ints32, freed: Ints,
) -> Any:  # fmt: skip
    """Run the ops; return how many objects were written back."""
    used = held[0]
    objects = held[1]
    ages = age < (1 << 62)
    k = 0
    for i in range(len(op)):
        code = op[i]
        if code == 3:
            continue
        u = unit[i]
        link = u + 1
        was = state[u]
        found[i] = was
        full = False
        leaves = was == 1 and (code != 1 or lru or exclusive)
        if leaves:
            younger[older[link]] = younger[link]
            older[younger[link]] = older[link]
            used -= size_of[u]
            objects -= 1
            change[i] = -size_of[u]
        if code == 0 and size[i] >= 0:
            size_of[u] = size[i]
        if (code == 0 and size[i] >= 0) or (code == 1 and leaves and not exclusive):
            last = older[0]
            younger[last] = link
            older[link] = last
            younger[link] = 0
            older[0] = link
            used += size_of[u]
            objects += 1
            change[i] += size_of[u]
            state[u] = 1
            full = code == 0 and used > limit
            if ages:
                since[u] = ts[i]
        elif code == 1:
            if leaves:
                state[u] = 3
        else:
            state[u] = 2 if code == 0 else 0
        if full or ages:
            written = 0
            while objects > 0:
                first = younger[0]
                if not ages or ts[i] - since[first - 1] < age:
                    wanted = (full and used > low) or (written > 0 and written < batch)
                    if not wanted or objects == 1:
                        break
                younger[0] = younger[first]
                older[younger[first]] = 0
                used -= size_of[first - 1]
                objects -= 1
                state[first - 1] = 2
                after[k] = i
                victims[k] = first - 1
                freed[k] = size_of[first - 1]
                k += 1
                written += 1
    held[0] = used
    held[1] = objects
    return k
