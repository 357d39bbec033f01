"""The parameters of the stage flash; what they do is said there."""

from __future__ import annotations

from swaptrace.kernels.flashlog import Gc
from swaptrace.model.component import Param, bytes_param, choice, count_param, share_param, size_param, time_param
from swaptrace.model.errors import UsageError
from swaptrace.model.units import parse_time_ns

__all__ = ["PARAMS"]

_MOST_STORES = 1 << 24  # of which Pressure keeps the times
_GC = {"greedy": Gc.GREEDY, "fifo": Gc.FIFO, "cost-benefit": Gc.COST_BENEFIT}
_PACK = {"straddle": False, "aligned": True}


def _pressure(text: str) -> tuple[int, int] | None:
    """Return pages and ns, from ``25600/1s``."""
    if text == "off":
        return None
    pages, _, span = text.partition("/")
    if not (pages.isdigit() and 1 <= int(pages) <= _MOST_STORES and span):
        raise UsageError(
            "not PAGES/TIME.", f"From 1 to {_MOST_STORES} pages: their times are kept.", "For example 25600/1s."
        )
    return int(pages), parse_time_ns(span)


PARAMS = (
    bytes_param("buffer", "4MiB", "RAM buffer; full, it is written out", ("64KiB", "96KiB", "1MiB")),
    bytes_param("erase", "4MiB", "erase block of the device: one segment", ("32KiB", "64KiB")),
    count_param("reserve", "2", "free segments at which the cleaner starts", examples=("0", "5")),
    choice("gc", "greedy", "segment that the cleaner takes: fewest live pages, oldest, or LFS cost-benefit", _GC),
    choice(
        "buffered",
        "compacting",
        "a page that dies in the buffer gives its place back at once, or when passed",
        {"compacting": False, "tombstone": True},
    ),
    share_param("low", "100%", "a full buffer is written until at most this share of it is taken", ("0%", "50%")),
    time_param("timer", "off", "a page that waits so long is written out", ("off", 0), 1, ("500ns", "3us")),
    Param(
        "pressure",
        "off",
        "stores within a time that show memory pressure: 25600/1s",
        _pressure,
        "pages/time",
        ("8/120ns", "2/1us"),
    ),
    choice(
        "compress",
        "off",
        "pages take the compressed size that was recorded, and are packed",
        {"off": False, "recorded": True},
    ),
    choice("pack", "straddle", "compressed pages lie behind one another, or none in two 4 KiB blocks", _PACK),
    choice("discard", "on", "report free segments to the device", {"off": False, "on": True}),
    size_param(),
)
