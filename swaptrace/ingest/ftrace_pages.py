"""A directory of raw ring-buffer pages, one file per CPU, with the event formats beside them.

``raw.cpuN`` with ``formats/<system>.<event>.format`` (or ``*.format``, ``format.*`` beside it), and, where present,
``header_page``, ``saved_cmdlines``, ``saved_tgids`` and ``meta.json``: what ``swaptrace record`` keeps while it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.raw import Findings, RawChunk
from swaptrace.ingest.ring_events import RingDecoder, read_formats
from swaptrace.ingest.ring_pages import PageLayout, parse_header_page
from swaptrace.model.errors import InputError

__all__ = ["FtracePages"]

_BATCH_PAGES = 2048


class FtracePages:
    """Raw pages as a source of raw events. ``path`` is the directory, or one ``raw.cpuN`` in it. Without ``whole``, a
    file may end inside a page, which is left out and counted."""

    def __init__(self, path: Path, batch_pages: int = _BATCH_PAGES, whole: bool = True) -> None:
        self.path = path if path.is_dir() else path.parent
        self.files = sorted(self.path.glob("raw.cpu*"), key=_cpu) if path.is_dir() else [path]
        self.findings = Findings()
        formats = read_formats(_format_texts(self.path), str(self.path))
        self._batch_pages = batch_pages
        self._whole = whole
        header = _first(self.path, "header_page", "header_page.txt")
        self._layout = parse_header_page(header) if header else PageLayout()
        cmdlines, tgids = (_first(self.path, name) for name in ("saved_cmdlines", "saved_tgids"))
        self._decoder = RingDecoder(str(self.path), formats, self.findings, self._layout, cmdlines, tgids)
        self.words = self._decoder.words
        self.size = sum(f.stat().st_size for f in self.files)
        self.done = 0
        if self.size == 0:
            raise InputError(f"{self.path} holds no events.", "Its raw.cpu files are empty.", "Record it again.")

    def chunks(self) -> Iterator[RawChunk]:
        """Yield the events in time order, some thousand pages of each CPU at a time."""
        return merge_by_time([self._cpu(file) for file in self.files])

    def _cpu(self, file: Path) -> Iterator[RawChunk]:
        cpu = _cpu(file)
        over = file.stat().st_size % self._layout.page
        if over and not self._whole:
            self.findings.skip("bytes of a ring-buffer page that was not written whole", over)
        elif over:
            raise InputError(
                f"{file} ends inside a page.",
                "The recording or a copy was cut short.",
                "Copy or record it again.",
            )
        left = file.stat().st_size - over
        with file.open("rb") as stream:
            while data := stream.read(min(left, self._batch_pages * self._layout.page)):
                left -= len(data)
                chunk = self._decoder.pages(data, cpu)
                self.done += len(data)
                if len(chunk):
                    yield chunk


def _cpu(path: Path) -> int:
    digits = re.search(r"(\d+)$", path.name)
    return int(digits[1]) & 0xFFFF if digits else 0


def _first(folder: Path, *names: str) -> str:
    for name in names:
        if (folder / name).is_file():
            return (folder / name).read_text(errors="replace")
    return ""


def _format_texts(folder: Path) -> list[str]:
    files = [*folder.glob("formats/*.format"), *folder.glob("*.format"), *folder.glob("format.*")]
    return [file.read_text(errors="replace") for file in sorted(files)]
