"""perf.data in pipe mode (``perf record -o -``): the header is made of records, which come before all others.

Source: tools/perf/util/synthetic-events.c (perf_event__synthesize_for_pipe) and tools/perf/util/header.c.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from swaptrace.ingest.perf_header import Attr, PerfHeader, header_of_parts, make_attr, read_header
from swaptrace.model.errors import InputError

__all__ = ["read_any_header"]

_PIPE_HEADER = 16  # bytes of struct perf_pipe_file_header, which its size field says
_ATTR, _TRACING_DATA, _FEATURE = 64, 66, 80
_IN_HEADER = range(64, 83)  # enum perf_user_event_type
_FINISHED_ROUND, _COMPRESSED = 68, 81
_MOST = 1 << 28  # bytes of event formats


def read_any_header(path: Path, whole: bool = True) -> PerfHeader:
    """Return the header of a perf.data file, whether it was written to a file or to a pipe; ``whole`` as there."""
    with path.open("rb") as stream:
        head = stream.read(_PIPE_HEADER)
        if len(head) < _PIPE_HEADER or head[8:] != _PIPE_HEADER.to_bytes(8, "little"):
            return read_header(path, whole)
        try:
            return _read_pipe(stream, path)
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise InputError(f"the header of {path} is damaged.", str(error)) from error


def _read_pipe(stream: BinaryIO, path: Path) -> PerfHeader:
    at, size = _PIPE_HEADER, path.stat().st_size
    attrs: list[Attr] = []
    sections: dict[int, bytes] = {}
    while len(head := stream.read(8)) == 8:
        kind, _, length = struct.unpack("<IHH", head)
        if kind not in _IN_HEADER or kind in (_FINISHED_ROUND, _COMPRESSED):
            break
        body = stream.read(length - 8) if length >= 8 else b""
        if len(body) != length - 8:
            raise ValueError(f"a record of {length:,} bytes at byte {at:,} of {size:,}")
        at += length
        if kind == _ATTR:
            attr_size = struct.unpack_from("<I", body, 4)[0]
            ids = body[attr_size:]
            attrs.append(make_attr(body[:attr_size], struct.unpack(f"<{len(ids) // 8}Q", ids[: len(ids) // 8 * 8])))
        elif kind == _FEATURE:
            sections[struct.unpack_from("<Q", body)[0] & 0xFF] = body[8:]
        elif kind == _TRACING_DATA:
            count = struct.unpack_from("<I", body)[0]
            if count > min(_MOST, size - at):
                raise ValueError(f"event formats of {count:,} bytes at byte {at:,} of {size:,}")
            sections[1] = stream.read(count)
            at += -(-count // 8) * 8
            stream.seek(at)
    if at >= size:
        raise InputError(f"{path} holds no samples.", "The pipe ended behind its header.", "Record it again.")
    return header_of_parts(tuple(attrs), sections, at, size - at)
