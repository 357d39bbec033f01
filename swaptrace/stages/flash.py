"""Flash-friendly placement: writeouts wait in a RAM buffer and go out as whole erase blocks, written in sequence.

Rule. The rule of :mod:`swaptrace.kernels.flashlog`, with one segment per erase block: a store appends its block's page
to the buffer, an end drops it, a read fetches it. Segments are aligned to erase blocks. A read that hits the buffer
costs no device access; any other reads one page. Segments that became free are reported to the device (``discard=on``)
before the write that the same op causes. Pages still in the buffer at the end of the trace were not written.

Inside a virtual layout this is delayed allocation: a physical slot is taken when the segment is written, one entry
update points the owner there (no second map; the layout ``stacked`` charges one by itself). Below a direct layout it
is a device of its own, which needs a map from its slots to their place (8 B per slot, static) and back (8 B per page on
the device); every store, fetch and end walks that map, too.

Sources: YoungJun Park, aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330 (2026-02-18); Nhat Pham, linux-mm 2026-04-11 (delayed
allocation inside vswap); LWN 1072657.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swaptrace.kernels.flashfeed import ask, per_op
from swaptrace.kernels.flashlog import FlashLog
from swaptrace.model.component import (
    PAGE,
    Account,
    Layout,
    Role,
    Space,
    Stage,
    bytes_param,
    choice,
    count_param,
    size_param,
)
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, Ledger
from swaptrace.model.ops import NOTHING, Backing, DeviceWrites, Op, Ops, Placement

__all__ = ["Flash"]


class Flash(Stage):
    """A RAM buffer and a log of erase blocks, cleaned greedily."""

    name = "flash"
    role = Role.PLACEMENT
    summary = "RAM buffer, then whole erase blocks written in sequence"
    params = (
        bytes_param("buffer", "4MiB", "RAM buffer; full, it is written out", ("64KiB", "96KiB", "1MiB")),
        bytes_param("erase", "4MiB", "erase block of the device: one segment", ("32KiB", "64KiB")),
        count_param("reserve", "2", "free segments at which the cleaner starts", examples=("0", "5")),
        choice("discard", "on", "report free segments to the device", {"off": False, "on": True}),
        size_param(),
    )
    assumptions = (
        "The buffer is uncompressed, first in, first out; dead pages give their room back.",
        "No timer and no memory pressure: only a full buffer is written.",
        "The reverse map lives in RAM; segments carry no summary block.",
    )
    references = ("aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330", "LWN 1072657")

    def __init__(self, buffer: int, erase: int, reserve: int, discard: bool, size: int) -> None:
        if buffer < erase:
            raise UsageError(
                "flash: the buffer is smaller than an erase block.",
                f"buffer={buffer} B, erase={erase} B: a whole segment is written at once.",
                "Make the buffer at least as large.",
            )
        self._segment = erase // PAGE
        self._buffer = buffer // PAGE
        self._reserve, self._discard, self._size = reserve, discard, size

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        segments = (self._size or space.slots) // self._segment
        if segments <= self._reserve:
            raise UsageError(
                f"flash: the device has {segments} erase blocks, and {self._reserve} are kept free.",
                f"Its size is {self._size or space.slots} slots, an erase block has {self._segment}.",
                "Give flash a larger size= or a smaller erase=.",
            )
        self.pages = segments * self._segment
        self._ledger = ledger
        self._own_map = layout.direct
        self._log = FlashLog(segments, self._segment, self._buffer, self._reserve)
        if self._own_map:
            ledger.fix(METADATA, 8 * space.slots)

    def feed(self, ops: Ops) -> Ops:
        """Buffer the stores, write full buffers, and answer the reads."""
        n, ledger = len(ops), self._ledger
        at, kind, unit = ask(ops)
        result = self._log.feed(kind, unit)
        did = per_op(n, at, kind, result)
        ops.placement = Placement(
            did.live, did.segments, np.zeros(n, np.bool_), did.released, self._segment, did.buffered
        )
        ops.writes = DeviceWrites(
            at[result.at],
            result.page,
            result.unit,
            result.gc,
            np.searchsorted(result.at, result.dead_at) if self._discard else np.empty(0, np.int64),
            result.dead_segment.astype(np.int64) * self._segment if self._discard else np.empty(0, np.int64),
            self._segment,
        )
        waiting = ops.backing == Backing.PENDING
        taken = np.where((ops.op == Op.OUT) | did.hit, np.uint8(Backing.BUFFER), np.uint8(Backing.DISK))
        ops.backing = np.where(waiting, taken, ops.backing)
        ledger.count("buffer.hits", int(np.count_nonzero(result.hit)))
        ledger.count("write.absorbed_pages", int(np.count_nonzero(result.absorbed)))
        ledger.count("write.gc_pages", int(np.count_nonzero(result.gc)))
        ledger.hold("buffer.bytes", did.buffered, PAGE)
        ledger.written.extend(result.page)
        ledger.read.extend(np.compress(result.address >= 0, result.address))
        if self._own_map:
            ledger.hold(METADATA, did.live, 8)
            ops.device_walk = ops.store | ops.fetch | (ops.drop != NOTHING)
        return ops

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what the buffer absorbed and served, and what the cleaner copied."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        yield "write.absorbed_pages", counts["write.absorbed_pages"]
        yield "write.host_gc_bytes", PAGE * counts["write.gc_pages"]
        yield "buffer.hits", counts["buffer.hits"]
        yield "buffer.pages_end", self._log.buffered
        yield "buffer.bytes_peak", gauges["buffer.bytes"].peak if "buffer.bytes" in gauges else 0

    def account(self) -> Account:
        """Pages in the buffer, and those that died there, were not written; the cleaner writes pages again."""
        counts = self._ledger.counts
        return Account(counts["write.absorbed_pages"] + self._log.buffered, added=counts["write.gc_pages"])
