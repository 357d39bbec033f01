"""Cost presets: the list, and one with all its prices and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from swaptrace.model.cost import PARAMETERS, CostModel
from swaptrace.render.document import json_text
from swaptrace.render.text import table

__all__ = ["json_cost", "json_costs", "price_rows", "text_cost", "text_costs"]


def price_rows(cost: CostModel) -> list[list[str]]:
    """Return a row for each price: parameter, low, typical, high, unit, meaning, source."""
    return [
        [
            name,
            *(f"{value:,g}" if value < 1e6 else f"{value:,.0f}" for value in (price.low, price.typical, price.high)),
            "" if PARAMETERS[name].unit == "1" else PARAMETERS[name].unit,
            PARAMETERS[name].doc,
            price.source or "none given",
        ]
        for name, price in cost.prices.items()
    ]


def text_costs(costs: Sequence[CostModel]) -> str:
    """Return the presets as a table."""
    rows = [[cost.preset, cost.sha256[:8], "yes" if cost.has_device else "", cost.summary] for cost in costs]
    hint = [
        "",
        "All prices with their sources: swaptrace cost show PRESET",
        "Use one, change one: --cost emmc51 --cost-set device_read_ns=100us..400us",
    ]
    return "\n".join([*table(rows, ["preset", "sha256", "device", "summary"], left=(0, 1, 2, 3)), *hint]) + "\n"


def text_cost(cost: CostModel) -> str:
    """Return one cost model: every price, what it is the price of, where it comes from."""
    rows = [[*row[:5], f"{meaning} [{source}]"] for *row, meaning, source in price_rows(cost)]
    heads = ["parameter", "low", "typical", "high", "", "price of [source]"]
    lines = [f"{cost.preset}: {cost.summary}" if cost.summary else cost.preset, f"sha256:{cost.sha256}"]
    lines += [f"changed: {name}={text}" for name, text in cost.overrides.items()]
    return "\n".join([*lines, "", *table(rows, heads, left=(0, 4, 5), wrap=70)]) + "\n"


def json_costs(costs: Sequence[CostModel]) -> str:
    """Return the presets as a JSON array."""
    return json_text([_document(cost) for cost in costs])


def json_cost(cost: CostModel) -> str:
    """Return one cost model as a JSON object."""
    return json_text(_document(cost))


def _document(cost: CostModel) -> dict[str, Any]:
    return {
        "preset": cost.preset,
        "summary": cost.summary,
        "sha256": cost.sha256,
        "overrides": dict(cost.overrides),
        "prices": {
            name: {**asdict(price), "unit": PARAMETERS[name].unit, "doc": PARAMETERS[name].doc}
            for name, price in cost.prices.items()
        },
    }
