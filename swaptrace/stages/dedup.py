"""Equal contents are stored once: a content index with reference counts, in each device or in the pool of zswap.

Rule, ``scope=device``. The index holds every content that a live object has below this stage, with the number of
objects that have it (strict: a content whose last object dies leaves at once). A writeout that reaches the stage looks
its hash up while its object still holds its old content. If the content is held, the writeout is a *hit*: nothing is
stored, and the object takes a reference. Otherwise it is stored as a new *block*. Then, if the object held another
reference, that one is given back; a block that loses its last reference dies. A missing writeout whose object gave back
the last reference of its old block in the same op stores in place: the block stays and its content changes. Reads go to
the block of the object's content. A free gives the object's reference back. A writeout without a hash is stored as a
block of its own that no other can hit.

With ``index=loose`` the index forgets late, by the rule of :mod:`swaptrace.kernels.stale`: a content whose last object
died is *stale*, and its block stays on the device, in its slot, until it is cleaned ``ttl`` later, or earlier if more
than ``capacity`` contents are stale or the device has no room left. A writeout of a stale content is a *stale hit*:
nothing is stored. Stale hits are counted apart from hits.

Rule, ``scope=zswap``. The index is inside the compressed pool, above all devices: the rule of
:mod:`swaptrace.kernels.shared_pool`, with the settings of the stage zswap, where *blocks* are pages in the pool and
*units* are objects. Every writeout that reaches the pool is looked up before it is compressed; a hit is not compressed.
The zswap_entry of 56 B is one for each page in the pool; each reference to it, which is what the tree of a direct
layout or the entry of a virtual one points to, is an entry of its own of 24 B (swap entry 8, shared entry 8, objcg 8).

When a page with several owners is written back, the layout decides what its further owners refer to. In a virtual
layout all owners' entries are pointed to the one slot in which it is written: one write, and a writeback for each
owner, of which the further ones cost one walk and take no slot. From then on they share a block of the device, which
dies with its last owner; the index has forgotten it. In a direct layout the entry of each owner is a slot, and only a
scan of all page tables could change it: the page is written once for each owner, to its own slot (*copied*), and a
swapoff decompresses it for each owner. With ``shared=pin`` pages with several owners are not written back at all, and
the pool may be larger than its limit.

With ``verify=content`` every hit compares the page with the held one: read back from its block (4096 B), in the pool
decompressed. These reads are counted apart, not among the device's reads: where the block is by then (a buffer, the
device) is the business of the stages below. With ``verify=hash`` a second hash of 8 B is kept in each index entry and
compared: each writeout is hashed twice.

With ``charges=on`` the bytes that the pool holds (in a device: 4096 B for each block) are charged to memory cgroups
by the three rules of :mod:`swaptrace.stages.charging`. A reference is owned by the cgroup that wrote its object out. A
writeback gives back all references of its page at once. A stale content is charged to nobody.

A hit is *cross-memcg* if no object written by the same memory cgroup holds the content at that moment. Equal hashes
count as equal contents (a 64-bit hash of n distinct contents collides with probability n**2 / 2**65); pairs of
content and cgroup are told apart by a 64-bit mix in the same way.

Sources: Nhat Pham, linux-mm 2026-04-11 (content index and refcount per medium); YoungJun Park 2026-04-14 (dedup in
zswap is visible to all devices); mm/zswap.c: struct zswap_entry (what a reference needs of its 56 B).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swaptrace.kernels.contents import Contents, Taken, new_contents
from swaptrace.kernels.order import indices
from swaptrace.kernels.shared_pool import SharedFed
from swaptrace.kernels.stale import StaleContents, StaleTaken, new_stale
from swaptrace.kernels.tables import Bools, Ints, Ints8, Ints32
from swaptrace.model.component import PAGE, Account, Layout, Space, Stage, choice, count_param, time_param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import NOTHING, Backing, Op, Ops
from swaptrace.stages.owners import Owners

__all__ = ["Dedup"]


_FOREVER = 1 << 62
_TTL, _CAPACITY = 60 * 10**9, 65536  # the defaults, of an index that is loose
_REFERENCE = 24  # of a zswap_entry, what each owner needs: swap entry, pointer to the shared entry, objcg
_SECOND_HASH = 8


class Dedup(Stage):
    """Inline dedup of page contents with strict reference counts, or an index that forgets late."""

    name = "dedup"
    summary = "equal contents are stored once, with reference counts"
    params = (
        choice(
            "scope",
            "device",
            "contents are shared inside one swap device, or in the compressed pool",
            {"device": False, "zswap": True},
        ),
        choice(
            "index",
            "strict",
            "strict: the index forgets a content with its last object; loose: only when it is cleaned",
            {"strict": False, "loose": True},
        ),
        time_param(
            "ttl",
            "60s",
            "loose: a stale content is cleaned after this time; inf: never",
            ("inf", _FOREVER),
            examples=("0s", "2us", "inf"),
        ),
        count_param("capacity", str(_CAPACITY), "loose: most stale contents that are kept", examples=("0", "30")),
        choice(
            "verify",
            "none",
            "at a hit: compare a second hash, or the contents",
            {"none": "none", "hash": "hash", "content": "content"},
        ),
        count_param("entry", "24", "bytes of an index entry: hash 8, slot or pointer 8, link 4, refcount 4", least=1),
        choice(
            "shared",
            "write",
            "zswap: what becomes of a page with several owners in a full pool: written back, or pinned",
            {"write": False, "pin": True},
        ),
        choice(
            "charges",
            "off",
            "what each memory cgroup is charged: first touch, split, all",
            {"off": False, "on": True},
        ),
    )
    requires = (Capability.HASH,)
    columns = ("hash", "memcg")
    assumptions = (
        "Equal hashes are equal contents; n distinct contents collide with probability n^2 / 2^65.",
        "A verified hit never finds a difference.",
        "A loose index is cleaned by ops that write out or free, one block by each.",
        "There is one index for all swap devices of the trace: contents are shared across them.",
        "scope=zswap: a block that the placement moves later is updated once, whatever shares it (layouts/moves.py).",
    )
    references = (
        "CAKEwX=NtcGBnDpSuePqfK9G4jACC5gU95-69A4z5JzKkYRq1YA@mail.gmail.com",
        "20260320192735.748051-1-nphamcs@gmail.com",
    )

    def __init__(
        self, scope: bool, index: bool, ttl: int, capacity: int, verify: str, entry: int, shared: bool, charges: bool
    ) -> None:
        if scope and index:
            raise UsageError(
                "dedup: index=loose cannot act in the pool.",
                "A content that nobody holds is not kept there: the pool frees its bytes at once.",
                "Leave it out, or take scope=device.",
            )
        if shared and not scope:
            raise UsageError(
                "dedup: shared=pin cannot act in a device.",
                "It keeps pages in the pool of zswap; a device writes no block back.",
                "Leave it out, or take scope=zswap on a policy with zswap.",
            )
        if not index and (ttl, capacity) != (_TTL, _CAPACITY):
            raise UsageError(
                "dedup: ttl and capacity cannot act.",
                "A strict index forgets a content with its last object: none is stale.",
                "Leave them out, or take index=loose.",
            )
        self.in_pool, self.pins = scope, shared
        self._entry, self._loose, self._verify = entry + _SECOND_HASH * (verify == "hash"), index, verify
        self._contents: Contents = new_stale(ttl, capacity) if index else new_contents()
        self.owners = Owners(charges)

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        if isinstance(self._contents, StaleContents):
            self._contents.room = space.slots - 1  # less the swap header

    def feed(self, ops: Ops) -> Ops:
        """Turn stores into hits and blocks, and ends of objects into ends of blocks; the pool does so by itself."""
        if self.in_pool:
            return ops
        self.owners.meet(ops.columns["memcg"][indices(ops.store)], self._contents.holders)
        taken = self._contents.feed(ops)
        self._account(ops, taken)
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
        if self._verify == "content":
            yield "dedup.verify_bytes", counts["dedup.verify_bytes"]
        if self.in_pool:
            yield "dedup.repointed", counts["dedup.repointed"]
            yield "dedup.copied_pages", counts["dedup.copied_pages"]
        if self.pins:
            yield "zswap.pinned_bytes_peak", gauges["zswap.pinned_bytes"].peak if "zswap.pinned_bytes" in gauges else 0
        if counts["dedup.arrived"]:
            yield "dedup.hit_rate", counts["dedup.hits"] / counts["dedup.arrived"]
        for name in ("dedup.unique", "dedup.index_bytes"):
            yield f"{name}_peak", gauges[name].peak if name in gauges else 0
        yield from self.owners.figures()

    def account(self) -> Account:
        """A hit is stored nowhere; a loose index keeps blocks that no object has.

        A page of the pool that several own is written back to the slot of each, below swap entries that are slots.
        """
        counts, stale = self._ledger.counts, self._ledger.gauges.get("dedup.stale", Gauge())
        kept, copied = counts["dedup.hits"] + counts["dedup.stale_hits"], counts["dedup.copied_pages"]
        return Account(kept, added=copied, stale=stale.now)

    def idle(self) -> bool:
        """A loose index is never idle: it stores nothing in place."""
        return not self._loose and super().idle()

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """Each writeout that reaches the stage is hashed and looked up; a verified hit is read back and compared."""
        if op != Op.OUT or backing in (Backing.ZERO, Backing.SAME):
            return ()
        hashed = ("hash_ns",) * (2 if self._verify == "hash" else 1)
        read = {Backing.SHARED: "device_read_ns", Backing.ZSWAP_SHARED: "{}_decompress_ns"}.get(backing)
        return (*hashed, "index_ns", *((read, "compare_ns") if read and self._verify == "content" else ()))

    def count_pool(
        self, ops: Ops, takes: Bools, gives: Bools, hit: Bools, block: Ints32, size: Ints, blocks: Ints8,
        ends: Bools, fed: SharedFed,
    ) -> None:  # fmt: skip
        """Count what the index did in the pool.

        Args:
            ops: the stream that leaves the pool; the arrays have an entry for each of its ops.
            takes, gives, hit: whether it takes or gives back a reference, and whether what it takes was there.
            block, size: what it takes, and its bytes.
            blocks: change of the number of blocks in the pool.
            ends: writebacks that take a block from all its owners.
            fed: what the pool did with the requests.
        """
        ledger, hits = self._ledger, int(np.count_nonzero(fed.hit))
        assert ops.pooled is not None
        if self._verify == "content":
            ledger.count("dedup.verify_bytes", PAGE * hits)
        ledger.count("dedup.hits", hits)
        ledger.count("dedup.saved_bytes", fed.saved)
        ledger.most("dedup.refs_max", fed.refs_max)
        ledger.hold("dedup.unique", blocks)
        ledger.hold("dedup.index_bytes", blocks, self._entry)
        ledger.hold("dedup.index_bytes", ops.pooled, _REFERENCE)
        over = np.zeros(len(ops), np.bool_)
        ledger.count("dedup.cross_memcg_hits", self.owners.feed(ops, takes, gives, block, size, hit, over, ends))

    def _account(self, ops: Ops, taken: Taken) -> None:
        ledger = self._ledger
        saved = int(np.count_nonzero(taken.hit))
        live = taken.hit
        if isinstance(taken, StaleTaken):
            live = taken.hit & ~taken.stale_hit
            ledger.count("dedup.stale_hits", int(np.count_nonzero(taken.stale_hit)))
            ledger.hold("dedup.stale", taken.stale)
            ledger.hold("dedup.index_bytes", taken.stale, self._entry)
        if self._verify == "content":
            ledger.count("dedup.verify_bytes", PAGE * saved)
        ledger.count("dedup.arrived", int(np.count_nonzero(ops.store)))
        ledger.count("dedup.hits", int(np.count_nonzero(live)))
        ledger.count("dedup.saved_bytes", PAGE * saved)
        ledger.count("dedup.unhashed", taken.unhashed)
        ledger.most("dedup.refs_max", taken.refs_max)
        ledger.hold("dedup.unique", taken.unique)
        ledger.hold("dedup.index_bytes", taken.unique, self._entry)
        gives = (ops.drop != NOTHING) | ops.inplace
        size, none = np.broadcast_to(PAGE, len(ops)), np.broadcast_to(False, len(ops))
        crossing = self.owners.feed(ops, ops.store, gives, taken.block, size, live, taken.inplace, none)
        ledger.count("dedup.cross_memcg_hits", crossing)
