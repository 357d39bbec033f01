"""Equal contents are stored once: a content index with reference counts, for each device (or what acts as one).

Rule. The index holds every content that a live object has below this stage, with the number of objects that have it
(strict: a content whose last object dies leaves at once). A writeout that reaches the stage looks its hash up while
its object still holds its old content. If the content is held, the writeout is a *hit*: nothing is stored, and the
object takes a reference. Otherwise it is stored as a new *block*. Then, if the object held another reference, that
one is given back; a block that loses its last reference dies. A missing writeout whose object gave back the last
reference of its old block in the same op stores in place: the block stays and its content changes. Reads go to the
block of the object's content. A free gives the object's reference back. A writeout without a hash is stored as a
block of its own that no other can hit.

With ``index=loose`` the index forgets late, by the rule of :mod:`swaptrace.kernels.stale`: a content whose last object
died is *stale*, and its block stays on the device, in its slot, until it is cleaned ``ttl`` later, or earlier if more
than ``capacity`` contents are stale or the device has no room left. A writeout of a stale content is a *stale hit*:
nothing is stored. Stale hits are counted apart from hits.

With ``verify=full`` every hit reads its block back (4096 B) to compare it. These reads are counted apart, not among the
device's reads: where the block is by then (a buffer, the device) is the business of the stages below.

A hit is *cross-memcg* if no object written by the same memory cgroup holds the content at that moment. Equal hashes
count as equal contents (a 64-bit hash of n distinct contents collides with probability n**2 / 2**65); pairs of
content and cgroup are told apart by a 64-bit mix in the same way.

Source: Nhat Pham, linux-mm 2026-04-11 (content index and refcount per medium); YoungJun Park 2026-04-14.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.contents import Contents, Taken, new_contents
from swaptrace.kernels.order import indices
from swaptrace.kernels.stale import StaleContents, StaleTaken
from swaptrace.model.component import PAGE, Account, Layout, Param, Space, Stage, choice, count_param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import Backing, Op, Ops
from swaptrace.model.units import parse_time_ns
from swaptrace.stages.sharing import MemcgSharing

__all__ = ["Dedup"]


_FOREVER = 1 << 62


def _ttl(text: str) -> int:
    return _FOREVER if text == "inf" else parse_time_ns(text)


class Dedup(Stage):
    """Inline dedup of page contents with strict reference counts, or an index that forgets late."""

    name = "dedup"
    summary = "equal contents are stored once, with reference counts"
    params = (
        choice("scope", "device", "contents are shared inside one swap device", {"device": "device"}),
        choice(
            "index",
            "strict",
            "strict: the index forgets a content with its last object; loose: only when it is cleaned",
            {"strict": False, "loose": True},
        ),
        Param(
            "ttl",
            "60s",
            "loose: a stale content is cleaned after this time; inf: never",
            _ttl,
            "time",
            ("0s", "2us", "inf"),
        ),
        count_param("capacity", "65536", "loose: most stale contents that are kept", examples=("0", "30")),
        choice("verify", "none", "full: read a block back at each hit", {"none": False, "full": True}),
        count_param("entry", "24", "bytes of an index entry: hash 8, slot 8, link 4, refcount 4", least=1),
    )
    requires = (Capability.HASH,)
    columns = ("hash", "memcg")
    assumptions = (
        "Equal hashes are equal contents; n distinct contents collide with probability n^2 / 2^65.",
        "Hits are not verified by reading back unless verify=full; a read-back never finds a difference.",
        "A loose index is cleaned by ops that write out or free, one block by each.",
        "All swap devices of the trace act as one device.",
    )
    references = (
        "CAKEwX=NtcGBnDpSuePqfK9G4jACC5gU95-69A4z5JzKkYRq1YA@mail.gmail.com",
        "20260320192735.748051-1-nphamcs@gmail.com",
    )

    def __init__(self, scope: str, index: bool, ttl: int, capacity: int, verify: bool, entry: int) -> None:
        """Take the parsed parameters; ``scope`` has one value, which the reports name."""
        if not index and (ttl, capacity) != (_ttl("60s"), 65536):
            raise UsageError(
                "dedup: ttl and capacity cannot act.",
                "A strict index forgets a content with its last object: none is stale.",
                "Leave them out, or take index=loose.",
            )
        self._entry, self._loose, self._verify = entry, index, verify
        self._contents: Contents = StaleContents(ttl, capacity) if index else new_contents()
        self._sharing = MemcgSharing()

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        if isinstance(self._contents, StaleContents):
            self._contents.room = space.slots - 1  # less the swap header

    def feed(self, ops: Ops) -> Ops:
        """Turn stores into hits and blocks, and the ends of objects into the ends of blocks."""
        takes = indices(ops.store)
        self._sharing.meet(ops.columns["memcg"][takes], self._contents.holders)
        taken = self._contents.feed(ops)
        self._account(ops, takes, taken)
        ops.backing |= taken.hit * np.uint8(Backing.SHARED)  # a store is pending, 0, until now
        ops.store &= ~taken.hit
        ops.inplace, ops.block, ops.drop, ops.stored_at = taken.inplace, taken.block, taken.drop, taken.stored_at
        return ops

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield hits, what they saved, and the size of the index."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        for name in ("hits", "cross_memcg_hits", "unhashed", "saved_bytes", "refs_max"):
            yield f"dedup.{name}", counts[f"dedup.{name}"]
        if self._loose:
            yield "dedup.stale_hits", counts["dedup.stale_hits"]
            yield "dedup.stale_peak", gauges["dedup.stale"].peak if "dedup.stale" in gauges else 0
        if self._verify:
            yield "dedup.verify_bytes", counts["dedup.verify_bytes"]
        if counts["dedup.arrived"]:
            yield "dedup.hit_rate", counts["dedup.hits"] / counts["dedup.arrived"]
        for name in ("dedup.unique", "dedup.index_bytes"):
            yield f"{name}_peak", gauges[name].peak if name in gauges else 0

    def account(self) -> Account:
        """A hit is stored nowhere; a loose index keeps blocks that no object has."""
        counts, stale = self._ledger.counts, self._ledger.gauges.get("dedup.stale", Gauge())
        return Account(counts["dedup.hits"] + counts["dedup.stale_hits"], stale=stale.now)

    def idle(self) -> bool:
        """A loose index is never idle: it stores nothing in place."""
        return not self._loose and super().idle()

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """Each writeout that reaches the stage is hashed and looked up; a verified hit is read back and compared."""
        if op != Op.OUT or backing in (Backing.ZERO, Backing.SAME):
            return ()
        verified = self._verify and backing == Backing.SHARED
        return ("hash_ns", "index_ns", *(("device_read_ns", "compare_ns") if verified else ()))

    def _account(self, ops: Ops, takes: NDArray[np.int64], taken: Taken) -> None:
        ledger = self._ledger
        saved = int(np.count_nonzero(taken.hit))
        live = taken.hit
        if isinstance(taken, StaleTaken):
            live = taken.hit & ~taken.stale_hit
            ledger.count("dedup.stale_hits", int(np.count_nonzero(taken.stale_hit)))
            ledger.hold("dedup.stale", taken.stale)
            ledger.hold("dedup.index_bytes", taken.stale, self._entry)
        if self._verify:
            ledger.count("dedup.verify_bytes", PAGE * saved)
        ledger.count("dedup.arrived", len(takes))
        ledger.count("dedup.hits", int(np.count_nonzero(live)))
        ledger.count("dedup.saved_bytes", PAGE * saved)
        ledger.count("dedup.unhashed", taken.unhashed)
        ledger.most("dedup.refs_max", taken.refs_max)
        ledger.hold("dedup.unique", taken.unique)
        ledger.hold("dedup.index_bytes", taken.unique, self._entry)
        ledger.count("dedup.cross_memcg_hits", self._sharing.cross_hits(ops, takes, live))
