"""Text recordings as blocks of whole lines; ``-`` is standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from swaptrace.model.errors import InputError

__all__ = ["TextInput"]

_BLOCK = 8 << 20
_HEAD = 1 << 16
_LONGEST = 1 << 24  # bytes of a line: a text without line ends is none


class TextInput:
    """A text file, or standard input, read once. Bytes that are no UTF-8 (task names may hold any) are replaced."""

    def __init__(self, path: Path, block_bytes: int = _BLOCK) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        self._stdin = str(path) == "-"
        self._path = path
        self._block = block_bytes
        self._first = b""  # of standard input, which can be read only once
        self.size = 0 if self._stdin else path.stat().st_size
        self.done = 0

    def head(self) -> str:
        """Return the beginning, without consuming it."""
        if self._stdin:
            self._first = first = self._first or sys.stdin.buffer.read(_HEAD)
        else:
            with self._path.open("rb") as stream:
                first = stream.read(_HEAD)
        if not first:
            raise InputError(f"{self.name} is empty.", "Nothing was recorded, or the pipe's command failed.")
        return first.decode(errors="replace")

    def blocks(self) -> Iterator[list[str]]:
        """Yield the lines, some megabytes at a time."""
        self.head()
        if self._stdin:
            yield from self._lines(sys.stdin.buffer)
        else:
            with self._path.open("rb") as stream:
                yield from self._lines(stream)

    def _lines(self, stream: BinaryIO) -> Iterator[list[str]]:
        rest = self._first
        while data := stream.read(self._block):
            self.done += len(data)
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if len(rest) > max(_LONGEST, self._block):
                raise InputError(
                    f"{self.name} is not a text recording.", f"It has a line of more than {_LONGEST >> 20} MiB."
                )
            if newline:
                yield whole.decode(errors="replace").split("\n")
        self.done = self.size
        if rest:
            yield rest.decode(errors="replace").removesuffix("\n").split("\n")
