"""Basis x cost model -> the modelled figures. Replay, ``report --cost`` and ``diff`` all price with this.

Rule. A figure is a sum of exact counts, each multiplied with one price, or a percentile over pages that each have such
a sum. Its value has every price at its typical value; ``low`` and ``high`` have all prices at their low and high ones.

* ``indirection.ns`` = lookups x ``walk_ns`` + cache lines x ``line_ns``, of all ops.
* ``cost.{swap_out,swap_in,cache_hit,free}_ns``: each page of the op costs its walks and lines, and, if the model has
  the prices of a device, the work of its class (:mod:`swaptrace.model.work`). p50 and p99 are the smallest cost that
  half, or 99 of 100, of the pages do not exceed.
* ``cost.device_ns`` = pages read x ``device_read_ns`` + write requests x ``device_write_ns`` + other pages written x
  ``device_seq_write_ns`` + pages discarded / 512 x ``device_discard_ns``.
* ``cost.swapoff_ns.{physical,virtual,drop_cache,drop_data}``, where the report has these vectors: PTEs scanned x
  ``pte_scan_ns`` + PTEs updated x ``pte_update_ns`` + entries x (``walk_ns`` + ``line_ns``), and with a device pages
  read x ``device_read_ns`` + pages written x ``device_seq_write_ns``.
* ``cost.device_life_years`` = erase blocks x ``pe_cycles`` / erases x span of the trace in years of 365.25 days.

A figure that needs a price which the model lacks, or a count which the report lacks, is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from swaptrace.model.basis import Basis
from swaptrace.model.cost import CORNERS, DEVICE, CostModel
from swaptrace.model.errors import InputError
from swaptrace.model.metrics import METRIC_BY_NAME, METRICS, SWAPOFF, is_inferred
from swaptrace.model.ops import Op
from swaptrace.model.report import CostUsed, Figure, Report, figure
from swaptrace.model.work import PRICED_OPS

__all__ = ["Formula", "formulas", "is_whole", "reprice"]

PAGE, _CLUSTER = 4096, 512
_YEAR_NS = 365.25 * 86400 * 1e9
_WHOLE = "cost.device_ns"  # every report that is priced with a device has it
_PERCENTILES = {"p50": 50, "p99": 99}
Prices = Mapping[str, float]


@dataclass(frozen=True)
class Formula:
    """One figure as a function of prices, and the names of those that it reads."""

    name: str
    parameters: frozenset[str]
    at: Callable[[Prices], float]


def reprice(report: Report, cost: CostModel) -> Report:
    """Return ``report`` with its modelled figures at the prices of ``cost``, as if it had been replayed with them.

    Raises :class:`InputError` for a report without a basis: it was written before reports kept one.
    """
    if report.basis is None:
        raise InputError(
            f"the report of {report.policy.name} on {report.trace.name} cannot be priced again.",
            f"It was written by swaptrace {report.tool.version}, without the counts that prices multiply.",
            "Replay the trace again, with --cost.",
        )
    found = formulas(report, cost.has_device)
    corners = [cost.at(corner) for corner in CORNERS]
    priced = {f.name: [f.at(prices) for prices in corners] for f in found if f.parameters <= cost.prices.keys()}
    guessed = (report.value("trace.inferred_frees") or 0) > 0
    figures: dict[str, Figure] = {}
    for metric in METRICS:
        if metric.name in priced:
            low, typical, high = priced[metric.name]
            figures[metric.name] = figure(metric.name, typical, low, high, guessed and is_inferred(metric.name))
        elif metric.name in report.metrics and not metric.priced:
            figures[metric.name] = report.metrics[metric.name]
    newer = {name: one for name, one in report.metrics.items() if name not in METRIC_BY_NAME}
    acting = {name for f in found if f.name in priced for name in f.parameters}
    return replace(report, metrics=figures | newer, cost=CostUsed.of(cost, acting))


def is_whole(report: Report) -> bool:
    """Return whether ``report`` was priced with a device: its latencies include what happens to the page."""
    return _WHOLE in report.metrics


def formulas(report: Report, whole: bool) -> list[Formula]:
    """Return the modelled figures of ``report`` as functions of prices; ``whole``: a device is priced."""
    basis = report.basis or Basis()
    value = {name: figure.value for name, figure in report.metrics.items()}
    events = sum(int(value.get(f"trace.{name}", 0)) for name in ("writeouts", "reads", "frees"))
    found: list[Formula] = []
    if "indirection.lookups" in value:
        paid = {"walk_ns": value["indirection.lookups"], "line_ns": value["indirection.cachelines"]}
        found.append(_sum("indirection.ns", paid))
        if events:
            found.append(_sum("indirection.ns_per_event", paid, events))
    for name, op in PRICED_OPS.items():
        found += _latency(name, op, basis, whole)
    found += _swapoff(value, whole)
    if whole:
        found += _device(value, basis)
    erases, span = value.get("write.erases", 0), report.trace.span_ns
    if erases and span and basis.erase_blocks:
        budget = {"pe_cycles": basis.erase_blocks}
        found.append(_sum("cost.device_life_years", budget, erases * _YEAR_NS / span))
    return found


def _sum(name: str, paid: Mapping[str, float], divisor: float = 1) -> Formula:
    paid = {parameter: count for parameter, count in paid.items() if count}
    return Formula(name, frozenset(paid), partial(_total, paid, divisor))


def _total(paid: Mapping[str, float], divisor: float, prices: Prices) -> float:
    return sum((count * prices[name] for name, count in paid.items()), 0.0) / divisor


def _latency(name: str, op: Op, basis: Basis, whole: bool) -> Iterator[Formula]:
    """Yield mean, p50 and p99 of one op."""
    classes: list[tuple[Counter[str], int]] = []
    for each, pages in basis.classes(op):
        paid = Counter({"walk_ns": each.walks, "line_ns": each.lines})
        if whole:
            if each.way not in basis.work:
                return
            paid.update(basis.work[each.way])
        classes.append((paid, pages))
    if not classes:
        return
    total: Counter[str] = Counter()
    for paid, pages in classes:
        total.update({parameter: count * pages for parameter, count in paid.items()})
    pages = sum(pages for _, pages in classes)
    yield _sum(f"cost.{name}_ns.mean", total, pages)
    for stat, percent in _PERCENTILES.items():
        yield Formula(
            f"cost.{name}_ns.{stat}",
            frozenset(parameter for parameter, count in total.items() if count),
            partial(_percentile, classes, percent),
        )


def _percentile(classes: list[tuple[Counter[str], int]], percent: int, prices: Prices) -> float:
    """Return the smallest cost that at least ``percent`` of 100 pages do not exceed."""
    rest = -(-percent * sum(pages for _, pages in classes) // 100)
    for cost, pages in sorted((_total(paid, 1, prices), pages) for paid, pages in classes):
        rest -= pages
        if rest <= 0:
            return cost
    raise AssertionError("more pages than there are")


def _swapoff(value: Mapping[str, float], whole: bool) -> Iterator[Formula]:
    for kind in SWAPOFF:
        if f"swapoff.{kind}.entries" not in value:
            continue
        scanned, updated, entries, read, written = (
            value.get(f"swapoff.{kind}.{name}", 0)
            for name in ("ptes_scanned", "ptes_updated", "entries", "pages_read", "pages_written")
        )
        paid = {"pte_scan_ns": scanned, "pte_update_ns": updated, "walk_ns": entries, "line_ns": entries}
        if whole:
            paid |= {"device_read_ns": read, "device_seq_write_ns": written}
        yield _sum(f"cost.swapoff_ns.{kind}", paid)


def _device(value: Mapping[str, float], basis: Basis) -> Iterator[Formula]:
    read, write, behind, discard = DEVICE
    requests = value["write.requests"]
    paid = {
        read: value["read.device_bytes"] // PAGE,
        write: requests,
        behind: value["write.host_bytes"] // PAGE - requests,
        discard: basis.discarded_pages / _CLUSTER,
    }
    yield _sum(_WHOLE, paid)
