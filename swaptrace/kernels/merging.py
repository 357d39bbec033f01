"""Pages of equal content that share one entry: the rule of the stage ksm as one loop over the ops.

Entries get dense numbers of their own; those that ended are used again from the next batch on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.order import indices
from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, grown, readable
from swaptrace.model.ops import Ops

__all__ = ["NO_GIVE", "Merged", "Merging"]

NO_GIVE = 255


@dataclass(frozen=True, slots=True)
class Merged:
    """What n ops became; one entry per op of the input."""

    op: Bytes
    handle: Ints32
    """The entry that the op is on."""
    new: Bools
    give: Bytes
    """PUT or FREE of the entry that the object leaves before its writeout, NO_GIVE if it leaves none."""
    given: Ints32
    merged: Ints8
    """Change of the number of objects that share another's entry."""
    stable: Ints8
    """Change of the number of merged contents."""
    changed: Bools
    """The op is not what it was, but for its handle."""


class Merging:
    """Entries and their owners, carried from batch to batch."""

    def __init__(self, lag: int) -> None:
        """``lag`` in ns."""
        self._lag = lag
        self._nodes = RefCounts()  # by content number: 1 if later copies have an entry to merge with
        self._node_of: Ints32 = np.full(len(self._nodes.count), -1, np.int32)  # by content number: that entry
        self._entry_of: Ints32 = np.full(0, -1, np.int32)  # by handle
        self._faulted = np.zeros(0, np.uint8)  # by handle: read since its latest writeout
        self._refs: Ints32 = np.zeros(0, np.int32)  # by entry, as all below
        self._content: Ints32 = np.full(0, -1, np.int32)  # whose node it is, -1 none
        self._since: Ints = np.zeros(0, np.int64)
        self._flags = np.zeros(0, np.uint8)  # 1 read since its latest writeout, 2 stable
        self._spare: Ints32 = np.empty(0, np.int32)
        self._given_out = 0

    def feed(self, ops: Ops) -> Merged:
        """Run ops in order; needs the columns ``hash`` and ``has_hash``, and changes nothing in ``ops``."""
        n = len(ops)
        known = ops.columns["has_hash"]
        number = self._numbers(ops.columns["hash"][indices(known & ops.store)])
        handles, entries = int(ops.handle.max()) + 1, self._given_out + n
        self._entry_of, self._faulted = grown(self._entry_of, handles, -1), grown(self._faulted, handles, 0)
        self._refs, self._content = grown(self._refs, entries, 0), grown(self._content, entries, -1)
        self._since, self._flags = grown(self._since, entries, 0), grown(self._flags, entries, 0)
        op, handle, new = ops.op.copy(), np.empty(n, np.int32), ops.new.copy()
        give, given = np.full(n, NO_GIVE, np.uint8), np.empty(n, np.int32)
        merged, stable, changed = np.zeros(n, np.int8), np.zeros(n, np.int8), np.zeros(n, np.bool_)
        ended = np.empty(2 * n, np.int32)
        state = np.array([len(self._spare), self._given_out, 0], np.int64)
        _walk(
            readable(ops.handle, np.int32), readable(ops.ts, np.int64), readable(known, np.bool_),
            readable(number, np.int64), self._lag, op, handle, new, give, given, merged, stable, changed,
            self._entry_of, self._faulted, self._refs, self._content, self._since, self._flags, self._node_of,
            self._nodes.count, readable(self._spare, np.int32), ended, state,
        )  # fmt: skip
        self._spare = np.concatenate([self._spare[: state[0]], ended[: state[2]]])
        self._given_out = int(state[1])
        return Merged(op, handle, new, give, given, merged, stable, changed)

    def _numbers(self, key: np.ndarray[Any, np.dtype[np.uint64]]) -> Ints:
        """Return the content numbers of hashes."""
        number, moved = self._nodes.number(key)
        if moved is not None:
            nodes = np.flatnonzero(self._content >= 0)
            self._content[nodes] = moved[self._content[nodes]]
            self._node_of = np.full(len(self._nodes.count), -1, np.int32)
            self._node_of[self._content[nodes]] = nodes
        return number


@loop
def _walk(
    handles: Ints32, ts: Ints, known: Bools, numbers: Ints, lag: int, op: Bytes, handle: Ints32, new: Bools,
    give: Bytes, given: Ints32, merged: Ints8, stable: Ints8, changed: Bools, entry_of: Ints32, faulted: Bytes,
    refs: Ints32, content: Ints32, since: Ints, flags: Bytes, node_of: Ints32, nodes: Ints32, spare: Ints32,
    ended: Ints32, state: Ints,
) -> Any:  # fmt: skip
    """Run the ops; ``state`` has the numbers to be used again, those given out, and the entries that ended."""
    left = state[0]
    given_out = state[1]
    ends = 0
    k = 0
    for i in range(len(handles)):
        h = handles[i]
        what = op[i]
        gone = -1  # entry that ends
        if what == 0:  # OUT
            e = -1 if new[i] else entry_of[h]
            c = -1
            n = -1
            if known[i]:
                c = numbers[k]
                n = node_of[c]
                k += 1
            alone = e >= 0 and refs[e] == 1
            joins = n >= 0 and not (n == e and alone) and ts[i] - since[n] >= lag
            if e >= 0 and not alone:
                give[i] = 6  # PUT
                given[i] = e
                refs[e] -= 1
                merged[i] -= 1
                e = -1
            if joins:
                if e >= 0:
                    give[i] = 2  # FREE
                    given[i] = e
                    gone = e
                e = n
                refs[n] += 1
                merged[i] += 1
                if flags[n] < 2:
                    stable[i] += 1
                flags[n] = 2
                op[i] = 5  # DUP
                new[i] = False
                changed[i] = True
            elif e >= 0:  # its own entry is written over
                old = content[e]
                if old != c or c < 0:
                    if flags[e] >= 2:
                        stable[i] -= 1
                    flags[e] = 0
                    if old >= 0:
                        node_of[old] = -1
                        nodes[old] = 0
                        content[e] = -1
                else:
                    flags[e] &= 2
            else:
                if left > 0:
                    left -= 1
                    e = spare[left]
                else:
                    e = given_out
                    given_out += 1
                refs[e] = 1
                content[e] = -1
                flags[e] = 0
                changed[i] = not new[i]
                new[i] = True
            if c >= 0 and node_of[c] < 0:
                node_of[c] = e
                nodes[c] = 1
                content[e] = c
                since[e] = ts[i]
            entry_of[h] = e
            faulted[h] = 0
        else:
            e = entry_of[h]
            if what == 1:  # IN
                if faulted[h] == 0 and (flags[e] & 1) == 1:
                    op[i] = 3  # HIT: a copy
                    changed[i] = True
                flags[e] |= 1
                faulted[h] = 1
            elif what == 2:  # FREE
                if refs[e] > 1:
                    refs[e] -= 1
                    merged[i] -= 1
                    op[i] = 6  # PUT
                    changed[i] = True
                else:
                    gone = e
        handle[i] = e
        if gone >= 0:
            if content[gone] >= 0:
                node_of[content[gone]] = -1
                nodes[content[gone]] = 0
                content[gone] = -1
            if flags[gone] >= 2:
                stable[i] -= 1
            flags[gone] = 0
            ended[ends] = gone
            ends += 1
    state[0] = left
    state[1] = given_out
    state[2] = ends
    return k
