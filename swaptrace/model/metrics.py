"""Every figure of a report, once: its name, unit, good direction, kind and definition. The docs are made from this.

Pages are 4 KiB base pages. ``exact`` follows from trace and layout; ``modelled`` depends on a stated, overridable
parameter; ``measured`` was timed. Counts are per replay of the whole trace unless the name says peak, avg
(time-weighted) or end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["METRICS", "METRIC_BY_NAME", "SWAPOFF", "Better", "Metric", "MetricKind", "is_inferred"]

SWAPOFF = ("physical", "virtual", "drop_cache", "drop_data")  # ways to get swap back
_PRICED = ("indirection.ns", "cost.")
# Figures that do not depend on when an unseen free happened; all others carry the mark `inferred`.
_CERTAIN = (
    "trace.",
    "write.logical_bytes",
    "dedup.zero_pages",
    "dedup.same_filled_pages",
    "indirection.metadata_bytes.static",
)


class Better(StrEnum):
    """Which direction is good."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class MetricKind(StrEnum):
    """How a figure came to be."""

    EXACT = "exact"
    MODELLED = "modelled"
    MEASURED = "measured"


@dataclass(frozen=True)
class Metric:
    """One figure and its definition."""

    name: str
    unit: str
    better: Better
    kind: MetricKind
    doc: str

    @property
    def priced(self) -> bool:
        """Whether its value is a price: a cost model and exact counts give it, after the replay."""
        return self.name.startswith(_PRICED)


def is_inferred(name: str) -> bool:
    """Return whether metric ``name`` depends on when frees happened that no event showed."""
    return not name.startswith(_CERTAIN)


_L, _H, _N = Better.LOWER, Better.HIGHER, Better.NEITHER
_E, _M = MetricKind.EXACT, MetricKind.MODELLED


def _metrics(better: Better, kind: MetricKind, unit: str, docs: dict[str, str]) -> tuple[Metric, ...]:
    return tuple(Metric(name, unit, better, kind, doc) for name, doc in docs.items())


_SWAPOFFS = {
    "physical": "swapoff of the device at the time --at",
    "lazy": "swapoff that reads all into the swap cache and walks no page table",
    "virtual": "swapoff of the virtual space",
    "pull_in": "bring back the pages of the one cgroup of --memcg",
    "drop_cache": "drop swap-cache pages whose data is stored below",
    "drop_data": "write the compressed pool to the device",
}
_SWAPOFF_PARTS = {
    "ptes_scanned": "page table entries passed, from the nearer snapshot of the processes",
    "ptes_updated": "page table entries changed, one of each live entry where nothing shows more",
    "entries": "entries (virtual layouts, physical: slots) handled",
    "pages_read": "pages read from the device",
    "pages_decompressed": "pages decompressed from the pool",
    "pages_copied": "pages copied, because entries shared one block",
    "pages_written": "pages written to the device",
    "left_entries": "entries that stay allocated",
    "left_faults": "faults that their page table entries cause later",
}

METRICS: tuple[Metric, ...] = (
    *_metrics(
        _N,
        _E,
        "1",
        {
            "trace.events": "events replayed",
            "trace.objects": "distinct objects (device, slot, generation)",
        },
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "trace.writeouts": "page contents leaving RAM",
            "trace.reads": "page contents read back (faults and readahead); swap-cache hits read nothing",
            "trace.cache_hits": "faults answered by the swap cache",
            "trace.frees": "slots released, observed or inferred",
            "trace.inferred_frees": "frees that no event showed: a rewrite, a swapoff or a new owner proved them",
            "trace.slotless_writeouts": "writeouts without slot and owner: counted, but without a lifetime",
            "trace.orphans": "reads and frees of slots never seen written: skipped",
        },
    ),
    *_metrics(
        _L,
        _E,
        "1",
        {
            "indirection.lookups": "table walks executed, all ops",
            "indirection.lookups_per_event": "indirection.lookups / (writeouts + reads + frees)",
            "indirection.lookups.swap_out": "table walks of swap-outs",
            "indirection.lookups.swap_in": "table walks of swap-ins, swap-cache hits included",
            "indirection.lookups.free": "table walks of slot frees",
            "indirection.lookups.writeback": "table walks of moving a page from RAM to the device after its swap-out",
            "indirection.lookups.gc": "table walks of moving pages on the device",
            "indirection.lookups.scan": "table walks of the slot allocator for slots in use that it passes over",
            "indirection.cachelines": "distinct dependent cache lines touched by those walks, per event summed",
            "indirection.cachelines.scan": "those that the slot allocator reads to pass over slots in use",
            "indirection.cachelines_per_event": "indirection.cachelines / (writeouts + reads + frees)",
        },
    ),
    *_metrics(
        _H,
        _E,
        "1",
        {
            "indirection.mru_hits": "lookups answered by a per-CPU lookup cache",
            "indirection.mru_hit_rate": "indirection.mru_hits / lookups that ask the cache",
        },
    ),
    *_metrics(
        _L,
        _E,
        "B",
        {
            "indirection.metadata_bytes.static": "swap metadata allocated per device whatever its use",
            "indirection.metadata_bytes.peak": "most bytes of swap metadata at once, static included",
            "indirection.metadata_bytes.avg": "time-weighted mean of the bytes of swap metadata, static included",
            "indirection.metadata_bytes.end": "bytes of swap metadata at the end of the trace, static included",
            "indirection.metadata_bytes_per_slot": "(peak - static) / slots in use at that peak",
        },
    ),
    *_metrics(
        _L,
        _M,
        "ns",
        {
            "indirection.ns": "lookups and cache lines priced by the cost model",
            "indirection.ns_per_event": "indirection.ns / (writeouts + reads + frees)",
        },
    ),
    *_metrics(
        _L,
        _E,
        "1",
        {
            "slots.virtual_peak": "most swap entries in use at once (vswap-module: virtual ones only)",
            "slots.physical_peak": "most physical slots in use at once",
            "slots.physical_idle_peak": "most physical slots whose page is elsewhere (zero, shared, buffer)",
        },
    ),
    *_metrics(_N, _E, "B", {"write.logical_bytes": "4096 x trace.writeouts"}),
    *_metrics(
        _L,
        _E,
        "B",
        {
            "write.host_bytes": "submitted to the device, host-side copies and padding included",
            "write.host_gc_bytes": "copied by the host's own cleaner",
            "write.host_padding_bytes": "written to fill up an erase block, and dead from the start",
        },
    ),
    *_metrics(
        _L,
        _E,
        "1",
        {"write.requests": "device writes after merging pages that follow each other in place and order"},
    ),
    *_metrics(
        _H,
        _E,
        "1",
        {"write.sequential_share": "share of written pages that follow their predecessor on the device"},
    ),
    *_metrics(_N, _E, "pages", {"write.packed_pages": "written to the device compressed, several in a page"}),
    *_metrics(_L, _E, "B", {"write.packed_bytes": "their compressed size"}),
    *_metrics(_H, _E, "pages", {"write.absorbed_pages": "written out, but dead before they reached the device"}),
    *_metrics(
        _L,
        _M,
        "B",
        {
            "write.flash_bytes": "programmed by the device's own translation layer",
            "write.padding_bytes": "of these, to fill program pages up (prog above 4KiB)",
        },
    ),
    *_metrics(
        _L,
        _M,
        "1",
        {
            "write.erases": "erase blocks erased",
            "write.amplification_flash": "write.flash_bytes / write.host_bytes",
            "write.amplification": "write.flash_bytes / write.logical_bytes",
        },
    ),
    *_metrics(_L, _E, "1", {"write.amplification_host": "write.host_bytes / write.logical_bytes"}),
    *_metrics(
        _H,
        _E,
        "pages",
        {
            "dedup.zero_pages": "elided because every byte is zero",
            "dedup.same_filled_pages": "elided because one 8-byte word, not zero, fills the page",
            "dedup.hits": "writeouts whose content a live object of the same scope already held",
            "dedup.cross_memcg_hits": "hits on content held only by other memory cgroups",
            "dedup.stale_hits": "writeouts whose content only a loose index still had, no live object (not in hits)",
        },
    ),
    *_metrics(
        _H,
        _E,
        "pages",
        {
            "zero.mapped_pages": "zero pages mapped read-only at reclaim instead of becoming swap (zero:ro=on)",
        },
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "zero.mapped_peak": "most pages at once that are mapped zero pages, and that no swap count shows any more",
            "zero.mapped_end": "mapped zero pages at the end of the trace",
        },
    ),
    *_metrics(
        _L,
        _E,
        "1",
        {
            "zero.rmap_walks": "additional rmap walks of reclaim, one for each folio with a zero page that it maps",
            "zero.minor_faults": "mappings of zero pages that were faulted: minor faults, if each was a write",
            "zero.minor_faults_least": "mappings of zero pages with a fault that the trace marks as a write",
        },
    ),
    *_metrics(
        _H,
        _E,
        "pages",
        {
            "ksm.merged_pages": "writeouts whose page was merged with an equal one: one more owner of its swap entry",
            "ksm.copies": "reads of merged pages answered by a copy in RAM",
        },
    ),
    *_metrics(_N, _E, "pages", {"ksm.merged_peak": "most pages at once that share the swap entry of another"}),
    *_metrics(_L, _E, "B", {"ksm.metadata_bytes_peak": "most bytes of KSM's items and stable nodes, of swapped pages"}),
    *_metrics(
        _H,
        _E,
        "B",
        {"ksm.profit_bytes_avg": "time-weighted mean of 4096 x merged pages - item x candidates, of swapped pages"},
    ),
    *_metrics(_H, _E, "1", {"dedup.hit_rate": "dedup.hits / writeouts that reached the stage"}),
    *_metrics(
        _N,
        _E,
        "1",
        {
            "dedup.unique_peak": "most distinct contents held at once",
            "dedup.refs_max": "most objects sharing one content",
        },
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {"dedup.unhashed": "writeouts that reached the stage without a hash: stored as unique"},
    ),
    *_metrics(_H, _E, "B", {"dedup.saved_bytes": "bytes not stored because of hits"}),
    *_metrics(
        _L,
        _E,
        "B",
        {
            "dedup.index_bytes_peak": "largest size of the content index, stale entries included; in the pool of zswap "
            "with the references of the owners",
            "dedup.verify_bytes": "read back, or decompressed, to compare contents at hits (verify=content; not in "
            "read.device_bytes)",
        },
    ),
    *_metrics(
        _L,
        _E,
        "pages",
        {
            "dedup.repointed": "entries pointed to a slot with a page that was written back for another owner as well",
            "dedup.copied_pages": "written back once more because an entry that is a slot cannot be pointed elsewhere",
        },
    ),
    *_metrics(_N, _E, "1", {"dedup.charges.memcgs": "memory cgroups that wrote out content that was held"}),
    *_metrics(
        _N,
        _E,
        "B",
        {
            name: doc
            for rule, what in (
                ("first", "the first to touch a content pays for it"),
                ("split", "all who share a content pay their part"),
                ("all", "everyone who shares a content pays all of it"),
            )
            for name, doc in (
                (f"dedup.charges.{rule}_bytes_peak", f"most bytes charged to one memory cgroup at once, if {what}"),
                (f"dedup.charges.{rule}_bytes_end", f"bytes charged to all of them at the end of the trace, if {what}"),
            )
            if name != "dedup.charges.split_bytes_end"  # as with first
        },
    ),
    *_metrics(
        _L,
        _E,
        "B",
        {
            "dedup.charges.stranded_bytes_peak": "most bytes at once that the first to touch a content still pays for "
            "without a reference to it",
        },
    ),
    *_metrics(_N, _E, "1", {"dedup.stale_peak": "most contents at once that no object holds, still in slots"}),
    *_metrics(_H, _E, "pages", {"buffer.hits": "reads served by the RAM buffer"}),
    *_metrics(_L, _E, "B", {"buffer.bytes_peak": "largest size of the RAM buffer"}),
    *_metrics(_N, _E, "pages", {"buffer.pages_end": "pages still in the RAM buffer at the end of the trace"}),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "tiers.overflow_pages": "stored in a tier below the first that the memory cgroup may use: that was full",
            "tiers.demoted_pages": "moved to a lower tier because they lay idle",
        },
    ),
    *(
        metric
        for tier in range(1, 5)
        for metric in (
            *_metrics(_N, _E, "pages", {f"tiers.{tier}.pages_peak": f"most pages in tier {tier} at once"}),
            *_metrics(
                _L,
                _E,
                "B",
                {
                    f"tiers.{tier}.written_bytes": f"written to tier {tier}, moves included",
                    f"tiers.{tier}.read_bytes": f"read from tier {tier}, moves included",
                },
            ),
        )
    ),
    *(
        metric
        for device in range(1, 5)
        for metric in (
            *_metrics(
                _N,
                _E,
                "pages",
                {f"devices.{device}.pages_peak": f"most slots of swap device {device} in use at once (priorities=on)"},
            ),
            *_metrics(
                _L,
                _E,
                "B",
                {
                    f"devices.{device}.written_bytes": f"written to swap device {device}",
                    f"devices.{device}.read_bytes": f"read from swap device {device}",
                },
            ),
        )
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "zswap.stores": "writeouts that the compressed pool took",
            "zswap.loads": "reads served by the compressed pool",
        },
    ),
    *_metrics(
        _L,
        _E,
        "pages",
        {
            "zswap.writebacks": "written back from the pool to the device",
            "zswap.rejects": "writeouts that the pool did not take: incompressible, or of unknown size",
        },
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "zswap.unsized": "those of zswap.rejects or zswap.stores whose compressed size the trace does not have",
            "zswap.absorbed_pages": "left the pool without a writeback: freed, rewritten, or loaded exclusively",
            "zswap.pages_peak": "most pages in the pool at once; one that several objects share counts once",
            "zswap.pages_end": "pages in the pool at the end of the trace",
        },
    ),
    *_metrics(
        _L, _E, "B", {"zswap.pool_bytes_peak": "most bytes that pages in the pool occupied at once (zsmalloc classes)"}
    ),
    *_metrics(_L, _E, "B", {"zswap.pinned_bytes_peak": "most bytes of pages that several owners keep in the pool"}),
    *_metrics(
        _N,
        _E,
        "1",
        {"zswap.measured_share": "of the writeouts whose size the sample of contents gives, those of sampled contents"},
    ),
    *_metrics(_H, _E, "1", {"zswap.ratio": "4096 x zswap.stores / bytes that they occupied when stored"}),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "zram.stores": "writeouts that the device in memory took",
            "zram.loads": "reads that it served",
            "zram.same_filled": "those of zram.stores that it kept in its table: one 8-byte word fills the page",
        },
    ),
    *_metrics(
        _L,
        _E,
        "pages",
        {
            "zram.huge": "those of zram.stores that it stored raw: incompressible, or of unknown size",
            "zram.unsized": "those of zram.huge whose compressed size the trace does not have",
        },
    ),
    *_metrics(
        _N,
        _E,
        "pages",
        {
            "zram.pages_peak": "most pages in the device in memory at once",
            "zram.pages_end": "pages in it at the end of the trace",
        },
    ),
    *_metrics(
        _L,
        _E,
        "B",
        {
            "zram.pool_bytes_peak": "most bytes that these pages occupied at once (zsmalloc classes)",
            "zram.pool_bytes_avg": "time-weighted mean of the bytes that they occupied",
        },
    ),
    *_metrics(_H, _E, "1", {"zram.ratio": "4096 x zram.stores / bytes that they occupied when stored"}),
    *_metrics(_L, _E, "B", {"read.device_bytes": "read back from the device"}),
    *_metrics(
        _L,
        _E,
        "1",
        {"read.requests": "device reads after merging pages that follow each other in place and order"},
    ),
    *_metrics(
        _L,
        _M,
        "ns",
        {
            f"cost.{op}_ns.{stat}": f"modelled latency of one {what}, {stat}: its table walks, and, if the cost preset "
            "has a device, what happens to the page (docs/costs.md)"
            for op, what in (
                ("swap_out", "page swapped out"),
                ("swap_in", "page read back"),
                ("cache_hit", "fault that the swap cache answers"),
                ("free", "slot free"),
            )
            for stat in ("mean", "p50", "p99")
        },
    ),
    *_metrics(
        _L,
        _E,
        "1",
        {
            f"swapoff.{operation}.{part}": f"{what}: {doc}"
            for operation, what in _SWAPOFFS.items()
            for part, doc in _SWAPOFF_PARTS.items()
        },
    ),
    *_metrics(
        _L,
        _M,
        "ns",
        {
            f"cost.swapoff_ns.{kind}": f"work of swapoff.{kind}, priced one thing after the other (docs/costs.md)"
            for kind in SWAPOFF
        },
    ),
    *_metrics(_L, _M, "ns", {"cost.device_ns": "time of the device: its reads, writes and discards, priced"}),
    *_metrics(
        _H,
        _M,
        "y",
        {
            "cost.device_life_years": "erase budget of the device / write.erases, extrapolated from the trace's "
            "duration; absent without erases"
        },
    ),
)
METRIC_BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
