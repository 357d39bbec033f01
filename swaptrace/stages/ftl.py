"""The device's own translation layer: page-mapped, greedy garbage collection, with a share of spare blocks.

Rule. The rule of :mod:`swaptrace.kernels.ftl`, fed with the page addresses that the host writes, in order, and with
the ranges that the host reports as dead (discard) where they come between them.

Source: P. Desnoyers, "Analytic modeling of SSD write performance", SYSTOR 2012 (greedy cleaning); docs/kernel-facts.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.ftl import PageMappedFtl
from swaptrace.model.component import PAGE, Layout, Role, Space, Stage, bytes_param, share_param
from swaptrace.model.ledger import ERASE_BLOCKS, Ledger
from swaptrace.model.ops import DeviceWrites, Ops

__all__ = ["Ftl"]


class Ftl(Stage):
    """A page-mapped flash translation layer."""

    name = "ftl"
    role = Role.DEVICE
    summary = "the device's own page-mapped translation, greedy garbage collection"
    params = (
        bytes_param("erase", "4MiB", "erase block (superblock) of the device", ("32KiB", "64KiB")),
        share_param("op", "7%", "over-provisioning: spare capacity as a share of the device", ("0%", "20%", "100%")),
    )
    assumptions = (
        "The device is empty at the beginning of the trace, and holds nothing but swap.",
        "Host pages of 4 KiB are programmed one by one: no padding to larger program pages.",
    )
    references = ("Desnoyers, SYSTOR 2012, doi 10.1145/2367589.2367603",)

    def __init__(self, erase: int, op: float) -> None:
        self._block = erase // PAGE
        self._spare = op

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        self._ledger = ledger
        self.pages = above.pages if above is not None else space.slots
        self._ftl = PageMappedFtl(self.pages, self._block, self._spare)

    def feed(self, ops: Ops) -> Ops:
        """Program the writes of this batch."""
        if ops.writes is not None and (len(ops.writes.page) or len(ops.writes.dead_page)):
            self._ftl.feed(_stream(ops.writes))
        return ops

    def finish(self) -> None:
        """Report what the device did."""
        self._ledger.count("write.flash_bytes", PAGE * self._ftl.flash_pages)
        self._ledger.count("write.erases", self._ftl.erases)
        self._ledger.count(ERASE_BLOCKS, self._ftl.blocks)


def _stream(writes: DeviceWrites) -> NDArray[np.int64]:
    """Return writes and trims in order: a page, or ~page for a trim."""
    page = writes.page.astype(np.int64)
    if len(writes.dead_page) == 0:
        return page
    dead = (writes.dead_page[:, None] + np.arange(writes.dead_pages)).ravel()
    return np.insert(page, np.repeat(writes.dead_before, writes.dead_pages), ~dead)
