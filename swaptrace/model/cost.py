"""What things cost: a set of prices, each with a low, a typical and a high value and where they come from.

Prices are applied after the replay, to its exact counts (:mod:`swaptrace.model.pricing`): a report can be priced again
without replaying.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from swaptrace.model.errors import UsageError, closest

__all__ = ["CORNERS", "DEVICE", "PARAMETERS", "CostModel", "Parameter", "Price", "price_text"]

CORNERS = ("low", "typical", "high")
_UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_MOST = 1e15


@dataclass(frozen=True)
class Parameter:
    """One thing that has a price."""

    name: str
    unit: str
    doc: str


def _parameters(unit: str, docs: Mapping[str, str]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, unit, doc) for name, doc in docs.items())


_ALL = (
    *_parameters(
        "ns",
        {
            "line_ns": "a dependent cache line of the swap tables",
            "walk_ns": "a table walk whose lines are hot: its lock and its reference",
            "zero_accept_ns": "the check that finds a page zero or same-filled",
            "zero_reject_ns": "the check that finds a page neither",
            "zero_fill_ns": "clearing a page",
            "hash_ns": "hashing a page",
            "index_ns": "looking a hash up in a content index",
            "compare_ns": "comparing a page with another",
            "copy_ns": "copying a page",
            "lz4_compress_ns": "compressing a page with lz4",
            "lz4_decompress_ns": "decompressing a page with lz4",
            "zstd_compress_ns": "compressing a page with zstd",
            "zstd_decompress_ns": "decompressing a page with zstd",
            "fault_ns": "a swap-in fault without its table walks and its data",
            "minor_fault_ns": "a fault that the swap cache answers, without its table walks",
            "pte_scan_ns": "swapoff looking at a page table entry",
            "pte_update_ns": "swapoff replacing a page table entry",
            "device_read_ns": "reading a page from the device, at random",
            "device_write_ns": "writing a page to the device, by itself",
            "device_seq_write_ns": "writing a page directly behind the one before",
            "device_discard_ns": "discarding 2 MiB (512 slots)",
        },
    ),
    *_parameters("1", {"pe_cycles": "how often a block of the device can be erased"}),
)
PARAMETERS: dict[str, Parameter] = {parameter.name: parameter for parameter in _ALL}
DEVICE = tuple(name for name in PARAMETERS if name.startswith("device_"))
"""The prices of a device: a cost model has all of them, or none."""


@dataclass(frozen=True)
class Price:
    """One parameter's low, typical and high value in its unit, and where they come from.

    Raises :class:`ValueError` for values that are not in this order, or below zero.
    """

    low: float
    typical: float
    high: float
    source: str = ""

    def __post_init__(self) -> None:
        values = (self.low, self.typical, self.high)
        if not all(math.isfinite(value) and 0 <= value <= _MOST for value in values):
            raise ValueError(f"a price is a number from 0 to {_MOST:g}")
        if not self.low <= self.typical <= self.high:
            raise ValueError("low, typical and high are not in this order")


def price_text(price: Price) -> str:
    """Return the values as an override takes them: ``20..90..150``, or one number where all are equal."""
    if price.low == price.high:
        return f"{price.typical:.17g}"
    return "..".join(f"{value:.17g}" for value in (price.low, price.typical, price.high))


@dataclass(frozen=True)
class CostModel:
    """Prices by the names of :data:`PARAMETERS`: those of a preset, some of them perhaps overridden.

    ``sha256`` is the digest of the preset's values; ``overrides`` are the texts of the values that replace some.
    """

    preset: str
    prices: Mapping[str, Price]
    summary: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", _digest(self.prices))
        some = [name for name in DEVICE if name in self.prices]
        if some and len(some) < len(DEVICE):
            raise UsageError(
                f"{self.preset} has prices of a device, but not all.",
                f"It lacks {', '.join(name for name in DEVICE if name not in some)}.",
                "Give them all, or build on a preset that has a device (swaptrace cost list).",
            )

    @property
    def has_device(self) -> bool:
        """Whether the content of pages is priced: without a device only the indirection is."""
        return DEVICE[0] in self.prices

    def at(self, corner: str) -> dict[str, float]:
        """Return every price at its ``low``, ``typical`` or ``high`` value."""
        return {name: getattr(price, corner) for name, price in self.prices.items()}

    def changed(self, changes: Iterable[str]) -> CostModel:
        """Return this model with overrides, each ``NAME=VALUE``, ``NAME=LOW..HIGH`` or ``NAME=LOW..TYPICAL..HIGH``.

        Without a typical value it is the middle. Times are in ns, or have a unit: ``30us..80us``.
        Raises :class:`UsageError` for an unknown name (with the closest match) or a value that is none.
        """
        prices, overrides = dict(self.prices), dict(self.overrides)
        for change in changes:
            name, _, text = (word.strip() for word in change.partition("="))
            if name not in PARAMETERS:
                raise UsageError(
                    f"unknown cost parameter {name!r}.", closest(name, PARAMETERS), "All of them: swaptrace cost show"
                )
            if name in overrides:
                raise UsageError(f"cost parameter {name} is given twice.", "", "Give it once.")
            prices[name] = _parsed(name, text)
            overrides[name] = price_text(prices[name])
        return replace(self, prices=prices, overrides=overrides)


def _parsed(name: str, text: str) -> Price:
    units = _UNITS if PARAMETERS[name].unit == "ns" else {}
    values = []
    for part in text.split(".."):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", part)
        if match is None or (match[2] and match[2] not in units) or len(match[1]) > 32:
            raise UsageError(
                f"{name}={text}: {part!r} is not a {'time' if units else 'number'}.",
                "Write VALUE, LOW..HIGH or LOW..TYPICAL..HIGH.",
                f"For example {name}={'30us..80us' if units else '1000..3000'}",
            )
        values.append(float(match[1]) * units.get(match[2], 1.0))
    if len(values) == 2:
        values.insert(1, (values[0] + values[1]) / 2)
    if len(values) not in (1, 3):
        raise UsageError(f"{name}={text}: {len(values)} values.", "Write VALUE, LOW..HIGH or LOW..TYPICAL..HIGH.")
    low, typical, high = values if len(values) == 3 else values * 3
    try:
        return Price(low, typical, high, "given on the command line")
    except ValueError as error:
        raise UsageError(f"{name}={text}: {error}.") from error


def _digest(prices: Mapping[str, Price]) -> str:
    """Return the sha256 of a line ``NAME LOW TYPICAL HIGH`` for each price, in the order of the parameters."""
    lines = (
        f"{name} {prices[name].low:.17g} {prices[name].typical:.17g} {prices[name].high:.17g}\n"
        for name in PARAMETERS
        if name in prices
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
