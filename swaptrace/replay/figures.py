"""From a ledger to figures: the formulas of the metric table, and the prices of the cost model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import Stage
from swaptrace.model.cost import CostModel
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.metrics import METRICS
from swaptrace.model.ops import Op
from swaptrace.model.report import Figure, figure
from swaptrace.replay.objects import ObjectCounts

__all__ = ["figures"]

PAGE = 4096
# Figures that do not depend on when an unseen free happened; all others carry the mark `inferred`.
_CERTAIN_PREFIXES = (
    "trace.",
    "write.logical_bytes",
    "dedup.zero_pages",
    "dedup.same_filled_pages",
    "indirection.metadata_bytes.static",
)
_Values = Iterator[tuple[str, float, float | None, float | None]]


def figures(ledger: Ledger, counts: ObjectCounts, cost: CostModel, stages: Sequence[Stage]) -> dict[str, Figure]:
    """Return the figures that this policy has, in the order of the metric table."""
    found = {name: (value, low, high) for name, value, low, high in _all(ledger, counts, cost, stages)}
    inferred = counts.inferred_frees > 0
    return {
        metric.name: figure(
            metric.name,
            *found[metric.name],
            inferred=inferred and not metric.name.startswith(_CERTAIN_PREFIXES),
        )
        for metric in METRICS
        if metric.name in found
    }


def _all(ledger: Ledger, counts: ObjectCounts, cost: CostModel, stages: Sequence[Stage]) -> _Values:
    for name, value in (
        ("events", counts.events),
        ("objects", counts.objects),
        ("writeouts", counts.writeouts),
        ("reads", counts.reads),
        ("cache_hits", counts.cache_hits),
        ("frees", counts.frees),
        ("inferred_frees", counts.inferred_frees),
        ("slotless_writeouts", counts.slotless_writeouts),
        ("orphans", counts.orphans),
    ):
        yield f"trace.{name}", value, None, None
    events = counts.writeouts + counts.reads + counts.frees
    walks = ledger.walked().sum(axis=1)
    if METADATA in ledger.gauges:
        yield from _indirection(ledger, walks, events, cost)
    yield from _device(ledger, counts)
    for stage in stages:
        for name, number in stage.figures():
            yield name, number, None, None


def _indirection(ledger: Ledger, walks: NDArray[np.int64], events: int, cost: CostModel) -> _Values:
    width = np.arange(walks.shape[1])
    by_op = walks.sum(axis=2) @ width
    lines = int((walks.sum(axis=(0, 1)) @ width).sum())
    moves = {name: ledger.counts[f"indirection.lookups.{name}"] for name in ("writeback", "gc")}
    lookups = int(by_op.sum()) + sum(moves.values())
    moves["writeback"] += int(by_op[Op.WRITEBACK])
    lines += sum(ledger.counts[f"indirection.cachelines.{name}"] for name in moves)
    yield "indirection.lookups", lookups, None, None
    yield "indirection.lookups.swap_out", int(by_op[Op.OUT] + by_op[Op.DUP]), None, None
    yield "indirection.lookups.swap_in", int(by_op[Op.IN] + by_op[Op.HIT]), None, None
    yield "indirection.lookups.free", int(by_op[Op.FREE] + by_op[Op.PUT]), None, None
    for name, value in moves.items():
        yield f"indirection.lookups.{name}", value, None, None
    yield "indirection.cachelines", lines, None, None
    low, typical, high = cost.ns(lookups, lines)
    yield "indirection.ns", typical, low, high
    if events:
        yield "indirection.lookups_per_event", lookups / events, None, None
        yield "indirection.cachelines_per_event", lines / events, None, None
        yield "indirection.ns_per_event", typical / events, low / events, high / events
    if asked := ledger.counts["indirection.mru_asked"]:
        yield "indirection.mru_hits", ledger.counts["indirection.mru_hits"], None, None
        yield "indirection.mru_hit_rate", ledger.counts["indirection.mru_hits"] / asked, None, None
    meta = ledger.gauges[METADATA]
    yield "indirection.metadata_bytes.static", meta.static, None, None
    yield "indirection.metadata_bytes.peak", meta.static + meta.peak, None, None
    yield "indirection.metadata_bytes.avg", meta.average(ledger.span), None, None
    yield "indirection.metadata_bytes.end", meta.static + meta.now, None, None
    if meta.with_peak:
        yield "indirection.metadata_bytes_per_slot", meta.peak / meta.with_peak, None, None
    for gauge in (VIRTUAL, "slots.physical"):
        if gauge in ledger.gauges:
            yield f"{gauge}_peak", ledger.gauges[gauge].peak, None, None
    idle = ledger.gauges.get("slots.physical_idle")
    yield "slots.physical_idle_peak", idle.peak if idle else 0, None, None
    for name, op in (("swap_out", Op.OUT), ("swap_in", Op.IN), ("free", Op.FREE)):
        yield from _latency(name, walks[op], cost)


def _latency(name: str, histogram: NDArray[np.int64], cost: CostModel) -> _Values:
    """Yield mean, p50 and p99 of the modelled latency, from the histogram of (walks, lines)."""
    walks, lines = np.nonzero(histogram)
    weight = histogram[walks, lines]
    if len(weight) == 0:
        return
    prices = [cost.ns(w, n) for w, n in zip(walks.tolist(), lines.tolist(), strict=True)]
    low, typical, high = (np.array(column) for column in zip(*prices, strict=True))
    values = {"mean": [float(p @ weight / weight.sum()) for p in (low, typical, high)]}
    for stat, share in (("p50", 0.50), ("p99", 0.99)):
        values[stat] = [_percentile(p, weight, share) for p in (low, typical, high)]
    for stat, (least, middle, most) in values.items():
        yield f"cost.{name}_ns.{stat}", middle, least, most


def _percentile(value: NDArray[np.float64], weight: NDArray[np.int64], share: float) -> float:
    """Return the smallest value that at least ``share`` of the weight does not exceed."""
    order = np.argsort(value, kind="stable")
    total = np.cumsum(weight[order])
    return float(value[order][np.searchsorted(total, share * total[-1])])


def _device(ledger: Ledger, counts: ObjectCounts) -> _Values:
    logical, host = PAGE * counts.writeouts, PAGE * ledger.written.pages
    yield "write.logical_bytes", logical, None, None
    yield "write.host_bytes", host, None, None
    yield "write.requests", ledger.written.requests, None, None
    if ledger.written.pages:
        yield "write.sequential_share", ledger.written.follows / ledger.written.pages, None, None
    if logical:
        yield "write.amplification_host", host / logical, None, None
    if "write.flash_bytes" in ledger.counts:
        flash = ledger.counts["write.flash_bytes"]
        yield "write.flash_bytes", flash, None, None
        yield "write.erases", ledger.counts["write.erases"], None, None
        if host:
            yield "write.amplification_flash", flash / host, None, None
        if logical:
            yield "write.amplification", flash / logical, None, None
    yield "read.device_bytes", PAGE * ledger.read.pages, None, None
    yield "read.requests", ledger.read.requests, None, None
