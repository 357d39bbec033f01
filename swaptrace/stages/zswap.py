"""zswap: pages are compressed into a pool in RAM; what the pool cannot hold is written back to the device.

Rule. A writeout that reaches the stage is stored in the pool if its compressed size is below 4096 B. Otherwise it is
*rejected* and goes to the device (``incompressible=reject``), or is stored raw as 4096 B (``incompressible=store``).
The compressed size is what the recording kernel's compressor made (column ``csize``); a writeout without one counts as
incompressible and as unsized. With ``sizes=lz4``, ``zstd1`` or ``zstd3`` it is what that compressor made of the
content, from the sample recorded beside the trace (``T.content.parquet``); a content that is not in the sample has the
size of the sampled one at the same quantile of hashes (of n, sorted by hash, that with the index floor(hash x n /
2**64)), a writeout without a hash has none. All that depends on sizes is modelled then. A stored page occupies the
bytes of :mod:`swaptrace.kernels.zsmalloc`, and a zswap_entry of 56 B of metadata. A writeout of an object that the pool
holds frees the old entry first; one that the pool takes ends the object's copy on the device, if it had one.

The pool is the queue of :mod:`swaptrace.kernels.pool`: when a store makes it larger than ``pool`` bytes, the oldest
pages are written back behind that store, each as a page of 4096 B, until at most the share ``accept`` of ``pool`` is
occupied (accept_threshold_percent). The kernel does this in a worker and rejects stores meanwhile; here the worker is
done at once and no store is rejected for it. With ``order=lru`` a load makes its page the youngest; ``order=fifo``
leaves it where it is (the kernel's second-chance bit, which spares a page written since the last scan, is in neither).
``pool`` may be a share of RAM (max_pool_percent), rounded down to whole pages: of ``ram`` bytes, or of what the header
of the trace says (``mem_total``).

``shrinker=TIME`` also writes back each page that took its place in the queue TIME ago or longer, at the next op that
reaches the pool. The kernel's shrinker writes back under memory pressure, as much as the pool's age and its refaults
allow; a trace shows no pressure, so this is a model with a time in its place, and what depends on it is modelled. It is
off by default, as in the kernel. ``batch=PAGES`` writes back at least so many pages at once when any is, so that a
placement below can put them side by side.

A read of a page in the pool is a load: no device access. With ``load=exclusive`` it frees the entry; the content is
then in the swap cache alone, which answers every further read until the next writeout, and a free that follows frees
nothing below. With ``load=keep`` the entry stays.

Sources: mm/zswap.c: zswap_store, zswap_load, shrink_worker, zswap_shrinker_count, zswap_shrinker_scan (Linux 6.18);
sizes of structs: docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from swaptrace.kernels.pool import FREE, IN, IN_RAM, NEVER, ON_DEVICE, OUT, PASSES, POOLED, Limits, new_pool
from swaptrace.kernels.reshape import behind
from swaptrace.kernels.tables import Bools, Bytes, Ints
from swaptrace.kernels.zsmalloc import PAGE, occupied
from swaptrace.model.component import (
    Account,
    Layout,
    Param,
    Space,
    Stage,
    bytes_or_share,
    bytes_param,
    choice,
    count_param,
    share_param,
    time_param,
)  # fmt: skip
from swaptrace.model.contents import COMPRESSORS
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import NOTHING, Backing, Op, Ops
from swaptrace.stages.dedup import Dedup
from swaptrace.stages.shared_zswap import SharedZswap

__all__ = ["Zswap"]

_ENTRY = 56  # sizeof(struct zswap_entry), Linux 6.18
_ACCEPT = 0.9


# What depends on which pages the pool has, and when it writes them back.
_AFTER_THE_POOL = (
    "zswap.", "write.", "read.", "slots.physical", "indirection.", "buffer.", "tiers.", "swapoff.", "dedup.charges",
    "dedup.hit", "dedup.cross", "dedup.unique", "dedup.refs", "dedup.saved", "dedup.index", "dedup.verify",
    "dedup.repointed", "dedup.copied",
)  # fmt: skip
_RAM = bytes_param("ram", "recorded", "")


def _pool(text: str) -> int | float:
    """Return bytes (int), or a share of RAM (float)."""
    return NEVER if text == "unlimited" else bytes_or_share(text)


def _ram(text: str) -> int:
    return 0 if text == "recorded" else int(_RAM.parse(text))


class Zswap(Stage):
    """A compressed pool in front of the device."""

    name = "zswap"
    summary = "compressed pool in RAM, written back from its oldest end"
    key_params = ("pool",)
    params = (
        Param(
            "pool", "unlimited", "bytes that the pool may occupy, or a share of RAM, as 20%", _pool, "bytes", ("64KiB",)
        ),
        choice("order", "fifo", "which page is oldest: first stored, or last used", {"fifo": False, "lru": True}),
        choice("load", "exclusive", "whether a load frees the entry", {"exclusive": True, "keep": False}),
        choice(
            "incompressible", "reject", "pages that do not compress: to the device, or stored raw",
            {"reject": False, "store": True},
        ),
        share_param(
            "accept", f"{_ACCEPT:.0%}", "share of pool to which a full pool is written back", ("0%", "50%", "100%")
        ),
        time_param(
            "shrinker", "off", "a page untouched in the pool for so long is written back", ("off", NEVER), 1, ("1us",)
        ),
        count_param("batch", "1", "least number of pages that are written back at once", 1, ("8",)),
        choice(
            "sizes",
            "recorded",
            "compressed sizes: those of the recording kernel, or of a compressor in the sample of contents",
            {name: name for name in ("recorded", *COMPRESSORS)},
            (),  # the others need a sample of contents beside the trace
        ),
        Param("ram", "recorded", "RAM of which pool=N% is a share; recorded: what the trace says", _ram, "bytes"),
    )  # fmt: skip
    requires = (Capability.CLEN,)
    columns = ("csize",)
    assumptions = (
        "Pages compress to the size that the recording kernel stored; its compressor is that of the replay.",
        "With sizes= a content that was not sampled compresses like one that was, chosen by its hash.",
        "Writeback is done at once behind the store that filled the pool; no store is rejected because it is full.",
        "Holes in zsmalloc chains are not counted: the occupied bytes are a lower bound.",
        "No shrinker unless shrinker= is given: the pool is written back only when it is full.",
    )
    references = ("mm/zswap.c: zswap_store, zswap_load, shrink_worker", "mm/zsmalloc.c: zs_create_pool")

    def __init__(
        self, pool: int | float, order: bool, load: bool, incompressible: bool, accept: float, shrinker: int,
        batch: int, sizes: str, ram: int,
    ) -> None:  # fmt: skip
        if accept > 1:
            raise UsageError(f"zswap:accept={accept:.0%}: more than the pool.", "", "At most 100%.")
        unlimited = pool == NEVER
        idle = (
            (f"batch={batch}", batch > 1 and unlimited and shrinker == NEVER),
            ("order=lru", order and unlimited and shrinker == NEVER),
            (f"accept={accept:.4g}", accept != _ACCEPT and unlimited),
        )
        for name, cannot_act in idle:
            if cannot_act:
                raise UsageError(
                    f"zswap:{name} cannot act.",
                    "An unlimited pool is never full" + ("." if accept != _ACCEPT else ", and no shrinker is on."),
                    "Give it a size, as in pool=64MiB.",
                )
        if ram and not isinstance(pool, float):
            raise UsageError("zswap:ram cannot act.", "The pool is no share of RAM.", "For example pool=20%.")
        self._raw = incompressible
        self._size, self._accept, self._age, self._batch, self._ram = pool, accept, shrinker, batch, ram
        self._lru, self._exclusive = order, load
        self._sizes = sizes
        self._compressor = "zstd" if sizes.startswith("zstd") else "lz4"
        self.compressors = {Backing.ZSWAP: self._compressor, Backing.ZSWAP_SHARED: self._compressor}
        self.models = _AFTER_THE_POOL if shrinker < NEVER or sizes != "recorded" else ()

    @classmethod
    def asks(cls, texts: Mapping[str, str]) -> tuple[tuple[Capability, ...], tuple[str, ...]]:
        """Sizes come from the column csize, or from contents, by their hash."""
        return (cls.requires, cls.columns) if texts["sizes"] == "recorded" else ((Capability.HASH,), ("hash",))

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        if self._lru and self._exclusive and not isinstance(above, Dedup):
            raise UsageError(
                "zswap:order=lru cannot act with load=exclusive.",
                "A load takes its page out of the pool: no page there was ever used again.",
                "Add load=keep, or leave it out.",
            )
        self._ledger = ledger
        self._contents = space.contents() if self._sizes != "recorded" and space.contents is not None else None
        size = self._size if isinstance(self._size, int) else self._share_of(space.ram)
        limits = Limits(size, int(size * self._accept), self._age, self._batch)
        self._pool = new_pool(limits, self._lru, self._exclusive)
        self._shared = None
        if isinstance(above, Dedup) and above.in_pool:
            self._shared = SharedZswap(limits, self._lru, self._exclusive, above, layout.direct, ledger)

    def _share_of(self, recorded: int) -> int:
        """Return the bytes of a pool that is a share of RAM."""
        ram = self._ram or recorded
        if not ram:
            raise UsageError(
                f"zswap:pool={100 * self._size:g}% of RAM: the trace does not say how much RAM there was.",
                "Its header has no mem_total: it was not recorded on this machine, or by an older recorder.",
                "Say it, as in zswap:pool=20%,ram=8GiB, or give the pool in bytes.",
            )
        size = int(self._size * ram) // PAGE * PAGE
        if not size:
            raise UsageError(f"zswap:pool: {100 * self._size:g}% of {ram} B is less than a page.", "", "Take more.")
        return size

    def feed(self, ops: Ops) -> Ops:
        """Take stores, loads and ends of pages in the pool out of the stream; put writebacks behind their cause."""
        code = np.full(len(ops), PASSES, np.uint8)
        code[ops.drop != NOTHING] = FREE
        code[ops.fetch], code[ops.store] = IN, OUT
        store = ops.store
        size, unsized = self._bytes_of(ops)
        if self._shared is not None:
            ops, hit, stored = self._shared.feed(ops, code, size, _ENTRY)
            unsized &= ~hit  # an equal page is in the pool: nobody asks for its size
            self._ledger.count("zswap.unsized", int(np.count_nonzero(unsized)))
            self._ledger.count("zswap.occupied", int(size[stored & ~hit].sum()))
            return ops
        self._ledger.count("zswap.unsized", int(np.count_nonzero(unsized)))
        found, change, cause, victims, freed = self._pool.feed(code, ops.handle, size, ops.ts)
        taken, pooled = store & (size >= 0), found == POOLED
        self._annotate(ops, code, taken, found)
        leaves = pooled & ((code != IN) | self._exclusive)
        entries = taken.view(np.int8) - leaves.view(np.int8)
        self._count(code, taken, pooled, leaves, len(victims))
        self._ledger.count("zswap.occupied", int(size[taken].sum()))
        if len(victims):
            ops = behind(ops, cause, victims, victims)
            entries, change = np.insert(entries, cause + 1, -1), np.insert(change, cause + 1, -freed)
            self._ledger.stream(ops.ts)
        ops.pooled = entries
        self._ledger.hold(METADATA, entries, _ENTRY)
        self._ledger.hold("zswap.pages", entries)
        self._ledger.hold("zswap.pool_bytes", change)
        return ops

    def account(self) -> Account:
        """Pages in the pool, and those that left it without a writeback, went no further."""
        held = self._ledger.gauges.get("zswap.pages", Gauge())
        return Account(self._ledger.counts["zswap.absorbed_pages"] + held.now)

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """A page that the pool rejects was compressed before it goes on to the device."""
        return (
            (f"{self._compressor}_compress_ns",) if op == Op.OUT and backing in (Backing.DISK, Backing.BUFFER) else ()
        )

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what the pool took, gave back and held."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        for name in ("stores", "loads", "writebacks", "rejects", "unsized", "absorbed_pages"):
            yield f"zswap.{name}", counts[f"zswap.{name}"]
        pages, held = gauges.get("zswap.pages", Gauge()), gauges.get("zswap.pool_bytes", Gauge())
        yield "zswap.pages_peak", pages.peak
        yield "zswap.pages_end", pages.now
        yield "zswap.pool_bytes_peak", held.peak
        if counts["zswap.looked_up"]:
            yield "zswap.measured_share", counts["zswap.measured"] / counts["zswap.looked_up"]
        if counts["zswap.occupied"]:
            yield "zswap.ratio", PAGE * counts["zswap.stores"] / counts["zswap.occupied"]

    def _bytes_of(self, ops: Ops) -> tuple[Ints, Bools]:
        """Return the bytes that each writeout would occupy, -1 where it is rejected; whether its size is unknown."""
        store = ops.store
        if self._contents is None:
            recorded = ops.columns["csize"]
        else:
            recorded = np.zeros(len(ops), np.int64)
            known = np.flatnonzero(store & ops.columns["has_hash"])
            sizes, measured = self._contents.of(ops.columns["hash"][known], self._sizes)
            recorded[known] = np.minimum(sizes, PAGE)
            self._ledger.count("zswap.looked_up", len(known))
            self._ledger.count("zswap.measured", int(np.count_nonzero(measured)))
        unsized = store & (recorded == 0)
        huge = (recorded == 0) | (recorded >= PAGE)
        size = occupied(np.where(huge, recorded.dtype.type(PAGE), recorded))
        if not self._raw:
            size[huge] = -1
        return size, unsized

    def _annotate(self, ops: Ops, code: Bytes, taken: Bools, found: Bytes) -> None:
        """Leave to the stages below what is on the device, and say where the rest is."""
        store, below = code == OUT, found == ON_DEVICE
        ops.store = store & ~taken
        ops.inplace = ops.store & below
        ops.fetch = (code == IN) & below
        ops.drop = np.where(below & (taken | (code == FREE)), ops.block, np.int32(NOTHING))
        # an op that a stage above has taken (a writeout elided as a zero page) keeps its backing
        mine = ops.backing == Backing.PENDING
        ops.backing[mine & (taken | (~store & (found == POOLED)))] = Backing.ZSWAP
        ops.backing[mine & ~store & (found == IN_RAM)] = Backing.CACHE

    def _count(self, code: Bytes, taken: Bools, pooled: Bools, leaves: Bools, writebacks: int) -> None:
        stores = int(np.count_nonzero(taken))
        for name, number in (
            ("stores", stores),
            ("rejects", int(np.count_nonzero(code == OUT)) - stores),
            ("loads", int(np.count_nonzero(pooled & (code == IN)))),
            ("writebacks", writebacks),
            ("absorbed_pages", int(np.count_nonzero(leaves))),
        ):
            self._ledger.count(f"zswap.{name}", number)
