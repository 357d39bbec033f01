"""What the trace shows, what finding the data costs, and the slots in use."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, MODELLED, NEITHER, Metric

__all__ = ["INDIRECTION"]

INDIRECTION: tuple[Metric, ...] = (
    Metric("trace.events", "1", NEITHER, EXACT, "events replayed"),
    Metric("trace.objects", "1", NEITHER, EXACT, "distinct objects (device, slot, generation)"),
    Metric("trace.writeouts", "pages", NEITHER, EXACT, "page contents leaving RAM"),
    Metric(
        "trace.reads",
        "pages",
        NEITHER,
        EXACT,
        "page contents read back (faults and readahead); swap-cache hits read nothing",
    ),
    Metric("trace.cache_hits", "pages", NEITHER, EXACT, "faults answered by the swap cache"),
    Metric("trace.frees", "pages", NEITHER, EXACT, "slots released, observed or inferred"),
    Metric(
        "trace.inferred_frees",
        "pages",
        NEITHER,
        EXACT,
        "frees that no event showed: a rewrite, a swapoff or a new owner proved them",
    ),
    Metric(
        "trace.slotless_writeouts",
        "pages",
        NEITHER,
        EXACT,
        "writeouts without slot and owner: counted, but without a lifetime",
    ),
    Metric("trace.orphans", "pages", NEITHER, EXACT, "reads and frees of slots never seen written: skipped"),
    Metric("indirection.lookups", "1", LOWER, EXACT, "table walks executed, all ops"),
    Metric("indirection.lookups_per_event", "1", LOWER, EXACT, "indirection.lookups / (writeouts + reads + frees)"),
    Metric("indirection.lookups.swap_out", "1", LOWER, EXACT, "table walks of swap-outs"),
    Metric("indirection.lookups.swap_in", "1", LOWER, EXACT, "table walks of swap-ins, swap-cache hits included"),
    Metric("indirection.lookups.free", "1", LOWER, EXACT, "table walks of slot frees"),
    Metric(
        "indirection.lookups.writeback",
        "1",
        LOWER,
        EXACT,
        "table walks of moving a page from RAM to the device after its swap-out",
    ),
    Metric("indirection.lookups.gc", "1", LOWER, EXACT, "table walks of moving pages on the device"),
    Metric(
        "indirection.lookups.scan",
        "1",
        LOWER,
        EXACT,
        "table walks of the slot allocator for slots in use that it passes over",
    ),
    Metric(
        "indirection.cachelines",
        "1",
        LOWER,
        EXACT,
        "distinct dependent cache lines touched by those walks, per event summed",
    ),
    Metric(
        "indirection.cachelines.scan",
        "1",
        LOWER,
        EXACT,
        "those that the slot allocator reads to pass over slots in use",
    ),
    Metric(
        "indirection.cachelines_per_event", "1", LOWER, EXACT, "indirection.cachelines / (writeouts + reads + frees)"
    ),
    Metric("indirection.mru_hits", "1", HIGHER, EXACT, "lookups answered by a per-CPU lookup cache"),
    Metric("indirection.mru_hit_rate", "1", HIGHER, EXACT, "indirection.mru_hits / lookups that ask the cache"),
    Metric(
        "indirection.metadata_bytes.static", "B", LOWER, EXACT, "swap metadata allocated per device whatever its use"
    ),
    Metric(
        "indirection.metadata_bytes.peak", "B", LOWER, EXACT, "most bytes of swap metadata at once, static included"
    ),
    Metric(
        "indirection.metadata_bytes.avg",
        "B",
        LOWER,
        EXACT,
        "time-weighted mean of the bytes of swap metadata, static included",
    ),
    Metric(
        "indirection.metadata_bytes.end",
        "B",
        LOWER,
        EXACT,
        "bytes of swap metadata at the end of the trace, static included",
    ),
    Metric("indirection.metadata_bytes_per_slot", "B", LOWER, EXACT, "(peak - static) / slots in use at that peak"),
    Metric("indirection.ns", "ns", LOWER, MODELLED, "lookups and cache lines priced by the cost model"),
    Metric("indirection.ns_per_event", "ns", LOWER, MODELLED, "indirection.ns / (writeouts + reads + frees)"),
    Metric(
        "slots.virtual_peak", "1", LOWER, EXACT, "most swap entries in use at once (vswap-module: virtual ones only)"
    ),
    Metric("slots.physical_peak", "1", LOWER, EXACT, "most physical slots in use at once"),
    Metric(
        "slots.physical_idle_peak",
        "1",
        LOWER,
        EXACT,
        "most physical slots whose page is elsewhere (zero, shared, buffer)",
    ),
)
