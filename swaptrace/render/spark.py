"""Sparklines: one character per bin, eight heights."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#"


def sparkline(counts: Sequence[int], *, ascii_only: bool = False) -> str:
    """Return ``counts`` as bars: the largest is full height, zero is a space, anything else at least the
    lowest bar.

    >>> sparkline([0, 1, 4, 8])
    ' ▁▄█'
    """
    bars = _ASCII if ascii_only else _BARS
    top = max(counts, default=0)
    return "".join(
        " " if count == 0 else bars[max(1 if ascii_only else 0, -(-count * 8 // top) - 1)] for count in counts
    )
