"""Read the records of perf.data as blocks of 8-byte words, plain or compressed by ``perf record -z``."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import InputError

__all__ = ["BLOCK_BYTES", "compressed_blocks", "plain_block"]

BLOCK_BYTES = 8 << 20  # the temporaries of one block stay near the cache; larger blocks were not faster
COMPRESSED, COMPRESSED2 = 81, 83  # perf record -z; the second names its length, since perf 6.16
_LAST_BLOCK = b"\x01\0\0"  # an empty last block of zstd: perf flushes its stream but never ends it


def plain_block(stream: BinaryIO, offset: int, stop: int, buffer: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Fill ``buffer`` with the words from byte ``offset``, not beyond ``stop``, and return the part that is filled."""
    stream.seek(offset)
    room = buffer[: (stop - offset) // 8]
    got: int = stream.readinto(room.view(np.uint8).data)  # type: ignore[attr-defined]
    return room[: got // 8]


class _Packed(io.RawIOBase):
    """The bodies of the compressed records, one after the other; the records between them go to ``aside``."""

    def __init__(self, path: Path, offset: int, stop: int) -> None:
        super().__init__()
        self._path = path
        self._stream = path.open("rb")
        self.done = offset
        self._stop = stop
        self._rest = b""
        self._ended = False
        self.aside: list[bytes] = []

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        while not self._rest and not self._ended:
            self._rest = self._next()
        out, self._rest = self._rest[:size], self._rest[size:]
        return out

    def _next(self) -> bytes:
        """Return the body of the next compressed record, or nothing if it was another one."""
        if self.done == self._stop:
            self._ended = True
            return _LAST_BLOCK
        self._stream.seek(self.done)
        head = self._stream.read(8)
        kind, _, length = struct.unpack("<IHH", head.ljust(8, b"\0"))
        if length < 8 or self.done + length > self._stop:
            raise InputError(
                f"the records of {self._path} are corrupt.", f"Byte {self.done:,} is not the start of a record."
            )
        body = self._stream.read(length - 8)
        self.done += length
        if kind == COMPRESSED:
            return body
        if kind == COMPRESSED2:
            return body[8 : 8 + int.from_bytes(body[:8], "little")]
        self.aside.append(head + body)
        return b""


def compressed_blocks(path: Path, offset: int, stop: int) -> Iterator[tuple[bytes, bool, int]]:
    """Yield ``(records, whole, bytes of the file read)`` of a compressed file.

    All compressed records are one zstd stream, and a record may be split between two of them: those pieces have
    ``whole`` False and must be joined. Records that perf left uncompressed in between (marks of its sweeps over the
    buffers, names of tasks) follow with ``whole`` True.
    """
    import pyarrow as pa

    packed = _Packed(path, offset, stop)
    with contextlib.closing(packed), pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd") as stream:
        more = True
        while more:
            try:
                data = stream.read(BLOCK_BYTES)
            except OSError as error:
                raise InputError(
                    f"the compressed records of {path} are corrupt.", str(error), "Copy or record it again."
                ) from error
            more = len(data) == BLOCK_BYTES
            if data:
                yield data, False, packed.done
            if packed.aside:
                aside, packed.aside = b"".join(packed.aside), []
                yield aside, True, packed.done
