"""The device's own translation layer: page-mapped, with a share of spare blocks and a garbage collector.

Rule. The rule of :mod:`swaptrace.kernels.ftl`, fed with the page addresses that the host writes, in order, and with
the ranges that the host reports as dead (discard) where they come between them. Requests are those of
``write.requests``: pages that follow each other in place and in order, whatever the time between them. Each of several
swap devices (priorities=on) has a translation layer of its own; the figures are their sums.

Sources: P. Desnoyers, "Analytic modeling of SSD write performance", SYSTOR 2012 (greedy cleaning); L. Xiang and B.
Kurkoski, arXiv:1110.4245 (first in, first out); B. Van Houdt, "Performance of garbage collection algorithms for
flash-based solid state drives with hot/cold data", Performance Evaluation 70 (2013) (two streams: a write frontier for
copies); S. Oh et al., "MiDAS", FAST 2024 (a chain of more); docs/kernel-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.ftl import PageMappedFtl
from swaptrace.model.component import PAGE, Area, Layout, Role, Space, Stage, bytes_param, choice, share_param
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import ERASE_BLOCKS, Ledger
from swaptrace.model.ops import DeviceWrites, Ops
from swaptrace.stages.per_device import device_of

__all__ = ["Ftl"]


class Ftl(Stage):
    """A page-mapped flash translation layer."""

    name = "ftl"
    role = Role.DEVICE
    summary = "the device's own page-mapped translation and garbage collection"
    key_params = ("erase", "op")
    params = (
        bytes_param("erase", "4MiB", "erase block (superblock) of the device", ("32KiB", "64KiB")),
        share_param("op", "7%", "over-provisioning: spare capacity as a share of the device", ("0%", "20%", "100%")),
        choice(
            "gc",
            "greedy",
            "block that is collected: the one with the fewest valid pages, or the one closed first",
            {"greedy": False, "fifo": True},
        ),
        bytes_param("prog", "4KiB", "program page: a request that does not fill its last one is padded", ("16KiB",)),
        choice(
            "streams",
            "1",
            "open blocks: with more than one, pages lie together by how often the collector has copied them",
            {"1": 1, "2": 2, "3": 3, "4": 4},
        ),
    )
    assumptions = (
        "The device is empty at the beginning of the trace, and holds nothing but swap.",
        "Host pages of 4 KiB are programmed one by one, unless prog= says how many a program page has.",
        "The device's write cache joins the pages of one request only, never those of several.",
    )
    references = ("Desnoyers, SYSTOR 2012, doi 10.1145/2367589.2367603",)

    def __init__(self, erase: int, op: float, gc: bool, prog: int, streams: int) -> None:
        if erase % prog:
            raise UsageError(
                "ftl: an erase block is not a whole number of program pages.",
                f"erase={erase} B, prog={prog} B.",
                "Give prog= a size that divides erase=, as 16KiB does.",
            )
        self._block, self._program = erase // PAGE, prog // PAGE
        self._spare, self._fifo, self._streams = op, gc, streams

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self.pages = above.pages if above is not None else space.slots
        areas = above.areas if above is not None else ()
        self._areas = areas or (Area(0, self.pages, 0),)
        self._ftls = [
            PageMappedFtl(area.slots, self._block, self._spare, self._program, self._fifo, self._streams)
            for area in self._areas
        ]

    def feed(self, ops: Ops) -> Ops:
        """Program the writes of this batch."""
        if ops.writes is not None and (len(ops.writes.page) or len(ops.writes.dead_page)):
            stream = _stream(ops.writes)
            if len(self._ftls) == 1:
                self._ftls[0].feed(stream)
            else:
                self._feed_each(stream)
        return ops

    def _feed_each(self, stream: NDArray[np.int64]) -> None:
        """Program the writes on the device to which each belongs."""
        device = device_of(self._areas, np.where(stream < 0, ~stream, stream))
        for number, (area, ftl) in enumerate(zip(self._areas, self._ftls, strict=True)):
            here = stream[device == number]
            ftl.feed(np.where(here < 0, here + area.first, here - area.first))

    def finish(self) -> None:
        """Report what the device did."""
        for ftl in self._ftls:
            ftl.finish()
            self._ledger.count("write.flash_bytes", PAGE * ftl.flash_pages)
            self._ledger.count("write.padding_bytes", PAGE * ftl.padded_pages)
            self._ledger.count("write.erases", ftl.erases)
            self._ledger.count(ERASE_BLOCKS, ftl.blocks)

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what larger program pages cost."""
        if self._program > 1:
            yield "write.padding_bytes", self._ledger.counts["write.padding_bytes"]


def _stream(writes: DeviceWrites) -> NDArray[np.int64]:
    """Return writes and trims in order: a page, or ~page for a trim."""
    page = writes.page.astype(np.int64)
    if len(writes.dead_page) == 0:
        return page
    dead = (writes.dead_page[:, None] + np.arange(writes.dead_pages)).ravel()
    return np.insert(page, np.repeat(writes.dead_before, writes.dead_pages), ~dead)
