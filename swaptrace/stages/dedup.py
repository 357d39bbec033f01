"""Equal contents are stored once: a content index with reference counts, for each device (or what acts as one).

Rule. The index holds every content that a live object has below this stage, with the number of objects that have it
(strict: a content whose last object dies leaves at once). A writeout that reaches the stage looks its hash up while
its object still holds its old content. If the content is held, the writeout is a *hit*: nothing is stored, and the
object takes a reference. Otherwise it is stored as a new *block*. Then, if the object held another reference, that
one is given back; a block that loses its last reference dies. A missing writeout whose object gave back the last
reference of its old block in the same op stores in place: the block stays and its content changes. Reads go to the
block of the object's content. A free gives the object's reference back. A writeout without a hash is stored as a
block of its own that no other can hit.

A hit is *cross-memcg* if no object written by the same memory cgroup holds the content at that moment. Equal hashes
count as equal contents (a 64-bit hash of n distinct contents collides with probability n**2 / 2**65); pairs of
content and cgroup are told apart by a 64-bit mix in the same way.

Source: Nhat Pham, linux-mm 2026-04-11 (content index and refcount per medium); YoungJun Park 2026-04-14.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.refcounts import RefCounts
from swaptrace.kernels.tables import grown
from swaptrace.model.component import Layout, Space, Stage, choice, count_param
from swaptrace.model.ledger import Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import CARRIED, NOTHING, Backing, Ops
from swaptrace.stages.sharing import MemcgSharing

__all__ = ["Dedup"]

_NONE = -1  # by handle: the object holds nothing below this stage
_UNHASHED = -2  # by handle: it holds a block that is not in the index
_BORN = np.int64(1) << 40  # in block references: _BORN + k is the k-th block stored in this batch, less is its number


class Dedup(Stage):
    """Inline dedup of page contents with strict reference counts."""

    name = "dedup"
    summary = "equal contents are stored once, with reference counts"
    params = (
        choice("scope", "device", "contents are shared inside one swap device", {"device": "device"}),
        choice("index", "strict", "the index forgets a content with its last object", {"strict": "strict"}),
        count_param("entry", "24", "bytes of an index entry: hash 8, slot 8, link 4, refcount 4", least=1),
    )
    requires = (Capability.HASH,)
    columns = ("hash", "memcg")
    assumptions = (
        "Equal hashes are equal contents; n distinct contents collide with probability n^2 / 2^65.",
        "No read-back to verify a hit.",
        "All swap devices of the trace act as one device.",
    )
    references = (
        "CAKEwX=NtcGBnDpSuePqfK9G4jACC5gU95-69A4z5JzKkYRq1YA@mail.gmail.com",
        "20260320192735.748051-1-nphamcs@gmail.com",
    )

    def __init__(self, scope: str, index: str, entry: int) -> None:  # one value each today: named in the spec
        self._entry = entry
        self._contents = RefCounts()
        self._block_of = np.full(len(self._contents.count), -1, np.int32)  # by content
        self._content = np.full(0, _NONE, np.int64)  # by handle
        self._block = np.full(0, -1, np.int32)  # by handle
        self._sharing = MemcgSharing()
        self._spare = np.empty(0, np.int32)  # numbers of dead blocks, to be used again
        self._given_out = 0

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger

    def feed(self, ops: Ops) -> None:
        """Turn stores into hits and blocks, and the ends of objects into the ends of blocks."""
        n = len(ops)
        size = int(ops.handle.max()) + 1
        self._content, self._block = grown(self._content, size, _NONE), grown(self._block, size, -1)
        takes = np.flatnonzero(ops.store)
        gives = np.flatnonzero((ops.drop != NOTHING) | ops.inplace)  # ops that give an old reference back
        content = self._numbered(ops, takes)
        old = np.full(n, _NONE, np.int64)
        old[gives] = ops.before(content, self._content, gives)

        # Every change of a reference count, in time order: in an op, take first, then give back.
        change = np.concatenate([2 * takes[content[takes] != _UNHASHED], 2 * gives[old[gives] != _UNHASHED] + 1])
        change.sort()
        at, giving = change >> 1, (change & 1) == 1
        number = np.where(giving, old[at], content[at])
        refs = self._contents.change(number, 1 - 2 * giving.astype(np.int64))
        at, giving = at[refs.order], giving[refs.order]
        missing = ~giving & (refs.before == 0)
        hit = np.zeros(n, np.bool_)
        hit[at[~giving & (refs.before > 0)]] = True
        dies = np.zeros(n, np.bool_)
        dies[at[giving & (refs.before == 1)]] = True
        unhashed = takes[content[takes] == _UNHASHED]
        dies[gives[old[gives] == _UNHASHED]] = True

        # Which block each store leaves its object with: a born one, or the one that its content already has.
        born = np.concatenate([at[missing], unhashed])  # op that stored each new block
        held = np.zeros(n, np.int64)
        row = np.arange(len(at))
        source = np.maximum.accumulate(np.where(missing | refs.first, row, 0))  # row that last decided the key's block
        birth = np.cumsum(missing) - 1
        current = np.where(missing[source], _BORN + birth[source], self._block_of[refs.key])
        held[at[~giving]] = current[~giving]
        held[unhashed] = _BORN + np.count_nonzero(missing) + np.arange(len(unhashed))
        reads = np.flatnonzero(ops.fetch)
        lower = np.full(n, -1, np.int64)  # the block that the object had before the op
        for where in (gives, reads):
            lower[where] = ops.before(held, self._block, where)
        inplace = ops.store & ~hit & ops.inplace & dies
        number_of = self._numbers(np.where(inplace[born], lower[born], -1))

        def resolved(reference: NDArray[np.int64]) -> NDArray[np.int32]:
            index = np.maximum(reference - _BORN, 0)
            return np.where(reference >= _BORN, number_of[index] if len(number_of) else 0, reference).astype(np.int32)

        block = np.where(ops.store, resolved(held), resolved(lower))
        drop = np.where(dies & ~inplace, resolved(lower), np.int32(NOTHING))
        stored_at = np.full(n, CARRIED, np.int32)
        inside = np.flatnonzero(lower >= _BORN)
        stored_at[inside] = born[lower[inside] - _BORN]

        self._block_of[refs.key[missing]] = number_of[: np.count_nonzero(missing)]  # in time order in a key
        self._content[ops.handle[takes]] = content[takes]
        self._block[ops.handle[takes]] = block[takes]
        ended = drop[drop != NOTHING]
        self._spare = np.concatenate([self._spare, ended])
        self._account(ops, takes, unhashed, hit, dies, born, refs.before[~giving])
        self._ledger.count("dedup.cross_memcg_hits", self._sharing.cross_hits(ops, takes, gives, hit))
        ops.backing[hit] = Backing.SHARED
        ops.store &= ~hit
        ops.inplace, ops.block, ops.drop, ops.stored_at = inplace, block, drop, stored_at

    def _numbered(self, ops: Ops, takes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each op the number of the content that it stores, _UNHASHED, or _NONE."""
        content = np.full(len(ops), _NONE, np.int64)
        known = ops.columns["has_hash"][takes]
        content[takes[~known]] = _UNHASHED
        number, moved = self._contents.number(ops.columns["hash"][takes[known]])
        content[takes[known]] = number
        if moved is not None:
            indexed = self._content >= 0
            self._content[indexed] = moved[self._content[indexed]]
            alive = np.flatnonzero(moved >= 0)
            blocks = np.full(len(self._contents.count), -1, np.int32)
            blocks[moved[alive]] = self._block_of[alive]
            self._block_of = blocks
        return content

    def _numbers(self, parent: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the numbers of this batch's blocks: a fresh one, or that of ``parent`` which it stores over.

        ``parent`` is a block reference or -1. Chains of in-place stores are followed by pointer doubling.
        """
        n = len(parent)
        jump = np.where(parent >= _BORN, parent - _BORN, np.arange(n))
        while bool((jump[jump] != jump).any()):
            jump = jump[jump]
        fresh = np.flatnonzero(parent == -1)
        spare = min(len(fresh), len(self._spare))
        numbers = np.where(parent >= _BORN, -1, parent)
        numbers[fresh[:spare]] = self._spare[len(self._spare) - spare :]
        self._spare = self._spare[: len(self._spare) - spare]
        numbers[fresh[spare:]] = self._given_out + np.arange(len(fresh) - spare)
        self._given_out += len(fresh) - spare
        return numbers[jump].astype(np.int32)

    def _account(
        self,
        ops: Ops,
        takes: NDArray[np.int64],
        unhashed: NDArray[np.int64],
        hit: NDArray[np.bool_],
        dies: NDArray[np.bool_],
        born: NDArray[np.int64],
        before: NDArray[np.int64],
    ) -> None:
        ledger = self._ledger
        hits = int(np.count_nonzero(hit))
        ledger.count("dedup.arrived", len(takes))
        ledger.count("dedup.hits", hits)
        ledger.count("dedup.saved_bytes", 4096 * hits)
        ledger.count("dedup.unhashed", len(unhashed))
        if len(before):
            ledger.most("dedup.refs_max", int(before.max()) + 1)
        change = np.zeros(len(ops), np.int64)
        change[born] += 1
        change[dies] -= 1
        ledger.hold("dedup.unique", change)
        ledger.hold("dedup.index_bytes", self._entry * change)
