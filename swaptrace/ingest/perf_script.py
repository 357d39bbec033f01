"""Text of ``perf script``: default fields, ``--ns``, ``-F +tid`` (pid/tid), without comm, with task events and
losses."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.raw import RawChunk
from swaptrace.ingest.text_events import number
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource
from swaptrace.model.errors import InputError

__all__ = ["PerfScript"]

_LINE = (
    r"^\s*(?:(?P<comm>\S.*?)\s+)?(?P<pid>-?\d+)(?:/\s*(?P<tid>-?\d+))?\s+\[(?P<cpu>\d+)\]\s+"
    r"(?P<sec>\d+)\.(?P<frac>\d+):\s+(?:\d+\s+)?(?P<event>[A-Za-z_][\w-]*(?::[A-Za-z_]\w*)?):?(?P<rest>.*)$"
)


class PerfScript(TextSource):
    """perf script text as a source of raw events. Names may hold spaces and dashes; without ``--ns`` times are
    rounded to us."""

    def __init__(self, text: TextInput) -> None:
        super().__init__(text)
        self._rounded = False

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in the order of the lines, which perf sorts by time."""
        understood, sample = False, ""
        for lines in self._text.blocks():
            frame = _parse(lines)
            understood |= frame.height > 0
            others = [line for line in lines if line.strip() and not line.startswith("#")]
            sample = sample or next(iter(others), "")
            self.findings.skip("lines that are not understood", len(others) - frame.height)
            if not frame.height:
                continue
            if not self._rounded and int(frame["digits"].max() or 9) < 9:  # type: ignore[arg-type]
                self._rounded = True
                self.findings.notes.append("Times are rounded to microseconds: perf script --ns")
            tasks = frame.filter(pl.col("event").str.starts_with("PERF_RECORD_"))
            events = frame.filter(~pl.col("event").str.starts_with("PERF_RECORD_")).drop("digits")
            yield self._decoder(_with_tasks(events, tasks), self._losses(tasks))
        if not understood:
            raise InputError(
                f"{self._text.name} holds no events.",
                f"Its first line is {sample[:60]!r}." if sample else "It has comments only.",
            )

    def _losses(self, tasks: pl.DataFrame) -> list[tuple[int, int, int]]:
        lost = tasks.filter(pl.col("event").str.contains("LOST"))
        counts = lost.with_columns(n=number(pl.col("rest").str.extract(r"lost (\d+)")).fill_null(0))
        out = [(int(row), int(n), int(cpu)) for row, n, cpu in counts.select("row", "n", "cpu").rows()]
        for _, events, _ in out:
            self.findings.lose("perf", max(events, 1))
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


def _parse(lines: list[str]) -> pl.DataFrame:
    frame = pl.DataFrame({"line": lines}).with_row_index("row")
    groups = pl.col("line").str.extract_groups(_LINE)
    frame = frame.with_columns(groups.alias("g")).unnest("g").drop("line").filter(pl.col("event").is_not_null())
    seconds = number(pl.col("sec"))
    fraction = number(pl.col("frac").str.slice(0, 9).str.pad_end(9, "0"))
    pid = number(pl.col("pid")).fill_null(0)  # -1: a task that is gone
    both = pl.col("tid").is_not_null()
    return frame.select(
        pl.col("row").cast(pl.Int64),
        pl.col("comm").fill_null(""),
        pl.when(seconds < 1 << 33).then(seconds * 10**9 + fraction).alias("ts"),
        pl.col("event").str.split(":").list.last(),
        "rest",
        tid=pl.when(both).then(number(pl.col("tid"))).otherwise(pid).fill_null(0),
        tgid=pl.when(both).then(pid).otherwise(0),
        cpu=number(pl.col("cpu")),
        digits=pl.col("frac").str.len_bytes(),
    ).filter(pl.col("ts").is_not_null())
