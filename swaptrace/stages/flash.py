"""Flash-friendly placement: writeouts wait in a RAM buffer and go out as whole erase blocks, written in sequence.

Rule. The rule of :mod:`swaptrace.kernels.flashlog`, with one segment per erase block: a store appends its block's page
to the buffer, an end drops it, a read fetches it; an op that does two of these ends first. Segments are aligned to
erase blocks. A read that hits the buffer costs no device access; any other reads one page. A segment that became free
is reported to the device at once (``discard=on``). Pages still in the buffer at the end of the trace were not written.

What makes the buffer write. It is full: then one segment is written, and more until at most the share ``low`` of it is
taken, but never less than a full segment. A page waited for ``timer``: then one segment is written with all that waits,
oldest first, and is filled up with padding; this is seen at the next op that stores, reads or ends a page here.
Memory pressure (``pressure=PAGES/TIME``): while so many pages are stored within that time
(:mod:`swaptrace.kernels.pressure`), the buffer keeps less than a segment. Padding is written to the device like any
page. With ``buffered=tombstone`` a dead page keeps its place until a flush passes it, and a flush that finds too few
live pages fills its segment up, too.

With ``compress=recorded`` a page takes the size that the recording kernel compressed it to (column ``csize``; one of
4096 B or more, or of no known size, takes 4096 B) in the buffer and on the device: then the rule of
:mod:`swaptrace.kernels.packlog` holds, and ``buffer``, ``low`` and the segment are filled with compressed bytes. Whole
erase blocks of 4 KiB pages are written as before, and whole pages are read: two, where a compressed page lies across a
boundary (``pack=straddle``). Only a device of its own can do this: its map says where in a block a page begins.

Inside a virtual layout this is delayed allocation: a physical slot is taken when the segment is written, one entry
update points the owner there (no second map; the layout ``stacked`` charges one by itself). Below a direct layout it
is a device of its own, which needs a map from its slots to their place (8 B per slot, static) and back (8 B per page on
the device); every store, fetch and end walks that map, too, and it is told of every end at once. The swap entries are
slots that the device shows (slots.physical); one whose page waits in the buffer is idle. Each page that the device
writes gets a new place: one walk and one line of the map, charged to writeback, or to gc for a copied page, which also
gives up its old way back (one line); the way back of all lies in sequence, a line for 8 pages of a segment.

Sources: YoungJun Park, aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330 (2026-02-18); Nhat Pham, linux-mm 2026-04-11 (delayed
allocation inside vswap); LWN 1072657.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from swaptrace.kernels.flashfeed import ask, per_op
from swaptrace.kernels.flashlog import STORE, FlashLog, FlashResult, Gc
from swaptrace.kernels.flashops import Geometry
from swaptrace.kernels.packlog import PackedLog, PackedResult
from swaptrace.kernels.pressure import Pressure
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.model.component import PAGE, Account, Layout, Role, Space, Stage
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, Gauge, Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import NOTHING, Backing, DeviceWrites, Op, Ops, Placement
from swaptrace.stages.flash_params import PARAMS

__all__ = ["Flash"]


def _sizes(ops: Ops) -> Ints32:
    """Return the bytes that the page of each writeout takes."""
    recorded = ops.columns["csize"]
    return np.where((recorded == 0) | (recorded > PAGE), PAGE, recorded).astype(np.int32)


class Flash(Stage):
    """A RAM buffer and a log of erase blocks."""

    name = "flash"
    role = Role.PLACEMENT
    moves = True
    summary = "RAM buffer, then whole erase blocks written in sequence"
    key_params = ("buffer", "erase")
    params = PARAMS
    assumptions = (
        "The buffer is first in, first out; it is compressed only with compress=recorded, by lz4.",
        "A trace shows memory pressure only as swap-outs that come fast; what is fast, the user has to say (pressure).",
        "The RAM of the buffer is not taken from the machine that was recorded.",
        "The reverse map lives in RAM; segments carry no summary block.",
    )
    references = (
        "aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330",
        "LWN 1072657",
        "Rosenblum and Ousterhout, ACM TOCS 10(1), 1992 (cost-benefit)",
    )

    def __init__(
        self,
        buffer: int,
        erase: int,
        reserve: int,
        gc: Gc,
        buffered: bool,
        low: float,
        timer: int,
        pressure: tuple[int, int] | None,
        compress: bool,
        pack: bool,
        discard: bool,
        size: int,
    ) -> None:
        if buffer < erase:
            raise UsageError(
                "flash: the buffer is smaller than an erase block.",
                f"buffer={buffer} B, erase={erase} B: a whole segment is written at once.",
                "Make the buffer at least as large.",
            )
        if low > 1:
            raise UsageError(f"flash:low={low:.0%}: more than the buffer.", "", "At most 100%.")
        for name, acts in (("low", low < 1), ("pressure", pressure is not None)):
            if acts and buffer == erase:
                raise UsageError(
                    f"flash:{name} cannot act.",
                    f"The buffer is one erase block, {erase} B: a full one is written at once, nothing less ever is.",
                    "Make the buffer larger, or leave it out.",
                )
        if pack and not compress:
            raise UsageError("flash:pack cannot act.", "Only compressed pages are packed.", "Add compress=recorded.")
        self._compress, self._aligned = compress, pack
        self._segment = erase // PAGE
        self._buffer = buffer // PAGE
        self._reserve, self._gc, self._tombstone, self._timer = reserve, gc, buffered, timer
        self._low = int(Fraction(str(low)) * self._buffer)
        self._pressure = None if pressure is None else Pressure(*pressure)
        self._discard, self._size = discard, size

    @classmethod
    def asks(cls, texts: Mapping[str, str]) -> tuple[tuple[Capability, ...], tuple[str, ...]]:
        """Compressed pages have the recorded size."""
        return ((), ()) if texts["compress"] == "off" else ((Capability.CLEN,), ("csize",))

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
        self._refuse_packing(layout, above)
        habits = self._segment, self._buffer, self._reserve, self._gc, self._tombstone, self._timer, self._low
        self._log: FlashLog | PackedLog
        if self._compress:
            self._log = PackedLog(Geometry(segments, *habits), self._aligned)
        else:
            self._log = FlashLog(segments, *habits)
        if self._own_map:
            ledger.fix(METADATA, 8 * space.slots)

    def feed(self, ops: Ops) -> Ops:
        """Buffer the stores, write full buffers, and answer the reads."""
        n, ledger = len(ops), self._ledger
        at, kind, unit = ask(ops)
        when = self._times(ops.ts, at, kind)
        result: FlashResult
        if isinstance(self._log, PackedLog):
            result = self._log.feed(kind, unit, _sizes(ops)[at], *when)
            self._count_packed(result)
        else:
            result = self._log.feed(kind, unit, *when)
        did = per_op(n, at, kind, result)
        ops.placement = Placement(
            did.live, did.segments, np.zeros(n, np.bool_), did.released, self._segment, did.buffered
        )
        ops.writes = DeviceWrites(
            at[result.at],
            result.page,
            result.unit,
            result.gc,
            result.dead_before if self._discard else np.empty(0, np.int64),
            result.dead_segment.astype(np.int64) * self._segment if self._discard else np.empty(0, np.int64),
            self._segment,
            result.early,
        )
        waiting = ops.backing == Backing.PENDING
        taken = np.where((ops.op == Op.OUT) | did.hit, np.uint8(Backing.BUFFER), np.uint8(Backing.DISK))
        ops.backing = np.where(waiting, taken, ops.backing)
        ledger.count("buffer.hits", int(np.count_nonzero(result.hit)))
        ledger.count("write.absorbed_pages", int(np.count_nonzero(result.absorbed)))
        ledger.count("write.host_gc_bytes", result.gc_bytes)
        ledger.count("write.host_padding_bytes", result.padding_bytes)
        ledger.hold("buffer.bytes", did.places, 1 if self._compress else PAGE)
        ledger.written.extend(result.page)
        ledger.read.extend(result.blocks_read)
        if self._own_map:
            self._charge_map(result)
            ledger.hold(METADATA, did.live, 8)
            ops.device_walk = ops.store | ops.fetch | (ops.drop != NOTHING)
        return ops

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """Compressed pages are compressed on the way in and decompressed on the way out."""
        if not self._compress or backing not in (Backing.BUFFER, Backing.DISK):
            return ()
        return {Op.OUT: ("lz4_compress_ns",), Op.IN: ("lz4_decompress_ns",)}.get(op, ())

    def _refuse_packing(self, layout: Layout, above: Stage | None) -> None:
        if not self._compress:
            return
        if not layout.direct:
            raise UsageError(
                f"flash:compress cannot act under {layout.name}.",
                "A virtual entry names 4 KiB; where in them a packed page begins, only a map of the device says.",
                "Take flash-device+flash:compress=recorded, or a zswap stage above flash.",
            )
        if above is not None and above.name == "zswap":
            raise UsageError(
                "flash:compress cannot act under zswap.",
                "zswap writes pages back decompressed, and their compressed size is not with the op that causes it.",
                "Leave one of them out.",
            )

    def _count_packed(self, result: PackedResult) -> None:
        fresh = ~result.gc
        self._ledger.count("write.packed_pages", int(np.count_nonzero(fresh)))
        self._ledger.count("write.packed_bytes", int(result.size[fresh].sum(dtype=np.int64)))

    def _charge_map(self, result: FlashResult) -> None:
        """Charge the device's own map for what was written."""
        ledger = self._ledger
        pages = result.copies_by_segment(self._segment)
        copied = int(np.count_nonzero(result.gc))
        fresh = int(pages.sum()) - copied
        ledger.count("indirection.lookups.writeback", fresh)
        ledger.count("indirection.cachelines.writeback", fresh + int((-(-pages // 8)).sum()))
        ledger.count("indirection.lookups.gc", copied)
        ledger.count("indirection.cachelines.gc", 2 * copied)

    def _times(self, ts: Ints, at: Ints, kind: Bytes) -> tuple[Ints | None, Bools | None]:
        """Return when the events ``at`` happen, and which are under pressure; None where nobody asks."""
        if not (self._timer or self._pressure):
            return None, None
        now = ts[at]
        if self._pressure is None:
            return now, None
        stores = np.flatnonzero(kind == STORE)
        pressed = np.zeros(len(at), np.bool_)
        pressed[stores] = self._pressure.feed(now[stores])
        return now, pressed

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what the buffer absorbed and served, and what the cleaner copied."""
        counts, gauges = self._ledger.counts, self._ledger.gauges
        yield "write.absorbed_pages", counts["write.absorbed_pages"]
        for name in ("write.host_gc_bytes", "write.host_padding_bytes"):
            yield name, counts[name]
        if self._compress:
            for name in ("write.packed_pages", "write.packed_bytes"):
                yield name, counts[name]
        yield "buffer.hits", counts["buffer.hits"]
        yield "buffer.pages_end", self._log.buffered
        yield "buffer.bytes_peak", gauges["buffer.bytes"].peak if "buffer.bytes" in gauges else 0

    def account(self) -> Account:
        """Pages in the buffer, and those that died there, were not written; the cleaner writes pages again.

        Packed pages share blocks: none of these is one page.
        """
        counts = self._ledger.counts
        kept = counts["write.absorbed_pages"] + self._log.buffered
        if self._compress:
            return Account(kept + counts["write.packed_pages"], added=self._ledger.written.pages)
        return Account(kept, added=(counts["write.host_gc_bytes"] + counts["write.host_padding_bytes"]) // PAGE)

    def remains(self) -> Mapping[str, int]:
        """With tombstones dead pages keep their place in the buffer until a flush passes it."""
        held = self._ledger.gauges.get("buffer.bytes", Gauge()).now
        return {"buffer.bytes": held if self._tombstone and not self._log.buffered else 0}
