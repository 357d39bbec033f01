"""Open recordings of any format as one source of raw events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from swaptrace.ingest.comms import intern
from swaptrace.ingest.detect import detect_text
from swaptrace.ingest.ftrace_pages import FtracePages
from swaptrace.ingest.ftrace_text import FtraceText
from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.perf_data import PerfData
from swaptrace.ingest.perf_script import PerfScript
from swaptrace.ingest.raw import Findings, RawChunk, Source
from swaptrace.ingest.text_input import TextInput

__all__ = ["AnySource", "open_sources"]


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
    def findings(self) -> Findings:
        """What all sources learned together."""
        if len(self.sources) == 1:
            return self.sources[0].findings
        return _sum([source.findings for source in self.sources])

    @property
    def size(self) -> int:
        """Bytes of input."""
        return sum(source.size for source in self.sources)

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return sum(source.done for source in self.sources)


def _sum(parts: list[Findings]) -> Findings:
    whole = Findings()
    for part in parts:
        for name, count in part.lost.items():
            whole.lose(name, count)
        for name, count in part.skipped.items():
            whole.skip(name, count)
        whole.notes += [note for note in part.notes if note not in whole.notes]
    return whole


def open_sources(inputs: Sequence[tuple[Path, str]], whole: bool = True) -> AnySource:
    """Open each ``(path, format)``; format ``text`` is told apart by its first lines. Without ``whole``, binary
    recordings may end anywhere."""
    return AnySource([_open(path, fmt, whole) for path, fmt in inputs], ", ".join(path.name for path, _ in inputs))


def _open(path: Path, fmt: str, whole: bool) -> Source:
    if fmt == "perf-data":
        return PerfData(path, whole=whole)
    if fmt == "ftrace-pages":
        return FtracePages(path, whole=whole)
    text = TextInput(path)
    if fmt == "text":
        fmt = detect_text(text.head(), str(path))
    return PerfScript(text) if fmt == "perf-script" else FtraceText(text)
