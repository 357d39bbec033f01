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
_LOST = re.compile(r"^CPU:(\d+) \[(?:LOST )?(\d+)? ?EVENTS(?: DROPPED)?\]")
_WRITTEN = re.compile(r"^# entries-in-buffer/entries-written: (\d+)/(\d+)")
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

    def __init__(self, text: TextInput) -> None:
        super().__init__(text)
        self.findings.notes.append("ftrace text does not name its clock.")

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in the order of the lines, which is that of time."""
        understood, sample = False, ""
        for lines in self._text.blocks():
            frame = _parse(lines)
            understood |= frame.height > 0
            others = [line for line in lines if line and not line.startswith("#")]
            sample = sample or next(iter(others), "")
            lost = self._losses(lines)
            self.findings.skip("lines that are not understood", len(others) - frame.height - len(lost))
            self._check_clock(frame)
            if frame.height:
                yield self._decoder(_timed(frame), lost)
        if not understood:
            raise self._refusal(sample)

    def _losses(self, lines: list[str]) -> list[tuple[int, int, int]]:
        out = []
        for row, line in enumerate(lines):
            if line.startswith("CPU:") and (match := _LOST.match(line)):
                events = int(match[2] or 0)
                self.findings.lose("ftrace", max(events, 1))
                out.append((row, events, int(match[1]) & 0xFFFF))
            elif line.startswith("# entries") and (match := _WRITTEN.match(line)):
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
        return InputError(
            f"{self._text.name} holds no events.",
            f"Its first line is {sample[:60]!r}." if sample else "It has comments only.",
        )


def _parse(lines: list[str]) -> pl.DataFrame:
    frame = pl.DataFrame({"line": lines}).with_row_index("row")
    groups = pl.col("line").str.extract_groups(_LINE)
    return frame.with_columns(groups.alias("g")).unnest("g").drop("line").filter(pl.col("event").is_not_null())


def _timed(frame: pl.DataFrame) -> pl.DataFrame:
    seconds = pl.col("sec").str.to_integer(strict=False)
    fraction = pl.col("frac").str.slice(0, 9).str.pad_end(9, "0").str.to_integer(strict=False)
    whole = pl.when(seconds < 1 << 33).then(seconds)  # a time beyond 2**63 ns is none
    ts = pl.when(pl.col("us").is_not_null()).then(whole * 1000).otherwise(whole * 10**9 + fraction.fill_null(0))
    return frame.select(
        pl.col("row").cast(pl.Int64),
        pl.col("comm").str.strip_chars(),
        ts.alias("ts"),
        "event",
        "rest",
        tid=number(pl.col("tid")),
        tgid=number(pl.col("tgid").fill_null("0")).fill_null(0),
        cpu=number(pl.coalesce("cpu", "cpu2")),
    ).filter(pl.col("ts").is_not_null())
