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


class TextInput:
    """A text file, or standard input, read once. Bytes that are no UTF-8 (task names may hold any) are replaced."""

    def __init__(self, path: Path, block_bytes: int = _BLOCK) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        self._stdin = str(path) == "-"
        self._path = path
        self._block = block_bytes
        self._stream: BinaryIO | None = None
        self._first = b""
        self.size = 0 if self._stdin else path.stat().st_size
        self.done = 0

    def head(self) -> str:
        """Return the beginning, without consuming it."""
        if not self._first:
            self._first = self._open().read(_HEAD)
        if not self._first:
            raise InputError(f"{self.name} is empty.", "Nothing was recorded, or the pipe's command failed.")
        return self._first.decode(errors="replace")

    def blocks(self) -> Iterator[list[str]]:
        """Yield the lines, some megabytes at a time."""
        self.head()
        stream = self._open()
        rest = self._first
        while data := stream.read(self._block):
            rest += data
            self.done += len(data)
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield whole.decode(errors="replace").split("\n")
        self.done = self.size
        if rest:
            yield rest.decode(errors="replace").removesuffix("\n").split("\n")
        stream.close()

    def _open(self) -> BinaryIO:
        if self._stream is None:
            self._stream = sys.stdin.buffer if self._stdin else self._path.open("rb")
        return self._stream
