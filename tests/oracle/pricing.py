"""The modelled figures, page by page, with fractions: written from docs/costs.md."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from swaptrace.model.report import Report

YEAR_NS = Fraction(36525, 100) * 86400 * 10**9
OPS = {"out": "swap_out", "in": "swap_in", "hit": "cache_hit", "free": "free"}


def slow_prices(report: Report, prices: Mapping[str, float]) -> dict[str, Fraction]:
    """Return the figures of ``report`` at ``prices``."""
    basis = report.basis
    assert basis is not None
    price = {name: Fraction(value) for name, value in prices.items()}
    exact = {name: figure.value for name, figure in report.metrics.items()}
    whole = "device_read_ns" in price
    out: dict[str, Fraction] = {}
    if "indirection.lookups" in exact:
        out["indirection.ns"] = (
            int(exact["indirection.lookups"]) * price["walk_ns"]
            + int(exact["indirection.cachelines"]) * price["line_ns"]
        )
        events = sum(int(exact[f"trace.{name}"]) for name in ("writeouts", "reads", "frees"))
        if events:
            out["indirection.ns_per_event"] = out["indirection.ns"] / events
    for op, name in OPS.items():
        pages: list[Fraction] = []
        unknown = False
        for key, number in basis.pages.items():
            its_op, backing, walks, lines = key.split(".")
            if its_op != op:
                continue
            cost = int(walks) * price["walk_ns"] + int(lines) * price["line_ns"]
            if whole:
                unknown |= f"{op}.{backing}" not in basis.work
                for parameter in basis.work.get(f"{op}.{backing}", ()):
                    cost += price[parameter]
            pages += [cost] * number
        if pages and not unknown:
            pages.sort()
            out[f"cost.{name}_ns.mean"] = sum(pages, Fraction()) / len(pages)
            for percent in (50, 99):  # the first page with at least that share of all at or before it
                place = next(i for i in range(len(pages)) if Fraction(i + 1, len(pages)) >= Fraction(percent, 100))
                out[f"cost.{name}_ns.p{percent}"] = pages[place]
    for kind in ("physical", "virtual", "drop_cache", "drop_data"):
        work = {name.rpartition(".")[2]: int(n) for name, n in exact.items() if name.startswith(f"swapoff.{kind}.")}
        if work:
            out[f"cost.swapoff_ns.{kind}"] = (
                work["ptes_scanned"] * price["pte_scan_ns"]
                + work["ptes_updated"] * price["pte_update_ns"]
                + work["entries"] * (price["walk_ns"] + price["line_ns"])
            )
            if whole:
                out[f"cost.swapoff_ns.{kind}"] += (
                    work["pages_read"] * price["device_read_ns"] + work["pages_written"] * price["device_seq_write_ns"]
                )
    if whole:
        requests = int(exact["write.requests"])
        out["cost.device_ns"] = (
            int(exact["read.device_bytes"]) // 4096 * price["device_read_ns"]
            + requests * price["device_write_ns"]
            + (int(exact["write.host_bytes"]) // 4096 - requests) * price["device_seq_write_ns"]
            + Fraction(basis.discarded_pages, 512) * price["device_discard_ns"]
        )
    erases = int(exact.get("write.erases", 0))
    if erases and basis.erase_blocks and report.trace.span_ns and "pe_cycles" in price:
        years = Fraction(report.trace.span_ns) / YEAR_NS
        out["cost.device_life_years"] = basis.erase_blocks * price["pe_cycles"] / (erases / years)
    return out
