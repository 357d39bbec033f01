"""Read the records of perf.data as blocks of 8-byte words, plain or compressed by ``perf record -z``."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import InputError

__all__ = ["BLOCK_BYTES", "compressed_blocks", "is_compressed", "plain_block"]

BLOCK_BYTES = 8 << 20  # the temporaries of one block stay near the cache; larger blocks were not faster
COMPRESSED, COMPRESSED2 = 81, 83  # perf record -z; the second names its length, since perf 6.16


def plain_block(stream: BinaryIO, offset: int, stop: int, buffer: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Fill ``buffer`` with the words from byte ``offset``, not beyond ``stop``, and return the part that is filled."""
    stream.seek(offset)
    room = buffer[: (stop - offset) // 8]
    got: int = stream.readinto(room.view(np.uint8).data)  # type: ignore[attr-defined]
    return room[: got // 8]


def is_compressed(words: NDArray[np.uint64]) -> bool:
    """Tell whether compressed records are among the first of a file."""
    at = 0
    while at < len(words):
        head = int(words[at])
        if head & 0xFFFFFFFF in (COMPRESSED, COMPRESSED2):
            return True
        if head & 0xFFFFFFFF == 9 or head >> 51 == 0:
            return False
        at += head >> 51
    return False


def compressed_blocks(path: Path, offset: int, stop: int) -> Iterator[tuple[bytes, bool, int]]:
    """Yield ``(records, whole, bytes of the file read)`` of a compressed file.

    All compressed records are one zstd stream, and a record may be split between two of them: those pieces have
    ``whole`` False and must be joined. Records that perf left uncompressed in between come with ``whole`` True.
    """
    import zstandard

    decoder = zstandard.ZstdDecompressor().decompressobj()
    joined, size = [], 0
    with path.open("rb") as stream:
        while offset < stop:
            stream.seek(offset)
            head = stream.read(8)
            kind, _, length = struct.unpack("<IHH", head)
            if length < 8 or offset + length > stop:
                raise InputError(
                    f"the records of {path} are corrupt.", f"Byte {offset:,} is not the start of a record."
                )
            body = stream.read(length - 8)
            offset += length
            if kind in (COMPRESSED, COMPRESSED2):
                if kind == COMPRESSED2:
                    body = body[8 : 8 + int.from_bytes(body[:8], "little")]
                try:
                    joined.append(decoder.decompress(body))
                except zstandard.ZstdError as error:
                    raise InputError(f"the compressed records of {path} are corrupt.", str(error)) from error
                size += len(joined[-1])
            else:
                yield head + body, True, offset
            if size >= BLOCK_BYTES:
                yield b"".join(joined), False, offset
                joined, size = [], 0
    if joined:
        yield b"".join(joined), False, offset
