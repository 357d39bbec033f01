"""Text of ``perf script``: any fields of ``-F`` that tell time, task, event and trace; ``--ns``, task events, losses.

perf prints the fields in its own order, whatever the order in ``-F``:
``comm pid/tid [cpu] time: period event: trace``, of which comm, cpu and period may be missing. A single number of a
task is taken for its tid (perf's default); with ``-F pid`` the threads of a process cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.perf_fields import LOST_RECORDS, LOST_SAMPLES, settle_losses
from swaptrace.ingest.raw import RawChunk
from swaptrace.ingest.text_events import number
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource
from swaptrace.model.errors import InputError

__all__ = ["PerfScript"]

_EVENT = r"(?P<event>[A-Za-z_][\w-]*(?::[A-Za-z_]\w*)?)"
_LINE = (
    r"^\s*(?:(?P<comm>\S.*?)\s+)?(?P<pid>-?\d+)(?:/\s*(?P<tid>-?\d+))?\s+(?:\[(?P<cpu>\d+)\]\s+)?"
    rf"(?P<sec>\d+)\.(?P<frac>\d+):\s+(?:\d+\s+)?{_EVENT}:?(?P<rest>.*)$"
)
_OTHER = r"^#|^\s+[0-9a-f]+ \S"  # headers, call chains
_NO_TASK = rf"^\s*(?:\[\d+\]\s+)?\d+\.\d+:\s+(?:\d+\s+)?{_EVENT}:"
_NO_TIME = rf"^\s*(?:\S.*?\s+)?-?\d+(?:/\s*-?\d+)?\s+(?:\[\d+\]\s+)?(?:\d+\s+)?{_EVENT}: "


class PerfScript(TextSource):
    """perf script text as a source of raw events. Names may hold spaces and dashes; without ``--ns`` times are
    rounded to us."""

    def __init__(self, text: TextInput, stop: bool = False) -> None:
        super().__init__(text, stop)
        self._rounded = False

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in the order of the lines, which perf sorts by time."""
        for lines in self._text.blocks():
            frame = _typed(self._match(lines, _LINE, "event", _OTHER))
            late = frame.filter(pl.col("ts").is_null())
            self._unreadable(late["row"], "lines with an impossible time")
            frame = frame.filter(pl.col("ts").is_not_null())
            if not frame.height:
                continue
            if not self._rounded and int(frame["digits"].max() or 9) < 9:  # type: ignore[arg-type]
                self._rounded = True
                self.findings.notes.append("Times are rounded to microseconds: perf script --ns")
            tasks = frame.filter(pl.col("event").str.starts_with("PERF_RECORD_"))
            events = frame.filter(~pl.col("event").str.starts_with("PERF_RECORD_")).drop("digits")
            yield self._decoder(_with_tasks(events, tasks), self._losses(tasks))
        settle_losses(self.findings)
        if not self._understood:
            raise self._refusal()

    def _refusal(self) -> InputError:
        sample = pl.Series([self._sample])
        for pattern, field, missing in ((_NO_TASK, "tid", "the tasks"), (_NO_TIME, "time", "the times")):
            if sample.str.contains(pattern).any():
                return InputError(
                    f"{self._text.name} lacks {missing}.",
                    f"Its first line is {self._sample.strip()[:60]!r}.",
                    f"Print them, too: perf script --ns -F +{field}",
                )
        return self._nothing()

    def _losses(self, tasks: pl.DataFrame) -> list[tuple[int, int, int]]:
        """Return LOST records; those of LOST_SAMPLES, which count the same events again, only where there are none."""
        lost = tasks.filter(pl.col("event").str.starts_with("PERF_RECORD_LOST")).with_columns(
            n=number(pl.col("rest").str.extract(r"lost (\d+)")).fill_null(0)
        )
        out = []
        for row, event, events, cpu in lost.select("row", "event", "n", "cpu").rows():
            again = event == "PERF_RECORD_LOST_SAMPLES"
            self.findings.lose(LOST_SAMPLES if again else LOST_RECORDS, max(events, 1))
            if not (again and LOST_RECORDS in self.findings.lost):
                out.append((int(row), int(events), int(cpu)))
        return out


def _with_tasks(events: pl.DataFrame, tasks: pl.DataFrame) -> pl.DataFrame:
    """Add exec and exit, which perf prints as task records, under the names of their tracepoints."""
    if not tasks.height:
        return events
    tasks = tasks.drop("digits")
    execs = tasks.filter((pl.col("event") == "PERF_RECORD_COMM") & pl.col("rest").str.starts_with(" exec"))
    exits = tasks.filter(pl.col("event") == "PERF_RECORD_EXIT").with_columns(
        tgid=number(pl.col("rest").str.extract(r"^\((\d+):")),
        tid=number(pl.col("rest").str.extract(r"^\(\d+:(\d+)\)")),
    )
    exits = exits.filter(pl.col("tid").is_not_null() & pl.col("tgid").is_not_null())
    named = [
        execs.with_columns(event=pl.lit("sched_process_exec")),
        exits.with_columns(event=pl.lit("sched_process_exit")),
    ]
    return pl.concat([events, *named]).sort("row")


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    seconds = number(pl.col("sec"))
    fraction = number(pl.col("frac").str.slice(0, 9).str.pad_end(9, "0"))
    pid = number(pl.col("pid")).fill_null(0)  # -1: a task that is gone
    both = pl.col("tid").is_not_null()
    return (
        frame.lazy()
        .select(
            "row",
            pl.col("comm").fill_null(""),
            pl.when(seconds < 1 << 33).then(seconds * 10**9 + fraction).alias("ts"),
            pl.col("event").str.split(":").list.last(),
            "rest",
            tid=pl.when(both).then(number(pl.col("tid"))).otherwise(pid).fill_null(0),
            tgid=pl.when(both).then(pid).otherwise(0),
            cpu=number(pl.col("cpu").fill_null("0")).fill_null(0),
            digits=pl.col("frac").str.len_bytes(),
        )
        .collect()
    )
