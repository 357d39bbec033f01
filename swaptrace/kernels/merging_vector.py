"""Pages of equal content that share one entry, vectorised where nothing can be merged; the rule is that of stage ksm.

An object *holds* a content from the writeout that finds no node of it to its next one with other content, or its end.
A content is *contested* in a batch if a writeout finds it held by another object, or if its node is stable. Any other
has one holder at a time, whose own entry is the node, whatever happens to contested ones.

So objects that meet no contested content keep entries of their own, and their ops stay what they are. The ops of all
others run through the loop. Their contents that are not contested mean the same to it without the ops that are left
out, if nodes that end in this batch are forgotten before, and those that are there at its end noted after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swaptrace.kernels.merging_loop import LoopMerging
from swaptrace.kernels.merging_state import NO_NODE, Merged
from swaptrace.kernels.tables import Bools, Ints, Ints32
from swaptrace.model.ops import CARRIED, Op, Ops

__all__ = ["VectorMerging"]


@dataclass(frozen=True, slots=True)
class _Holds:
    """Begins and ends of holds, grouped by content, in time order inside a content."""

    content: Ints
    at: Ints
    """Index of the op."""
    begins: Bools
    first: Bools
    """Of its content."""


class VectorMerging(LoopMerging):
    """No state of its own."""

    def feed(self, ops: Ops) -> Merged:
        """Run ops in order."""
        contents = self._contents(ops)
        entry = self._entry_of[ops.handle]  # before this batch
        holds = self._holds(ops, contents, entry)
        contested, looping = self._contested(ops, entry, holds)
        sole = ~contested[holds.content]
        self._forget(holds.content[holds.first & sole])
        result = Merged.unchanged(ops.op, ops.new)
        ended = self._keep(ops, ~looping, entry, result.handle)
        rows = np.flatnonzero(looping)
        if len(rows):
            did, gone = self._run(ops.op[rows], ops.handle[rows], ops.ts[rows], ops.new[rows], contents[rows])
            result.put(rows, did)
            ended = np.concatenate([ended, gone])
        self._spare = np.concatenate([self._spare, ended])
        left = np.flatnonzero(holds.begins & sole & np.append(holds.first[1:], True))  # held after this batch
        self._note(holds.content[left], result.handle[holds.at[left]], ops.ts[holds.at[left]])
        return result

    def _holds(self, ops: Ops, contents: Ints32, entry: Ints32) -> _Holds:
        """Return the holds that begin or end in this batch, as if each writeout found no node but its own."""
        ends = np.flatnonzero((ops.store & ~ops.new) | (ops.op == Op.FREE))
        prev = ops.prev[ends]
        old = np.where(prev >= 0, contents[np.maximum(prev, 0)], self._content[entry[ends]])
        same = old == contents[ends]  # the hold goes on
        begins = contents >= 0
        begins[ends[same]] = False
        begin = np.flatnonzero(begins)
        end = np.flatnonzero(~same & (old >= 0))
        bits = len(ops).bit_length()
        key = np.append(contents[begin], old[end]).astype(np.int64) << (bits + 1)
        key |= np.append(2 * begin + 1, 2 * ends[end])
        key.sort()
        content = key >> (bits + 1)
        return _Holds(
            content,
            (key >> 1) & ((1 << bits) - 1),
            (key & 1).astype(np.bool_),
            np.append(True, content[1:] != content[:-1])[: len(key)],
        )

    def _contested(self, ops: Ops, entry: Ints32, holds: _Holds) -> tuple[Bools, Bools]:
        """Return which contents are contested (by number; -1, none, is not), and which ops run through the loop."""
        contested = np.zeros(len(self._node_of) + 1, np.bool_)
        held = np.append(False, holds.begins[:-1])[: len(holds.at)]
        held[holds.first] = self._node_of[holds.content[holds.first]] != NO_NODE
        contested[holds.content[holds.begins & held]] = True
        carried = np.flatnonzero(ops.birth == CARRIED)
        mine = entry[carried]
        contested[self._content[mine[self._stable[mine] > 0]]] = True
        looping = np.zeros(len(self._entry_of), np.bool_)  # by handle
        looping[ops.handle[carried[contested[self._content[mine]]]]] = True
        looping[ops.handle[holds.at[contested[holds.content]]]] = True
        return contested, looping[ops.handle]

    def _keep(self, ops: Ops, which: Bools, entry: Ints32, handle: Ints32) -> Ints32:
        """Run the ops ``which``, whose objects keep entries of their own, and fill in these; return those that end."""
        born = np.flatnonzero(which & ops.new)
        spare = min(len(born), len(self._spare))
        fresh = np.arange(self._given_out, self._given_out + len(born) - spare, dtype=np.int32)
        number = np.append(self._spare[len(self._spare) - spare :], fresh)
        self._spare, self._given_out = self._spare[: len(self._spare) - spare], self._given_out + len(fresh)
        handle[:] = entry
        handle[born] = number
        inside = np.flatnonzero(ops.birth >= 0)
        handle[inside] = handle[ops.birth[inside]]
        self._refs[number] = 1
        self._entry_of[ops.handle[born]] = number  # in time order, as below: the last one of an object stays
        touched = np.flatnonzero(which & ((ops.op == Op.OUT) | (ops.op == Op.IN)))
        self._faulted[ops.handle[touched]] = ops.op[touched] == Op.IN
        ended: Ints32 = handle[which & (ops.op == Op.FREE)]
        return ended

    def _forget(self, content: Ints) -> None:
        """Forget the nodes of contents."""
        node = self._node_of[content]
        self._content[node[node != NO_NODE]] = NO_NODE
        self._node_of[content] = NO_NODE
        self._nodes.count[content] = 0

    def _note(self, content: Ints, node: Ints32, since: Ints) -> None:
        """Note the nodes of contents."""
        self._content[node] = content
        self._node_of[content] = node
        self._nodes.count[content] = 1
        self._since[node] = since
