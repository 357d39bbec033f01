"""Compressed parts of trace.dat version 7: chunks of zstd or zlib that each say their sizes before and after."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from swaptrace.model.errors import InputError

__all__ = ["MAX_CHUNK", "check_algorithm", "chunks", "unpack"]

MAX_CHUNK = 1 << 26  # trace-cmd compresses about ten pages at a time; kallsyms and formats are some MiB


def check_algorithm(name: str) -> str:
    """Return ``name`` if it can be unpacked. Raises :class:`InputError` otherwise."""
    if name not in ("zstd", "zlib"):
        raise InputError(
            f"this trace.dat is compressed with {name[:20]!r}.",
            "zstd and zlib are read.",
            "Convert it: trace-cmd convert --compression none -i trace.dat -o plain.dat",
        )
    return name


def unpack(algorithm: str, data: bytes, size: int) -> bytes:
    """Return the ``size`` bytes that ``data`` was made of. Raises :class:`InputError` if it was not."""
    try:
        if algorithm == "zstd":
            import pyarrow as pa

            out: bytes = pa.Codec("zstd").decompress(data, size, asbytes=True) if size else b""
        else:
            out = zlib.decompressobj().decompress(data, size) if size else b""
    except (OSError, ValueError, zlib.error) as error:
        raise InputError(
            "a compressed part of this trace.dat is damaged.", str(error).split("\n")[0], "Copy or record it again."
        ) from error
    if len(out) != size:
        raise InputError(
            "a compressed part of this trace.dat is damaged.", f"It has {len(out):,} bytes instead of {size:,}."
        )
    return out


def chunks(stream: BinaryIO, offset: int, length: int, algorithm: str) -> Iterator[tuple[bytes, int]]:
    """Yield the contents of the chunks of one CPU, with the bytes read for each.

    At ``offset`` is their number, which ``length``, their bytes with the sizes before each, does not count.
    """
    stream.seek(offset)
    count = int.from_bytes(stream.read(4), "little")
    left = length
    for _ in range(count):
        head = stream.read(8)
        if left < 8 or len(head) < 8:
            raise InputError("a compressed part of this trace.dat is cut short.", f"It should have {count:,} chunks.")
        packed, size = struct.unpack("<II", head)
        left -= 8 + packed
        if left < 0 or size > MAX_CHUNK:
            raise InputError("a compressed part of this trace.dat is damaged.", f"A chunk of {size:,} bytes.")
        yield unpack(algorithm, stream.read(packed), size), 8 + packed
