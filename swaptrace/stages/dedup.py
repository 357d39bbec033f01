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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.refcounts import Changes, RefCounts
from swaptrace.kernels.tables import grown
from swaptrace.model.component import Layout, Param, Space, choice, count_param
from swaptrace.model.ledger import Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import CARRIED, NOTHING, Backing, Op, Ops

__all__ = ["Dedup"]

_NONE = -1  # by handle: the object holds nothing below this stage
_UNHASHED = -2  # by handle: it holds a block that is not in the index
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class Dedup:
    """Inline dedup of page contents with strict reference counts."""

    name = "dedup"
    summary = "equal contents are stored once, with reference counts"
    params: tuple[Param, ...] = (
        choice("scope", "device", "contents are shared inside one swap device", {"device": "device"}),
        choice("index", "strict", "the index forgets a content with its last object", {"strict": "strict"}),
        count_param("entry", "24", "bytes of an index entry: hash 8, slot 8, link 4, refcount 4", least=1),
    )
    requires: tuple[Capability, ...] = (Capability.HASH,)
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

    def __init__(self, scope: str, index: str, entry: int) -> None:
        self._entry = entry
        self._contents = RefCounts()
        self._block_of = np.full(len(self._contents.count), -1, np.int32)  # by content
        self._content = np.full(0, _NONE, np.int64)  # by handle
        self._block = np.full(0, -1, np.int32)  # by handle
        self._memcg = np.zeros(0, np.uint64)  # by handle: who wrote its content
        self._shares = RefCounts()  # of (content, memcg); used once a second memory cgroup appears
        self._share = np.full(0, _NONE, np.int64)  # by handle
        self._groups: set[int] = set()
        self._spare = np.empty(0, np.int32)
        self._blocks = 0

    def start(self, space: Space, ledger: Ledger, layout: Layout) -> None:
        """Begin a replay."""
        self._ledger = ledger
