r"""Output of bpftrace, as text or with ``-f json``: lines that a script prints in this form.

``nsecs NAME cpu pid tid comm FIELDS``, where NAME and FIELDS are one of

| NAME | FIELDS | of the tracepoint |
|---|---|---|
| OUT | ``pfn=%llu``, better ``pfn=%llu flags=%d`` | vmscan:mm_vmscan_write_folio: pfn, reclaim_flags |
| BIO | ``%u %llu %u %s`` | block:block_bio_queue: dev, sector, nr_sector, rwbs |
| FAULT | ``0x%lx %d`` | exceptions:page_fault_user: address, error_code |
| ALLOC | ``pfn=%llu order=%d migratetype=%d`` | kmem:mm_page_alloc |
| MEMCG | ``id=%llu item=%d val=%llu`` | memcg:count_memcg_events |
| EXEC, EXIT | nothing | sched:sched_process_exec, sched:sched_process_exit |

For example::

    tracepoint:vmscan:mm_vmscan_write_folio {
        printf("%llu OUT %d %d %d %s pfn=%llu flags=%d\n", nsecs, cpu, pid, tid, comm,
               args->pfn, args->reclaim_flags); }
    tracepoint:block:block_bio_queue {
        printf("%llu BIO %d %d %d %s %u %llu %u %s\n", nsecs, cpu, pid, tid, comm,
               args->dev, args->sector, args->nr_sector, args->rwbs); }

bpftrace reads the buffers of the CPUs by turns, so lines of different CPUs may be out of order: they are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from swaptrace.ingest.raw import RawChunk
from swaptrace.ingest.reorder import reordered
from swaptrace.ingest.text_events import number
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource
from swaptrace.model.errors import InputError

__all__ = ["BpftraceText"]

_EVENTS = {
    "OUT": "mm_vmscan_write_folio",
    "BIO": "block_bio_queue",
    "FAULT": "page_fault_user",
    "ALLOC": "mm_page_alloc",
    "MEMCG": "count_memcg_events",
    "EXEC": "sched_process_exec",
    "EXIT": "sched_process_exit",
}
_LINE = (
    rf"^(?P<ns>\d+) (?P<name>{'|'.join(_EVENTS)}) (?P<cpu>\d+) (?P<tgid>\d+) (?P<tid>\d+) (?P<comm>.*?)"
    r"(?: (?P<rest>(?:0x[0-9a-f]+|pfn=|id=|\d+ \d+ \d+ [A-Z]+).*))?$"
)
_OTHER = r"^Attach(?:ing|ed) \d+ probes?|^Lost \d+ events|^WARNING: |^stdin:\d+"
_LOST = r"^Lost (\d+) events"
_REWRITE = (  # to the forms of the kernel's own text
    (r"^(\d+) (\d+) (\d+) ([A-Z]+)\s*$", "dev=$1 sector=$2 nr_sector=$3 rwbs=$4"),
    (r"^(0x[0-9a-f]+) (\d+)\s*$", "address=$1 error_code=$2"),
    (r"^(pfn=\d+)$", "$1 flags=RECLAIM_WB_ANON"),
)


class BpftraceText(TextSource):
    """bpftrace output as a source of raw events."""

    def __init__(self, text: TextInput, stop: bool = False) -> None:
        super().__init__(text, stop)
        self._decoder.ordered = False
        self._json = text.head().lstrip().startswith("{")
        self.findings.notes.append(
            "bpftrace does not name its clock: nsecs counts from the boot, with or without the time asleep."
        )

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order."""
        yield from reordered(self._blocks(), self.findings)
        if not self._understood:
            nothing = self._nothing()
            raise InputError(nothing.what, nothing.why, "Print lines in the form of docs/importing.md.")

    def _blocks(self) -> Iterator[RawChunk]:
        told = False
        for lines in self._text.blocks():
            frame = self._match(self._texts(lines), _LINE, "ns", _OTHER)
            lost = self._losses()
            rest = pl.col("rest").fill_null("")
            for pattern, form in _REWRITE:
                rest = rest.str.replace(pattern, form)
            bare = frame.filter((pl.col("name") == "OUT") & ~pl.col("rest").fill_null("").str.contains("flags="))
            if bare.height and not told:
                told = True
                self.findings.notes.append(
                    "Lines OUT without flags: file pages that reclaim wrote (kernels before 6.x) count as swap_outs."
                )
            ns = pl.col("ns").str.to_integer(strict=False)
            frame = frame.select(
                "row",
                "comm",
                pl.when(ns < 1 << 62).then(ns).alias("ts"),
                pl.col("name").replace_strict(_EVENTS, default=None, return_dtype=pl.String).alias("event"),
                rest.alias("rest"),
                *(number(pl.col(name)).alias(name) for name in ("tid", "tgid", "cpu")),
            )
            self._unreadable(frame.filter(pl.col("ts").is_null())["row"], "lines with an impossible time")
            frame = frame.filter(pl.col("ts").is_not_null())
            if frame.height or lost:
                yield self._decoder(frame, lost)

    def _texts(self, lines: list[str]) -> list[str]:
        """Return what was printed: each line itself, or in JSON the text of its ``data``."""
        if not self._json:
            return lines
        frame = pl.DataFrame({"line": lines}).with_columns(
            kind=pl.col("line").str.extract(r'^\{"type": "(\w+)"'),
            text=pl.col("line").str.extract(r'"data": "((?:[^"\\]|\\.)*)"\}$'),
            lost=pl.col("line").str.extract(r'"events": (\d+)'),
        )
        text = pl.col("text").str.strip_suffix("\\n").str.replace_all(r"\\(.)", "$1")
        shown = (
            pl.when(pl.col("kind") == "printf")
            .then(text.fill_null(pl.col("line")))
            .when(pl.col("kind") == "lost_events")
            .then(pl.format("Lost {} events", "lost").fill_null(pl.col("line")))
            .when(pl.col("kind") == "attached_probes")
            .then(pl.lit(""))
            .otherwise(pl.col("line"))
        )
        out: list[str] = frame.select(shown.alias("shown"))["shown"].to_list()
        return out

    def _losses(self) -> list[tuple[int, int, int]]:
        found = pl.DataFrame({"line": self._lines}).with_row_index("row")
        found = found.with_columns(n=number(pl.col("line").str.extract(_LOST))).drop_nulls("n")
        out = [(int(row), int(n), 0) for row, n in found.select("row", "n").rows()]
        for _, events, _ in out:
            self.findings.lose("bpftrace", events)
        return out
