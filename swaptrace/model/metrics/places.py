"""Where pages are placed: the RAM buffer, tiers, several devices."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, NEITHER, Metric

__all__ = ["PLACES"]

PLACES: tuple[Metric, ...] = (
    Metric("buffer.hits", "pages", HIGHER, EXACT, "reads served by the RAM buffer"),
    Metric("buffer.bytes_peak", "B", LOWER, EXACT, "largest size of the RAM buffer"),
    Metric("buffer.pages_end", "pages", NEITHER, EXACT, "pages still in the RAM buffer at the end of the trace"),
    Metric(
        "tiers.overflow_pages",
        "pages",
        NEITHER,
        EXACT,
        "stored in a tier below the first that the memory cgroup may use: that was full",
    ),
    Metric("tiers.demoted_pages", "pages", NEITHER, EXACT, "moved to a lower tier because they lay idle"),
    *(
        metric
        for tier in range(1, 5)
        for metric in (
            Metric(f"tiers.{tier}.pages_peak", "pages", NEITHER, EXACT, f"most pages in tier {tier} at once"),
            Metric(f"tiers.{tier}.written_bytes", "B", LOWER, EXACT, f"written to tier {tier}, moves included"),
            Metric(f"tiers.{tier}.read_bytes", "B", LOWER, EXACT, f"read from tier {tier}, moves included"),
        )
    ),
    *(
        metric
        for device in range(1, 5)
        for metric in (
            Metric(
                f"devices.{device}.pages_peak",
                "pages",
                NEITHER,
                EXACT,
                f"most slots of swap device {device} in use at once (priorities=on)",
            ),
            Metric(f"devices.{device}.written_bytes", "B", LOWER, EXACT, f"written to swap device {device}"),
            Metric(f"devices.{device}.read_bytes", "B", LOWER, EXACT, f"read from swap device {device}"),
        )
    ),
)
