"""Pages that are held compressed in RAM."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, NEITHER, Metric

__all__ = ["POOLS"]

POOLS: tuple[Metric, ...] = (
    Metric("zswap.stores", "pages", NEITHER, EXACT, "writeouts that the compressed pool took"),
    Metric("zswap.loads", "pages", NEITHER, EXACT, "reads served by the compressed pool"),
    Metric("zswap.writebacks", "pages", LOWER, EXACT, "written back from the pool to the device"),
    Metric(
        "zswap.rejects",
        "pages",
        LOWER,
        EXACT,
        "writeouts that the pool did not take: incompressible, or of unknown size",
    ),
    Metric(
        "zswap.unsized",
        "pages",
        NEITHER,
        EXACT,
        "those of zswap.rejects or zswap.stores whose compressed size the trace does not have",
    ),
    Metric(
        "zswap.absorbed_pages",
        "pages",
        NEITHER,
        EXACT,
        "left the pool without a writeback: freed, rewritten, or loaded exclusively",
    ),
    Metric(
        "zswap.pages_peak",
        "pages",
        NEITHER,
        EXACT,
        "most pages in the pool at once; one that several objects share counts once",
    ),
    Metric("zswap.pages_end", "pages", NEITHER, EXACT, "pages in the pool at the end of the trace"),
    Metric(
        "zswap.pool_bytes_peak",
        "B",
        LOWER,
        EXACT,
        "most bytes that pages in the pool occupied at once (zsmalloc classes)",
    ),
    Metric("zswap.pinned_bytes_peak", "B", LOWER, EXACT, "most bytes of pages that several owners keep in the pool"),
    Metric(
        "zswap.measured_share",
        "1",
        NEITHER,
        EXACT,
        "of the writeouts whose size the sample of contents gives, those of sampled contents",
    ),
    Metric("zswap.ratio", "1", HIGHER, EXACT, "4096 x zswap.stores / bytes that they occupied when stored"),
    Metric("zram.stores", "pages", NEITHER, EXACT, "writeouts that the device in memory took"),
    Metric("zram.loads", "pages", NEITHER, EXACT, "reads that it served"),
    Metric(
        "zram.same_filled",
        "pages",
        NEITHER,
        EXACT,
        "those of zram.stores that it kept in its table: one 8-byte word fills the page",
    ),
    Metric(
        "zram.huge",
        "pages",
        LOWER,
        EXACT,
        "those of zram.stores that it stored raw: incompressible, or of unknown size",
    ),
    Metric("zram.unsized", "pages", LOWER, EXACT, "those of zram.huge whose compressed size the trace does not have"),
    Metric("zram.pages_peak", "pages", NEITHER, EXACT, "most pages in the device in memory at once"),
    Metric("zram.pages_end", "pages", NEITHER, EXACT, "pages in it at the end of the trace"),
    Metric(
        "zram.pool_bytes_peak", "B", LOWER, EXACT, "most bytes that these pages occupied at once (zsmalloc classes)"
    ),
    Metric("zram.pool_bytes_avg", "B", LOWER, EXACT, "time-weighted mean of the bytes that they occupied"),
    Metric("zram.ratio", "1", HIGHER, EXACT, "4096 x zram.stores / bytes that they occupied when stored"),
)
