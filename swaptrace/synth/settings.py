"""Parameters of recipes: those that all have, and how a user's words become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swaptrace.model.component import Param, bytes_param, count_param, share_param
from swaptrace.model.errors import UsageError, closest
from swaptrace.model.units import parse_time_ns

__all__ = [
    "CONTENT",
    "MACHINE",
    "MEMORY",
    "bounded",
    "most_bytes",
    "number_param",
    "parse_settings",
    "percent",
    "refuse_idle",
    "time_param",
    "with_defaults",
]

_MOST_BYTES = 64 << 30  # 16 Mi pages: state is about 50 bytes per page


def percent(name: str, default: str, doc: str) -> Param:
    """Return a parameter that is a share of at most 100 %."""
    return bounded(share_param(name, default, doc), 1.0, "more than 100%.")


def most_bytes(name: str, default: str, doc: str) -> Param:
    """Return a parameter in bytes, of at most 64 GiB: the state of every page is kept."""
    return bounded(bytes_param(name, default, doc), _MOST_BYTES, "more than 64GiB.")


def bounded(param: Param, most: float, what: str) -> Param:
    """Return ``param`` with an upper limit."""

    def parse(text: str) -> Any:
        value = param.parse(text)
        if value > most:
            raise UsageError(what)
        return value

    return Param(param.name, param.default, param.doc, parse, param.unit)


def number_param(name: str, default: str, doc: str, most: float) -> Param:
    """Return a parameter that is a number from 0 to ``most``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most:
            raise UsageError(f"not a number from 0 to {most:g}.")
        return value

    return Param(name, default, doc, parse, "1")


def time_param(name: str, default: str, doc: str) -> Param:
    """Return a parameter that is a time of at most a day, kept in ns."""
    return bounded(Param(name, default, doc, parse_time_ns, "time"), 24 * 3600 * 10**9, "more than a day.")


# What memory there is ...
MEMORY = (
    most_bytes("footprint", "256MiB", "pages that are touched at all"),
    most_bytes("resident", "64MiB", "pages that memory holds; the others are swapped out"),
)
# ... what is written to it ...
CONTENT = (
    percent("zero", "10%", "written pages that are zero"),
    percent("duplicate", "10%", "written pages whose content is one of the pool's"),
    bounded(count_param("pool", "1000", "contents that pages share", least=1), 1 << 24, "more than 16777216."),
)
# ... and how fast, by how many.
MACHINE = (
    bounded(count_param("cpus", "4", "processors", least=1), 4096, "more than 4096."),
    bounded(count_param("rate", "200000", "events per second, on average", least=1), 10**9, "more than 1e9."),
)


def with_defaults(params: Sequence[Param], **defaults: str) -> tuple[Param, ...]:
    """Return ``params`` with other defaults."""
    return tuple(Param(p.name, defaults.get(p.name, p.default), p.doc, p.parse, p.unit) for p in params)


def parse_settings(recipe: str, params: Sequence[Param], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of every parameter; those not ``given`` have their default.

    Raises :class:`UsageError` for an unknown name (with the closest one) and for a value that cannot be meant.
    """
    known = {param.name: param for param in params}
    for name in given:
        if name not in known:
            raise UsageError(f"{recipe} has no parameter {name!r}.", closest(name, known), "swaptrace synth --list")
    return {name: param.value(given.get(name, param.default), recipe) for name, param in known.items()}


def refuse_idle(recipe: str, given: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` where a given parameter cannot act, or all shares of contents exceed 100 %."""
    if not values["duplicate"]:
        for name in ("pool", "skew"):
            if name in given:
                raise UsageError(f"{recipe}:{name} cannot act.", "No page takes its content from the pool.", _POOLED)
    if "skew" in given and values["pool"] == 1:
        raise UsageError(f"{recipe}:skew cannot act.", "The pool has one content.", "Set pool=1000, or leave it out.")
    total = values["zero"] + values["duplicate"] + values.get("same", 0.0)
    if total > 1:
        raise UsageError(
            f"{recipe}: {total:.0%} of the written pages have a chosen content.",
            "zero, duplicate and same are shares of the same pages.",
            "Lower one of them.",
        )


_POOLED = "Set duplicate=10%, or leave it out."
