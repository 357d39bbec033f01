"""ftrace text: ``trace``, ``trace_pipe``, and ``trace-cmd report``, in every variant that says who and when.

Read: the default form, with record-tgid, without irq-info, latency-format (time in us since its start), the
``fields`` option, and clocks printed as seconds. Refused, with the reason: the options raw and hex (no fields),
nocontext-info (neither task nor time), the blk tracer (no write_folio), and clocks without a unit (counter, x86-tsc,
uptime).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.raw import RawChunk
from swaptrace.ingest.text_events import number
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource
from swaptrace.model.errors import InputError

__all__ = ["FtraceText"]

_LINE = (
    r"^\s*(?P<comm>.*?)-(?P<tid>\d+)\s+(?:\(\s*(?P<tgid>\d+|-+)\)\s+)?"  # task, and its process with record-tgid
    r"(?:\[(?P<cpu>\d+)\]\s+(?:[^\s\d][^\s]{3,5}\s+)?|(?P<cpu2>\d+)[^\s\d]\S{3,4}\s+)"  # cpu, irq-info
    r"(?P<sec>\d+)(?:\.(?P<frac>\d+))?(?P<us>us\S?)?\s*:\s+(?P<event>\w+):\s*(?P<rest>.*)$"
)
_LOST = re.compile(r"^CPU:(\d{1,9}) \[(?:LOST )?(\d{1,18})? ?EVENTS(?: DROPPED)?\]")
_WRITTEN = re.compile(r"^# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_OTHER = r"^#|^CPU:\d+ \[|^cpus=\d+$|^version = |^CPU \d+ is empty$"  # headers, loss reports, those of trace-cmd
_REFUSED = (
    (
        re.compile(r"^\w+ \w+ \w+ type: \d+"),
        "The trace options raw and hex print no fields.",
        "echo 0 > options/raw; echo 0 > options/hex",
    ),
    (
        re.compile(r"^[a-z]\w+: \w+="),
        "The trace option nocontext-info leaves out the task and the time.",
        "echo 1 > options/context-info",
    ),
    (
        re.compile(r"\d+,\d+\s+[A-Z]\s+\S+ \d+ \+ \d+"),
        "The blk tracer has block events only, no mm_vmscan_write_folio.",
        "Enable the events instead: swaptrace record --dry-run",
    ),
)


class FtraceText(TextSource):
    """ftrace text as a source of raw events."""

    def __init__(self, text: TextInput, stop: bool = False) -> None:
        super().__init__(text, stop)
        self.findings.notes.append("ftrace text does not name its clock.")

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in the order of the lines, which is that of time."""
        for lines in self._text.blocks():
            frame = self._match(lines, _LINE, "event", _OTHER)
            lost = self._losses()
            self._check_clock(frame)
            frame = _typed(frame)
            self._unreadable(frame.filter(pl.col("ts").is_null())["row"], "lines with an impossible time")
            frame = frame.filter(pl.col("ts").is_not_null())
            if frame.height or lost:
                yield self._decoder(frame, lost)
        if not self._understood:
            raise self._refusal(self._sample)

    def _losses(self) -> list[tuple[int, int, int]]:
        """Return the loss reports of the block as (line, events, cpu), and count what its header says."""
        marks = pl.DataFrame({"line": self._lines}).with_row_index("row")
        marks = marks.filter(pl.col("line").str.contains(r"^CPU:|^# entries-in-buffer"))
        out = []
        for row, line in marks.rows():
            if match := _LOST.match(line):
                events = int(match[2] or 0)
                self.findings.lose("ftrace", max(events, 1))
                out.append((int(row), events, int(match[1]) & 0xFFFF))
            elif match := _WRITTEN.match(line):
                self.findings.lose(
                    "ftrace buffer (overwritten before it was read)", max(int(match[2]) - int(match[1]), 0)
                )
        return out

    def _check_clock(self, frame: pl.DataFrame) -> None:
        if frame.filter(pl.col("frac").is_null() & pl.col("us").is_null()).height:
            raise InputError(
                f"the times of {self._text.name} have no unit.",
                "They are whole numbers: trace_clock was counter, x86-tsc or uptime.",
                "Record again after: echo mono > trace_clock",
            )

    def _refusal(self, sample: str) -> InputError:
        for pattern, why, step in _REFUSED:
            if pattern.search(sample):
                return InputError(f"{self._text.name} cannot be imported.", why, f"Record again after: {step}")
        return self._nothing()


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    seconds = pl.col("sec").str.to_integer(strict=False)
    fraction = pl.col("frac").str.slice(0, 9).str.pad_end(9, "0").str.to_integer(strict=False)
    whole = pl.when(seconds < 1 << 33).then(seconds)  # a time beyond 2**63 ns is none
    ts = pl.when(pl.col("us").is_not_null()).then(whole * 1000).otherwise(whole * 10**9 + fraction.fill_null(0))
    return frame.select(
        "row",
        pl.col("comm").str.strip_chars(),
        ts.alias("ts"),
        "event",
        "rest",
        tid=number(pl.col("tid")),
        tgid=number(pl.col("tgid").fill_null("0")).fill_null(0),
        cpu=number(pl.coalesce("cpu", "cpu2")),
    )
