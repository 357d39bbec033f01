"""The raw recording of the BPF tier on disk: fixed-size records in chunks, and what the recorder says about itself.

``bpf.records`` is a sequence of chunks: a header of 64 bytes, then ``count`` records as they were in the ring buffer
(struct record of capture/bpf/swaptrace.bpf.c behind the ring's own 8 bytes). A chunk is whole or it is not there: its
CRC covers header and records. So a killed recorder loses at most what the ring still held and its last chunk.

``bpf.json`` (:class:`RawInfo`) holds the settings; it is written at the start and again when something was learned.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import InputError
from swaptrace.model.meta import HashInfo, SwapDevice

__all__ = [
    "INFO",
    "RECORD",
    "RECORDS",
    "Chunk",
    "RawInfo",
    "RecordBackend",
    "RecordFlag",
    "RecordKind",
    "pack_chunk",
    "read_chunks",
    "read_info",
    "write_info",
]

RECORDS = "bpf.records"
INFO = "bpf.json"
MAX_CHUNK_RECORDS = 1 << 16
_MAGIC = b"SWAPBPF\0"
_VERSION = 1
_HEADER = struct.Struct("<8sHHIQQ28xI")  # magic, version, record bytes, count, watermark, lost, CRC of all but itself
_CRC = struct.Struct("<I")


class RecordKind(IntEnum):
    """enum record_kind of swaptrace.bpf.c."""

    COMM = 1
    OUT = 2
    READ = 3
    FAULT = 4
    ZERO_IN = 5
    ZSWAP_IN = 6
    WRITEBACK = 7
    ZSWAP_FREE = 8
    HANDLE_FREE = 9
    SLOT_FREE = 10
    EXEC = 11
    EXIT = 12


class RecordBackend(IntEnum):
    """enum backend of swaptrace.bpf.c."""

    NONE = 0
    DISK = 1
    ZERO = 2
    ZSWAP = 3
    FREED = 4


class RecordFlag(IntFlag):
    """enum record_flag of swaptrace.bpf.c."""

    HASHED = 1
    FILLED = 2
    SHMEM = 4
    UNMAPPED = 8
    WRITE = 16
    HANDLE = 32
    ROOT_MEMCG = 64


_FIELDS: dict[str, str] = {
    "ring": "<u8",  # header of the ring buffer: length and flags
    "ts": "<u8",
    "swp": "<u8",
    "va": "<u8",
    "pfn": "<u8",
    "hash": "<u8",
    "aux": "<u8",
    "memcg": "<u8",
    "tgid": "<u4",
    "tid": "<u4",
    "owner": "<u4",
    "dev": "<u4",
    "csize": "<u4",
    "cpu": "<u2",
    "pages": "<u2",
    "sub": "<u2",
    "kind": "u1",
    "order": "u1",
    "backend": "u1",
    "flags": "u1",
    "unused": "<u2",
}
RECORD = np.dtype(list(_FIELDS.items()))
assert RECORD.itemsize == 96


@dataclass(frozen=True)
class Chunk:
    """Records in the order of their reservation in the ring.

    Every record of a later chunk is from ``watermark`` (ns) or later; ``lost`` records had found the ring full since
    the start of the recording.
    """

    records: NDArray[Any]
    watermark: int
    lost: int


@dataclass(frozen=True)
class RawInfo:
    """What the recorder says: how contents were hashed, what this kernel showed, and where swap types are.

    ``faults``, ``zero_events`` and ``exact_frees``: faults on swap entries, swap-ins of zero pages and frees in the
    kernel's own function are recorded. ``zram`` lists the numbers of zram devices. ``areas`` maps a swap type to the
    number of its disk, as seen in its I/O; pages of the types in ``bypassed`` are written without a bio.
    """

    hash: HashInfo = field(default_factory=HashInfo)
    owners: bool = False
    faults: bool = False
    zero_events: bool = False
    exact_frees: bool = False
    handles: bool = False
    tier: str = ""
    devices: tuple[SwapDevice, ...] = ()
    areas: dict[int, int] = field(default_factory=dict)
    bypassed: tuple[int, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)
    unpaired_writes: int = 0
    events: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def pack_chunk(chunk: Chunk) -> list[bytes | memoryview]:
    """Return the buffers to append for ``chunk``: its header, then its records."""
    payload = np.ascontiguousarray(chunk.records).view(np.uint8).data
    header = _HEADER.pack(_MAGIC, _VERSION, RECORD.itemsize, len(chunk.records), chunk.watermark, chunk.lost, 0)
    crc = zlib.crc32(payload, zlib.crc32(header[: -_CRC.size]))
    return [header[: -_CRC.size] + _CRC.pack(crc), payload]


def read_chunks(path: Path, damage: list[str]) -> Iterator[tuple[Chunk, int]]:
    """Yield every whole chunk of ``path`` with the bytes read so far; ``damage`` gets what ended the file early.

    Raises :class:`InputError` if the file does not begin with a chunk, or is of a newer version.
    """
    with path.open("rb") as file:
        size, done = os.fstat(file.fileno()).st_size, 0
        while done < size:
            chunk = _read_chunk(file, path, first=done == 0)
            if chunk is None:
                damage.append(
                    f"the last {size - done:,} bytes of {path.name} are no whole chunk: the recorder was killed, "
                    "or the disk was full; what came before is complete"
                )
                return
            done += _HEADER.size + len(chunk.records) * RECORD.itemsize
            yield chunk, done


def _read_chunk(file: BinaryIO, path: Path, first: bool) -> Chunk | None:
    header = file.read(_HEADER.size)
    if first and not header.startswith(_MAGIC):
        raise InputError(f"{path} is no recording of the BPF tier.", "It does not begin with a chunk.")
    if len(header) < _HEADER.size:
        return None
    magic, version, record_bytes, count, watermark, lost, crc = _HEADER.unpack(header)
    if first and (version, record_bytes) != (_VERSION, RECORD.itemsize):
        raise InputError(
            f"{path} is of version {version}, with records of {record_bytes} bytes.",
            f"This swaptrace reads version {_VERSION}, {RECORD.itemsize} bytes.",
            "Convert it with the swaptrace that recorded it.",
        )
    if magic != _MAGIC or not 0 < count <= MAX_CHUNK_RECORDS or record_bytes != RECORD.itemsize:
        return None
    payload = file.read(count * RECORD.itemsize)
    if len(payload) < count * RECORD.itemsize or zlib.crc32(payload, zlib.crc32(header[: -_CRC.size])) != crc:
        return None
    return Chunk(np.frombuffer(payload, RECORD), watermark, lost)


def write_info(folder: Path, info: RawInfo) -> None:
    """Write ``bpf.json``, whole or not at all."""
    from pydantic import TypeAdapter

    temporary = folder / f".{INFO}.tmp"
    temporary.write_bytes(TypeAdapter(RawInfo).dump_json(info, indent=1))
    temporary.rename(folder / INFO)


def read_info(folder: Path) -> RawInfo:
    """Return what ``bpf.json`` says. Raises :class:`InputError` if it is missing or damaged."""
    from pydantic import TypeAdapter, ValidationError

    file = folder / INFO
    try:
        return TypeAdapter(RawInfo).validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"{file} is missing.", "It says how the records were made.", "Copy the whole directory."
        ) from error
    except (ValueError, ValidationError) as error:
        raise InputError(f"{file} is damaged.", str(error).splitlines()[0]) from error
