"""Block events alone, as text: the default output of blkparse, and ftrace's blk tracer.

They tell when and where swap was written and read, not why: no ``mm_vmscan_write_folio`` (a zswap writeback looks like
a swap_out), no pages that never reach the device, no page frames, addresses or owners. A bio counts when it is queued
(action Q). Which of the disks are swap areas must be said (``--device``), for other bios look the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.raw import RawChunk
from swaptrace.ingest.reorder import reordered
from swaptrace.ingest.text_events import number
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource

__all__ = ["BlkText"]

_DEV = r"(?P<major>\d+),(?P<minor>\d+)"
_WHAT = r"(?P<action>[A-Za-z]{1,2})\s+(?P<op>[A-Z]+)\s*(?P<tail>.*)$"
_BLKPARSE = rf"^\s*{_DEV}\s+(?P<cpu>\d+)\s+\d+\s+(?P<sec>\d+)\.(?P<frac>\d+)\s+(?P<tid>\d+)\s+{_WHAT}"
_TRACER = (
    r"^\s*.*?-(?P<tid>\d+)\s+(?:\(.{7}\)\s+)?\[(?P<cpu>\d+)\]\s+(?:[^\s\d]\S{3,5}\s+)?(?P<sec>\d+)\.(?P<frac>\d+):\s+"
    rf"{_DEV}\s+{_WHAT}"
)
_BIO = r"^(\d+) \+ (\d+)(?: \[(.*)\])?\s*$"
# Headers of ftrace; the summary of blkparse, and its messages (action m), which have no operation.
_OTHER = (
    r"^#|^(?:CPU\d+|Total|Events) \(|^Throughput|^Skips: |^Trace started|^Input file |^ +[A-Z][A-Za-z ]+:\s+\d"
    r"|^\s*\d+,\d+\s+\d+\s+\d+\s+\d+\.\d+\s+\d+\s+m\s"
)
_SKIPS = r"^Skips: (\d+) forward"
_ACTIONS = "block actions other than Q (queued)"


class BlkText(TextSource):
    """blkparse text, or that of ftrace's blk tracer, as a source of BIO events."""

    def __init__(self, text: TextInput, stop: bool = False) -> None:
        super().__init__(text, stop)
        tracer = text.head().lstrip().startswith("# tracer:")
        self._pattern = _TRACER if tracer else _BLKPARSE
        self._decoder.ordered = False
        self.findings.notes.append(
            "Block events only: a zswap writeback cannot be told from a swap_out; zero pages, zswap, owners, addresses "
            "and causes are not seen."
        )
        self.findings.notes.append(
            "ftrace text does not name its clock." if tracer else "The times of blkparse count from its start."
        )

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the bios in time order."""
        yield from reordered(self._blocks(), self.findings)
        if not self._understood:
            raise self._nothing()

    def _blocks(self) -> Iterator[RawChunk]:
        for lines in self._text.blocks():
            frame = self._match(lines, self._pattern, "action", _OTHER)
            for skips in self._lines.str.extract(_SKIPS).drop_nulls().str.to_integer(strict=False).drop_nulls():
                self.findings.lose("blktrace", int(skips))
            queued = frame.filter(pl.col("action") == "Q")
            self.findings.skip(_ACTIONS, frame.height - queued.height)
            seconds, fraction = number(pl.col("sec")), number(pl.col("frac").str.slice(0, 9).str.pad_end(9, "0"))
            parts = pl.col("tail").str.extract_groups(_BIO)
            place = [pl.col("major"), pl.lit(","), pl.col("minor"), pl.lit(" "), pl.col("op"), pl.lit(" ")]
            frame = queued.select(
                "row",
                parts.struct.field("3").fill_null("").alias("comm"),
                pl.when(seconds < 1 << 33).then(seconds * 10**9 + fraction).alias("ts"),
                pl.lit("block_bio_queue").alias("event"),
                pl.concat_str(*place, pl.col("tail")).alias("rest"),
                number(pl.col("tid")).alias("tid"),
                pl.lit(0).alias("tgid"),
                number(pl.col("cpu")).alias("cpu"),
            )
            self._unreadable(frame.filter(pl.col("ts").is_null())["row"], "lines with an impossible time")
            frame = frame.filter(pl.col("ts").is_not_null())
            if frame.height:
                yield self._decoder(frame, [])
