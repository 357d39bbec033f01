"""Open recordings of any format as one source of raw events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from swaptrace.ingest.blk_text import BlkText
from swaptrace.ingest.bpftrace_text import BpftraceText
from swaptrace.ingest.comms import intern
from swaptrace.ingest.detect import detect_text
from swaptrace.ingest.ftrace_pages import FtracePages
from swaptrace.ingest.ftrace_text import FtraceText
from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.perf_data import PerfData
from swaptrace.ingest.perf_script import PerfScript
from swaptrace.ingest.raw import Findings, RawChunk, Source
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.text_source import TextSource
from swaptrace.ingest.trace_dat import TraceDat
from swaptrace.model.errors import UsageError

__all__ = ["AnySource", "joined", "open_sources"]

_TEXTS: dict[str, type[TextSource]] = {
    "perf-script": PerfScript,
    "ftrace-text": FtraceText,
    "bpftrace": BpftraceText,
    "blkparse": BlkText,
}


class AnySource:
    """Several sources of one boot, merged by time, with one list of task names and one set of findings."""

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self.sources = list(sources)
        self.name = name
        self.words: list[str] = []
        self._index: dict[str, int] = {}

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events of all sources in time order."""
        if len(self.sources) == 1:
            self.words = self.sources[0].words
            return self.sources[0].chunks()
        return merge_by_time([self._renamed(source) for source in self.sources])

    def _renamed(self, source: Source) -> Iterator[RawChunk]:
        for chunk in source.chunks():
            codes = np.array([*(intern(self.words, self._index, word) for word in source.words), -1], np.int32)
            chunk.comm[:] = codes[chunk.comm]
            yield chunk

    @property
    def bios_only(self) -> bool:
        """Whether there are no events but bios: then every write counts as a swap_out."""
        return any(isinstance(source, BlkText) for source in self.sources)

    @property
    def findings(self) -> Findings:
        """What all sources learned together."""
        if len(self.sources) == 1:
            return self.sources[0].findings
        return joined([source.findings for source in self.sources])

    @property
    def size(self) -> int:
        """Bytes of input."""
        return sum(source.size for source in self.sources)

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return sum(source.done for source in self.sources)


def joined(parts: Sequence[Findings]) -> Findings:
    """Return what all ``parts`` hold together, as a copy."""
    whole = Findings()
    for part in parts:
        for name, count in part.lost.items():
            whole.lose(name, count)
        for name, count in part.skipped.items():
            whole.skip(name, count)
        whole.notes += [note for note in part.notes if note not in whole.notes]
    return whole


def open_sources(inputs: Sequence[tuple[Path, str]], *, stop: bool = False, whole: bool = True) -> AnySource:
    """Open each ``(path, format)``; format ``text`` is told apart by its first lines. With ``stop``, a line of text
    that cannot be read is an error; without ``whole``, recordings of our own recorders may end anywhere."""
    sources = [_open(path, fmt, stop, whole) for path, fmt in inputs]
    return AnySource(sources, ", ".join(path.name for path, _ in inputs))


def _open(path: Path, fmt: str, stop: bool, whole: bool) -> Source:
    if fmt == "perf-data":
        return PerfData(path, whole=whole)
    if fmt == "ftrace-pages":
        return FtracePages(path, whole=whole)
    if fmt == "trace-dat":
        return TraceDat(path)
    text = TextInput(path)
    if fmt == "text":
        fmt = detect_text(text.head(), str(path))
    if fmt not in _TEXTS:
        raise UsageError(f"{text.name} looks like {fmt}.", "", f"Say so: --from {fmt}")
    return _TEXTS[fmt](text, stop)
