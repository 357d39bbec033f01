"""Sizes, shares and times as people write them: ``4MiB``, ``7%``, ``90ns``.

Powers of two carry an ``i`` (KiB, MiB); ``K``, ``M``, ``G`` and ``T`` alone mean powers of two as well, as in the
kernel's own ``mem=`` and cgroup files. ``kB`` and ``MB`` are refused: mailing-list tables use both meanings.
"""

from __future__ import annotations

import re

from swaptrace.model.errors import UsageError, closest

__all__ = ["format_bytes", "format_count", "format_seconds", "parse_bytes", "parse_share", "parse_time_ns", "printable"]

_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SHORT = {"K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB", "": "B"}
_MOST_NS = 10 * 365 * 24 * 3600 * 10**9  # ten years; a time of a trace and it still fit into int64
_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}


def _split(text: str, what: str, units: dict[str, int]) -> tuple[float, str]:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*", text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a {what}.", "Expected: digits, a decimal point, a unit.", f"Units: {', '.join(units)}."
        )
    return float(match[1]), match[2]


def _scaled(text: str, what: str, units: dict[str, int], unit: str, number: float) -> int:
    if unit not in units:
        raise UsageError(f"{text!r}: unknown unit {unit!r} of a {what}.", closest(unit, units))
    return round(number * units[unit])


def parse_bytes(text: str) -> int:
    """Return the bytes that ``text`` names.

    >>> parse_bytes("4MiB"), parse_bytes("512K"), parse_bytes("4096")
    (4194304, 524288, 4096)
    """
    number, unit = _split(text, "size", _BYTES)
    return _scaled(text, "size", _BYTES, _SHORT.get(unit, unit), number)


def parse_share(text: str) -> float:
    """Return a share: ``7%`` and ``0.07`` are the same; a bare ``7`` is refused, as it might mean either.

    >>> parse_share("7%"), parse_share("0.07")
    (0.07, 0.07)
    """
    number, unit = _split(text, "share", {"%": 1})
    if unit not in ("", "%"):
        raise UsageError(
            f"{text!r}: unknown unit {unit!r} of a share.", "A share has no unit but %.", "Write 7% or 0.07."
        )
    if not unit and number > 1:
        raise UsageError(f"{text!r} is more than all.", "Without a % it is no percentage.", f"Write {number:g}%.")
    return number / 100 if unit == "%" else number


def parse_time_ns(text: str) -> int:
    """Return nanoseconds, at most ten years; a number without a unit is seconds.

    >>> parse_time_ns("90ns"), parse_time_ns("1.5")
    (90, 1500000000)
    """
    number, unit = _split(text, "time", _TIMES)
    time = _scaled(text, "time", _TIMES, unit or "s", number)
    if time > _MOST_NS:
        raise UsageError(f"{text!r}: more than ten years.", "Times are kept in ns.", "Write a shorter one.")
    return time


def format_bytes(count: float) -> str:
    """Return ``count`` bytes with four significant digits and a binary unit.

    >>> format_bytes(4194304), format_bytes(100), format_bytes(0)
    ('4.000 MiB', '100 B', '0 B')
    """
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if abs(count) >= _BYTES[unit]:
            return f"{significant(count / _BYTES[unit])} {unit}"
    return f"{count:.4g} B"


def significant(value: float, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` significant digits, trailing zeros kept, never in exponent form.

    >>> significant(4.0), significant(1234567.0), significant(0.012345)
    ('4.000', '1234567', '0.01235')
    """
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.9996 is 10.00
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def format_count(count: float) -> str:
    """Return a count with thousands separators: ``1,204,331``."""
    return f"{count:,.0f}"


def format_seconds(nanoseconds: float) -> str:
    """Return a duration in the unit that keeps it readable.

    >>> format_seconds(92_000_000_000), format_seconds(1500)
    ('92.00 s', '1.500 us')
    """
    for unit in ("s", "ms", "us"):
        if abs(nanoseconds) >= _TIMES[unit]:
            return f"{significant(nanoseconds / _TIMES[unit])} {unit}"
    return f"{nanoseconds:.4g} ns"


def printable(text: str) -> str:
    r"""Return a text of foreign origin for a terminal: what would move its cursor or colour it is shown as an escape.

    >>> print(printable("cat\n\x1b[31m"))
    cat\n\x1b[31m
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
