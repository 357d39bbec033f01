"""From a ledger to the figures that need no price, and to the basis of those that do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.basis import Basis, PageClass
from swaptrace.model.component import Stage
from swaptrace.model.ledger import DISCARDED, ERASE_BLOCKS, METADATA, VIRTUAL, Ledger
from swaptrace.model.metrics import METRICS, MetricKind, is_inferred
from swaptrace.model.ops import Backing, Op
from swaptrace.model.report import Figure, figure
from swaptrace.model.work import PRICED_OPS, work_of
from swaptrace.replay.objects import ObjectCounts

__all__ = ["basis_of", "figures"]

PAGE = 4096
_FIXED = (
    "write.logical_bytes",
    "indirection.metadata_bytes.static",
    "zswap.measured_share",
)  # they follow from the trace, whatever the model
_Values = Iterator[tuple[str, float]]


def figures(ledger: Ledger, counts: ObjectCounts, stages: Sequence[Stage]) -> dict[str, Figure]:
    """Return the figures that this policy has without prices, in the order of the metric table."""
    found = dict(_all(ledger, counts, stages))
    inferred = counts.inferred_frees > 0
    models = tuple(name for stage in stages for name in stage.models)
    made = {}
    for metric in METRICS:
        if metric.name in found:
            each = figure(metric.name, found[metric.name], inferred=inferred and is_inferred(metric.name))
            modelled = each.kind is MetricKind.EXACT and metric.name.startswith(models) and metric.name not in _FIXED
            made[metric.name] = replace(each, kind=MetricKind.MODELLED) if modelled else each
    return made


def basis_of(ledger: Ledger, stages: Sequence[Stage]) -> Basis:
    """Return what prices are applied to."""
    walked = ledger.walked()
    classes = [
        (PageClass(Op(op), Backing(backing), walks, lines), int(walked[op, backing, walks, lines]))
        for op, backing, walks, lines in np.argwhere(walked).tolist()
    ]
    ways = {each.way: work_of(stages, each.op, each.backing) for each, _ in classes if each.op in PRICED_OPS.values()}
    return Basis(
        pages={each.key: pages for each, pages in classes},
        work={way: work for way, work in ways.items() if work is not None},
        discarded_pages=ledger.counts[DISCARDED],
        erase_blocks=ledger.counts[ERASE_BLOCKS],
    )


def _all(ledger: Ledger, counts: ObjectCounts, stages: Sequence[Stage]) -> _Values:
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
        yield f"trace.{name}", value
    events = counts.writeouts + counts.reads + counts.frees
    walks = ledger.walked().sum(axis=1)
    if METADATA in ledger.gauges:
        yield from _indirection(ledger, walks, events)
    yield from _device(ledger, counts)
    for stage in stages:
        yield from stage.figures()


def _indirection(ledger: Ledger, walks: NDArray[np.int64], events: int) -> _Values:
    width = np.arange(walks.shape[1])
    by_op = walks.sum(axis=2) @ width
    lines = int((walks.sum(axis=(0, 1)) @ width).sum())
    beside = {name: ledger.counts[f"indirection.lookups.{name}"] for name in ("writeback", "gc", "scan")}
    lookups = int(by_op.sum()) + sum(beside.values())
    beside["writeback"] += int(by_op[Op.WRITEBACK])
    lines += sum(ledger.counts[f"indirection.cachelines.{name}"] for name in beside)
    yield "indirection.lookups", lookups
    yield "indirection.lookups.swap_out", int(by_op[Op.OUT] + by_op[Op.DUP])
    yield "indirection.lookups.swap_in", int(by_op[Op.IN] + by_op[Op.HIT])
    yield "indirection.lookups.free", int(by_op[Op.FREE] + by_op[Op.PUT])
    for name, value in beside.items():
        yield f"indirection.lookups.{name}", value
    yield "indirection.cachelines", lines
    yield "indirection.cachelines.scan", ledger.counts["indirection.cachelines.scan"]
    if events:
        yield "indirection.lookups_per_event", lookups / events
        yield "indirection.cachelines_per_event", lines / events
    if asked := ledger.counts["indirection.mru_asked"]:
        yield "indirection.mru_hits", ledger.counts["indirection.mru_hits"]
        yield "indirection.mru_hit_rate", ledger.counts["indirection.mru_hits"] / asked
    meta = ledger.gauges[METADATA]
    yield "indirection.metadata_bytes.static", meta.static
    yield "indirection.metadata_bytes.peak", meta.static + meta.peak
    yield "indirection.metadata_bytes.avg", meta.average(ledger.span)
    yield "indirection.metadata_bytes.end", meta.static + meta.now
    if meta.with_peak:
        yield "indirection.metadata_bytes_per_slot", meta.peak / meta.with_peak
    for gauge in (VIRTUAL, "slots.physical"):
        if gauge in ledger.gauges:
            yield f"{gauge}_peak", ledger.gauges[gauge].peak
    idle = ledger.gauges.get("slots.physical_idle")
    yield "slots.physical_idle_peak", idle.peak if idle else 0


def _device(ledger: Ledger, counts: ObjectCounts) -> _Values:
    logical, host = PAGE * counts.writeouts, PAGE * ledger.written.pages
    yield "write.logical_bytes", logical
    yield "write.host_bytes", host
    yield "write.requests", ledger.written.requests
    if ledger.written.pages:
        yield "write.sequential_share", ledger.written.follows / ledger.written.pages
    if logical:
        yield "write.amplification_host", host / logical
    if "write.flash_bytes" in ledger.counts:
        flash = ledger.counts["write.flash_bytes"]
        yield "write.flash_bytes", flash
        yield "write.erases", ledger.counts["write.erases"]
        if host:
            yield "write.amplification_flash", flash / host
        if logical:
            yield "write.amplification", flash / logical
    yield "read.device_bytes", PAGE * ledger.read.pages
    yield "read.requests", ledger.read.requests
