"""trace.dat of trace-cmd, version 6 or 7, plain or compressed: the pages of each CPU, merged by time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.raw import Findings, RawChunk
from swaptrace.ingest.ring_events import RingDecoder, read_formats
from swaptrace.ingest.ring_pages import PageLayout, parse_header_page
from swaptrace.ingest.trace_dat_header import CpuPages, read_trace_dat
from swaptrace.ingest.trace_dat_zip import chunks
from swaptrace.model.errors import InputError

__all__ = ["TraceDat"]

_BATCH_PAGES = 2048
_NO_TIME = ("counter", "uptime", "x86-tsc")
_STATS = re.compile(r"^(overrun|dropped events): (\d{1,18})$", re.M)


class TraceDat:
    """A trace.dat file as a source of raw events. Raises :class:`InputError` for a file that is not whole."""

    def __init__(self, path: Path, batch_pages: int = _BATCH_PAGES) -> None:
        self.path = path
        self.header = header = read_trace_dat(path)
        self.findings = Findings()
        self._batch = batch_pages
        self._layout = parse_header_page(header.header_page) if header.header_page else PageLayout(page=header.page)
        formats = read_formats(header.formats, str(path))
        self._decoder = RingDecoder(str(path), formats, self.findings, self._layout, header.cmdlines, "")
        self.words = self._decoder.words
        self.size = sum(pages.size for pages in header.cpus)
        self.done = 0
        if not self.size:
            raise InputError(f"{path} holds no events.", "The buffers of all CPUs are empty.", "Record it again.")
        if header.clock in _NO_TIME:
            raise InputError(
                f"the times of {path} have no unit.",
                f"trace_clock was {header.clock}.",
                "Record again with: trace-cmd record -C mono",
            )
        if header.clock != "mono":
            self.findings.notes.append(f"The clock of this recording is {header.clock or 'unknown'}, not mono.")
        if header.ignored:
            self.findings.notes.append(
                f"Only the fullest buffer was read, not those of: {', '.join(header.ignored) or 'other instances'}."
            )

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order, some thousand pages of each CPU at a time."""
        yield from merge_by_time([self._cpu(pages) for pages in self.header.cpus if pages.size])
        stated = sum(int(count) for text in self.header.stats for _, count in _STATS.findall(text))
        if stated:  # the kernel's own counters are exact, the marks in the pages of the same losses need not be
            self.findings.lost.clear()
            self.findings.lose("ftrace", stated)

    def _cpu(self, pages: CpuPages) -> Iterator[RawChunk]:
        rest = b""
        for piece in self._bytes(pages):
            data = rest + piece
            whole = len(data) // self._layout.page * self._layout.page
            rest = data[whole:]
            if whole and len(chunk := self._decoder.pages(data[:whole], pages.cpu & 0xFFFF)):
                yield chunk
        if rest:
            raise InputError(f"{self.path} ends inside a page.", f"It is one of CPU {pages.cpu}.", "Record it again.")

    def _bytes(self, pages: CpuPages) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            if self.header.compression:
                for data, used in chunks(stream, pages.offset, pages.size, self.header.compression):
                    self.done += used
                    yield data
                return
            stream.seek(pages.offset)
            left = pages.size
            while left and (data := stream.read(min(left, self._batch * self._layout.page))):
                left -= len(data)
                self.done += len(data)
                yield data
