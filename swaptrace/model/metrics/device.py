"""What goes to the swap device and comes back from it."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, MODELLED, NEITHER, Metric

__all__ = ["READS", "WRITES"]

WRITES: tuple[Metric, ...] = (
    Metric("write.logical_bytes", "B", NEITHER, EXACT, "4096 x trace.writeouts"),
    Metric("write.host_bytes", "B", LOWER, EXACT, "submitted to the device, host-side copies and padding included"),
    Metric("write.host_gc_bytes", "B", LOWER, EXACT, "copied by the host's own cleaner"),
    Metric("write.host_padding_bytes", "B", LOWER, EXACT, "written to fill up an erase block, and dead from the start"),
    Metric(
        "write.requests",
        "1",
        LOWER,
        EXACT,
        "device writes after merging pages that follow each other in place and order",
    ),
    Metric(
        "write.sequential_share",
        "1",
        HIGHER,
        EXACT,
        "share of written pages that follow their predecessor on the device",
    ),
    Metric("write.packed_pages", "pages", NEITHER, EXACT, "written to the device compressed, several in a page"),
    Metric("write.packed_bytes", "B", LOWER, EXACT, "their compressed size"),
    Metric("write.absorbed_pages", "pages", HIGHER, EXACT, "written out, but dead before they reached the device"),
    Metric("write.flash_bytes", "B", LOWER, MODELLED, "programmed by the device's own translation layer"),
    Metric("write.padding_bytes", "B", LOWER, MODELLED, "of these, to fill program pages up (prog above 4KiB)"),
    Metric("write.erases", "1", LOWER, MODELLED, "erase blocks erased"),
    Metric("write.amplification_flash", "1", LOWER, MODELLED, "write.flash_bytes / write.host_bytes"),
    Metric("write.amplification", "1", LOWER, MODELLED, "write.flash_bytes / write.logical_bytes"),
    Metric("write.amplification_host", "1", LOWER, EXACT, "write.host_bytes / write.logical_bytes"),
)
READS: tuple[Metric, ...] = (
    Metric("read.device_bytes", "B", LOWER, EXACT, "read back from the device"),
    Metric(
        "read.requests", "1", LOWER, EXACT, "device reads after merging pages that follow each other in place and order"
    ),
)
