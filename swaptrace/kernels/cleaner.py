"""Which stale contents of a batch are cleaned, and when; the rule is at the head of :mod:`swaptrace.kernels.stale`.

Contents become stale, and are asked for again, whatever the cleaner does; only whether a take finds the content that
it asks for depends on it. So the queue of a batch is known beforehand: *entries* in the order in which they became
stale, each with the op that asks for it. Known is, too, by how many entries each op would find the limits exceeded if
nothing were cleaned in the batch: its *level*, at most as many as there would be. Entries that were cleaned and not
asked for since are to be taken from that: so far the cleaner is *ahead*.

What is left then is raised by one at most, by an op that makes a content stale or stores a block while no other dies.
Such an op cleans one entry, if there is one. So the loop runs over these ops alone, and over takes that may find their
entry cleaned; entries cleaned for their age come between them.
"""

from __future__ import annotations

import numpy as np

from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32

__all__ = ["clean"]

_NEVER = 1 << 62
_ASKED, _CLEANED = 1, 2  # what became of an entry


def clean(
    ts: Ints, may: Bools, aged: Bools, asks: Ints32, level: Ints | None, since: Ints, ttl: int
) -> tuple[Ints, Ints]:
    """Run the cleaner over a batch.

    Args:
        ts: of each op, in ns; as all up to ``level``.
        may: whether a block may be cleaned at its end; these ops are the *turns* of the cleaner.
        aged: whether it makes a content stale; the last entries are those.
        asks: which entry it asks for, -1 if none.
        level: see above; None if it is zero or less for all.
        since: of each entry, when it became stale, in ns.
        ttl: in ns.

    Returns:
        The entries that are cleaned, in order, and the ops at which they are.
    """
    old = int(np.searchsorted(since, ts[-1] - ttl, side="right"))  # entries that come of age in this batch
    if not old and level is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    turns = np.flatnonzero(may)
    turn = np.cumsum(may, dtype=np.int64)  # of ops that have none, the next one
    turn -= may
    due = np.searchsorted(ts[turns], since[:old] + ttl)
    ages = turn[np.flatnonzero(aged)]
    late = max(0, old - (len(since) - len(ages)))
    due[old - late :] = np.maximum(due[old - late :], ages[:late])  # ops before it may have the same time

    matters = np.zeros(len(ts), np.bool_) if level is None else level > 0
    first = int(matters.argmax()) if matters.any() else len(ts)
    asking = np.flatnonzero(asks >= 0)
    entry = asks[asking]
    safe = asking <= first  # asked for before it can be cleaned
    aging = np.flatnonzero(entry < old)
    safe[aging] &= turn[asking[aging]] <= due[entry[aging]]
    gone = np.zeros(len(since) + 1, np.uint8)  # behind the entries is one that never goes
    gone[entry[safe]] = _ASKED
    matters[asking[~safe]] = True
    at = np.flatnonzero(matters)
    levels = np.zeros(len(at), np.int64) if level is None else level[at]
    entries, when = _run(turn[at], asks[at], levels, due, gone, len(turns))
    return entries, turns[np.array(when, np.int64)]


def _run(turn: Ints, asks: Ints32, level: Ints, due: Ints, gone: Bytes, turns: int) -> tuple[Ints, list[int]]:
    """Run the ops that matter; ``due`` has the turns at which the first entries are old enough.

    Returns:
        The entries that are cleaned, and the turns.
    """
    state, when, ahead = bytearray(gone), list[int](), 0
    ready = due.tolist()
    ready += [_NEVER] * (len(gone) - len(ready))
    head = state.find(0)  # the oldest entry that is left
    soon = ready[head]  # its turn, if nothing comes between
    numbers = (turn.tolist(), asks.tolist(), level.tolist())
    for each, end in zip(numbers, (turns, -1, 0), strict=True):
        each.append(end)
    for now, entry, most in zip(*numbers, strict=True):
        while soon < now:
            when.append(soon)
            state[head] = _CLEANED
            ahead += 1
            head += 1
            if state[head]:
                head = state.find(0, head)
            last, soon = soon, ready[head]
            if soon <= last:  # one in each turn
                soon = last + 1
        if entry >= 0:
            if state[entry]:
                ahead -= 1
            else:
                state[entry] = _ASKED
                if entry == head:
                    head = state.find(0, head)
                    soon = max(soon, ready[head])
        if most > ahead:
            soon = now
    return np.flatnonzero(np.frombuffer(state, np.uint8) == _CLEANED), when
