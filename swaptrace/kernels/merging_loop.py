"""Pages of equal content that share one entry as one loop over the ops; the rule is that of the stage ksm."""

from __future__ import annotations

from typing import Any

import numpy as np

from swaptrace.kernels.loop import loop
from swaptrace.kernels.merging_state import Merged, Merging
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints8, Ints32, readable
from swaptrace.model.ops import Ops

__all__ = ["LoopMerging"]


class LoopMerging(Merging):
    """No state of its own."""

    def feed(self, ops: Ops) -> Merged:
        """Run ops in order."""
        merged, ended = self._run(ops.op, ops.handle, ops.ts, ops.new, self._contents(ops))
        self._spare = np.concatenate([self._spare, ended])
        return merged

    def _run(self, op: Bytes, handle: Ints32, ts: Ints, new: Bools, contents: Ints32) -> tuple[Merged, Ints32]:
        """Run ops in order; return what they became, and the entries that ended, which are not spare yet."""
        ended = np.empty(2 * len(op), np.int32)
        did = Merged.unchanged(op, new)
        state = np.array([len(self._spare), self._given_out], np.int64)
        ends = _walk(
            readable(handle, np.int32), readable(ts, np.int64), readable(contents, np.int32), self._lag, did.op,
            did.handle, did.new, did.give, did.given, did.merged, did.stable, did.changed, self._entry_of,
            self._faulted, self._refs, self._content, self._since, self._stable, self._node_of, self._nodes.count,
            readable(self._spare, np.int32), ended, state,
        )  # fmt: skip
        self._spare, self._given_out = self._spare[: state[0]], int(state[1])
        return did, ended[:ends]


@loop
def _walk(
    handles: Ints32, ts: Ints, contents: Ints32, lag: int, op: Bytes, handle: Ints32, new: Bools, give: Bytes,
    given: Ints32, merged: Ints8, stable: Ints8, changed: Bools, entry_of: Ints32, faulted: Bytes, refs: Ints32,
    content: Ints32, since: Ints, stable_of: Bytes, node_of: Ints32, nodes: Ints32, spare: Ints32, ended: Ints32,
    state: Ints,
) -> Any:  # fmt: skip
    """Run the ops; ``state`` has the numbers to be used again, and those given out; return how many entries ended."""
    left = state[0]
    given_out = state[1]
    ends = 0
    for i in range(len(handles)):
        h = handles[i]
        what = op[i]
        gone = -1  # entry that ends
        if what == 0:  # OUT
            e = -1 if new[i] else entry_of[h]
            c = contents[i]
            n = -1 if c < 0 else node_of[c]
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
                if stable_of[n] == 0:
                    stable[i] += 1
                stable_of[n] = 1
                op[i] = 5  # DUP
                new[i] = False
                changed[i] = True
            elif e >= 0:  # its own entry is written over
                old = content[e]
                if old != c or c < 0:
                    if stable_of[e] > 0:
                        stable[i] -= 1
                        stable_of[e] = 0
                    if old >= 0:
                        node_of[old] = -1
                        nodes[old] = 0
                        content[e] = -1
                elif stable_of[e] > 0:
                    stable_of[e] = 1
            else:
                if left > 0:
                    left -= 1
                    e = spare[left]
                else:
                    e = given_out
                    given_out += 1
                refs[e] = 1
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
                if stable_of[e] > 0:
                    if stable_of[e] == 2 and faulted[h] == 0:
                        op[i] = 3  # HIT: a copy
                        changed[i] = True
                    stable_of[e] = 2
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
            if stable_of[gone] > 0:
                stable[i] -= 1
                stable_of[gone] = 0
            ended[ends] = gone
            ends += 1
    state[0] = left
    state[1] = given_out
    return ends
