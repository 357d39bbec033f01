"""zswap: pages are compressed into a pool in RAM; what the pool cannot hold is written back to the device.

Rule. A writeout that reaches the stage is stored in the pool if its compressed size is below 4096 B. Otherwise it is
*rejected* and goes to the device (``incompressible=reject``), or is stored raw as 4096 B (``incompressible=store``).
The compressed size is what the recording kernel's compressor made (column ``csize``); a writeout without one counts
as incompressible and as unsized. A stored page occupies the bytes of :mod:`swaptrace.kernels.zsmalloc`, and a
zswap_entry of 56 B of metadata. A writeout of an object that the pool holds frees the old entry first; one that the
pool takes ends the object's copy on the device, if it had one.

The pool is the queue of :mod:`swaptrace.kernels.pool`: when a store makes it larger than ``pool`` bytes, the oldest
pages are written back behind that store, each as a page of 4096 B, until at most the share ``accept`` of ``pool`` is
occupied (accept_threshold_percent). The kernel does this in a worker and rejects stores meanwhile; here the worker is
done at once and no store is rejected for it. With ``order=lru`` a load makes its page the youngest; ``order=fifo``
leaves it where it is (the kernel's second-chance bit, which spares a page written since the last scan, is in neither).

A read of a page in the pool is a load: no device access. With ``load=exclusive`` it frees the entry; the content is
then in the swap cache alone, which answers every further read until the next writeout, and a free that follows frees
nothing below. With ``load=keep`` the entry stays.

Sources: mm/zswap.c: zswap_store, zswap_load, shrink_worker (Linux 6.18); sizes of structs: docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.pool import IN_RAM, ON_DEVICE, POOLED, new_pool
from swaptrace.kernels.reshape import behind
from swaptrace.kernels.zsmalloc import PAGE, occupied
from swaptrace.model.component import Account, Layout, Param, Space, Stage, bytes_param, choice, share_param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import NOTHING, Backing, Op, Ops

__all__ = ["Zswap"]

_ENTRY = 56  # sizeof(struct zswap_entry), Linux 6.18
_UNLIMITED = 1 << 62
_STORE, _LOAD, _END = 0, 1, 2


def _pool_param() -> Param:
    limited = bytes_param("pool", "unlimited", "bytes that the pool may occupy")

    def parse(text: str) -> int:
        if text.endswith("%"):
            raise UsageError("a share of RAM.", "A trace does not say how much RAM there was.", "For example 64MiB.")
        return _UNLIMITED if text == "unlimited" else int(limited.parse(text))

    return Param(limited.name, limited.default, limited.doc, parse, limited.unit, ("64KiB", "256KiB", "1MiB"))


class Zswap(Stage):
    """A compressed pool in front of the device."""

    name = "zswap"
    summary = "compressed pool in RAM, written back from its oldest end"
    params = (
        _pool_param(),
        choice("order", "fifo", "which page is oldest: first stored, or last used", {"fifo": False, "lru": True}),
        choice("load", "exclusive", "whether a load frees the entry", {"exclusive": True, "keep": False}),
        choice(
            "incompressible", "reject", "pages that do not compress: to the device, or stored raw",
            {"reject": False, "store": True},
        ),
        share_param("accept", "90%", "share of pool to which a full pool is written back", ("0%", "50%", "100%")),
    )  # fmt: skip
    requires = (Capability.CLEN,)
    columns = ("csize",)
    assumptions = (
        "Pages compress to the size that the recording kernel stored; its compressor is that of the replay.",
        "Writeback is done at once behind the store that filled the pool; no store is rejected because it is full.",
        "Holes in zsmalloc chains are not counted: the occupied bytes are a lower bound.",
        "No shrinker: the pool is written back only when it is full.",
    )
    references = ("mm/zswap.c: zswap_store, zswap_load, shrink_worker", "mm/zsmalloc.c: zs_create_pool")

    def __init__(self, pool: int, order: bool, load: bool, incompressible: bool, accept: float) -> None:
        if accept > 1:
            raise UsageError(f"zswap:accept={accept:.0%}: more than the pool.", "", "At most 100%.")
        self._raw = incompressible
        self._pool = new_pool(pool, int(pool * accept), order, load)
        self._exclusive = load

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger

    def feed(self, ops: Ops) -> Ops:
        """Take stores, loads and ends of pages in the pool out of the stream; put writebacks behind their cause."""
        ends = (ops.drop != NOTHING) & ~ops.store
        at = np.flatnonzero(ops.store | ops.fetch | ends)
        code = np.where(ops.store[at], _STORE, np.where(ops.fetch[at], _LOAD, _END)).astype(np.uint8)
        size = self._sizes(ops, at, code)
        found, change, after, victims, freed = self._pool.feed(code, ops.handle[at], size)
        taken, pooled = (code == _STORE) & (size >= 0), found == POOLED
        self._annotate(ops, at, code, taken, found)
        entries = np.zeros(len(ops), np.int8)
        leaves = pooled & ((code != _LOAD) | self._exclusive)
        entries[at] = taken.view(np.int8) - leaves.view(np.int8)
        occupied_now = np.zeros(len(ops), np.int64)
        occupied_now[at] = change
        self._count(code, taken, pooled, leaves, len(victims))
        self._ledger.count("zswap.occupied", int(size[taken].sum()))
        if len(victims):
            cause = at[after]
            ops = behind(ops, cause, victims, victims)
            entries, occupied_now = np.insert(entries, cause + 1, -1), np.insert(occupied_now, cause + 1, -freed)
            self._ledger.stream(ops.ts)
        ops.pooled = entries
        self._ledger.hold(METADATA, entries, _ENTRY)
        self._ledger.hold("zswap.pages", entries)
        self._ledger.hold("zswap.pool_bytes", occupied_now)
        return ops

    def account(self) -> Account:
        """Pages in the pool, and those that left it without a writeback, went no further."""
        held = self._ledger.gauges.get("zswap.pages", Gauge())
        return Account(self._ledger.counts["zswap.absorbed_pages"] + held.now)

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """A page that the pool rejects was compressed before it goes on to the device."""
        return ("lz4_compress_ns",) if op == Op.OUT and backing in (Backing.DISK, Backing.BUFFER) else ()

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what the pool took, gave back and held."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        for name in ("stores", "loads", "writebacks", "rejects", "unsized", "absorbed_pages"):
            yield f"zswap.{name}", counts[f"zswap.{name}"]
        pages, held = gauges.get("zswap.pages", Gauge()), gauges.get("zswap.pool_bytes", Gauge())
        yield "zswap.pages_peak", pages.peak
        yield "zswap.pages_end", pages.now
        yield "zswap.pool_bytes_peak", held.peak
        if counts["zswap.occupied"]:
            yield "zswap.ratio", PAGE * counts["zswap.stores"] / counts["zswap.occupied"]

    def _sizes(self, ops: Ops, at: NDArray[np.int64], code: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the bytes that each writeout would occupy, -1 where it is rejected."""
        recorded = ops.columns["csize"][at].astype(np.int64)
        unsized = (code == _STORE) & (recorded == 0)
        self._ledger.count("zswap.unsized", int(np.count_nonzero(unsized)))
        huge = unsized | (recorded >= PAGE)
        size = occupied(np.where(huge, PAGE, recorded))
        return size if self._raw else np.where(huge, -1, size)

    def _annotate(
        self,
        ops: Ops,
        at: NDArray[np.int64],
        code: NDArray[np.uint8],
        taken: NDArray[np.bool_],
        found: NDArray[np.uint8],
    ) -> None:
        """Leave to the stages below what is on the device, and say where the rest is."""
        store, below = code == _STORE, found == ON_DEVICE
        ops.store[at] = store & ~taken
        ops.inplace[at] = store & ~taken & below
        ops.fetch[at] = (code == _LOAD) & below
        ops.drop[at] = np.where(below & (taken | (code == _END)), ops.block[at], np.int32(NOTHING))
        held = taken | (~store & (found == POOLED))
        elsewhere = ~store & (found == IN_RAM)
        # an op that a stage above has taken (a writeout elided as a zero page) keeps its backing
        mine = ops.backing[at] == Backing.PENDING
        ops.backing[at[held & mine]] = Backing.ZSWAP
        ops.backing[at[elsewhere & mine]] = Backing.CACHE

    def _count(
        self,
        code: NDArray[np.uint8],
        taken: NDArray[np.bool_],
        pooled: NDArray[np.bool_],
        leaves: NDArray[np.bool_],
        writebacks: int,
    ) -> None:
        stores = int(np.count_nonzero(taken))
        for name, number in (
            ("stores", stores),
            ("rejects", int(np.count_nonzero(code == _STORE)) - stores),
            ("loads", int(np.count_nonzero(pooled & (code == _LOAD)))),
            ("writebacks", writebacks),
            ("absorbed_pages", int(np.count_nonzero(leaves))),
        ):
            self._ledger.count(f"zswap.{name}", number)
