"""What it costs in time: latencies, swapoff, the life of the device."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, MODELLED, Metric

__all__ = ["COSTS", "SWAPOFF"]

SWAPOFF = ("physical", "virtual", "drop_cache", "drop_data")
"""Ways to get swap back that are priced."""
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
_LATENCIES = {
    "swap_out": "page swapped out",
    "swap_in": "page read back",
    "cache_hit": "fault that the swap cache answers",
    "free": "slot free",
}

COSTS: tuple[Metric, ...] = (
    *(
        Metric(
            f"cost.{op}_ns.{stat}",
            "ns",
            LOWER,
            MODELLED,
            f"modelled latency of one {what}, {stat}: its table walks, and, if the cost preset has a device, what "
            "happens to the page (docs/costs.md)",
        )
        for op, what in _LATENCIES.items()
        for stat in ("mean", "p50", "p99")
    ),
    *(
        Metric(f"swapoff.{operation}.{part}", "1", LOWER, EXACT, f"{what}: {doc}")
        for operation, what in _SWAPOFFS.items()
        for part, doc in _SWAPOFF_PARTS.items()
    ),
    *(
        Metric(
            f"cost.swapoff_ns.{kind}",
            "ns",
            LOWER,
            MODELLED,
            f"work of swapoff.{kind}, priced one thing after the other (docs/costs.md)",
        )
        for kind in SWAPOFF
    ),
    Metric("cost.device_ns", "ns", LOWER, MODELLED, "time of the device: its reads, writes and discards, priced"),
    Metric(
        "cost.device_life_years",
        "y",
        HIGHER,
        MODELLED,
        "erase budget of the device / write.erases, extrapolated from the trace's duration; absent without erases",
    ),
)
