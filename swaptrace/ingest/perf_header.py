"""The header of perf.data: events, their ids, and the event formats that perf embedded.

Source: tools/perf/Documentation/perf.data-file-format.txt and tools/perf/util/{header,trace-event-read}.c.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from swaptrace.ingest.tracepoints import EventFormat, parse_format
from swaptrace.model.errors import InputError

__all__ = ["Attr", "PerfHeader", "header_of_parts", "make_attr", "read_header"]

MAGIC = b"PERFILE2"
# enum perf_event_sample_format, in the order in which a sample holds them (IDENTIFIER first, RAW last of these)
SAMPLE_BITS = {
    "IDENTIFIER": 1 << 16,
    "IP": 1 << 0,
    "TID": 1 << 1,
    "TIME": 1 << 2,
    "ADDR": 1 << 3,
    "ID": 1 << 6,
    "STREAM_ID": 1 << 9,
    "CPU": 1 << 7,
    "PERIOD": 1 << 8,
}
READ, CALLCHAIN, RAW = 1 << 4, 1 << 5, 1 << 10
_TRACING_DATA, _OSRELEASE, _CMDLINE, _CLOCK_DATA, _COMPRESSED = 1, 4, 11, 29, 27
_CLOCKS = {0: "realtime", 1: "mono", 4: "mono_raw", 7: "boot", 11: "tai"}


@dataclass(frozen=True)
class Attr:
    """One recorded event (struct perf_event_attr and its ids): where its samples keep what."""

    type: int
    config: int
    sample_type: int
    ids: tuple[int, ...]
    clock: str

    @property
    def words(self) -> dict[str, int]:
        """Return the 8-byte word, counted from the sample's header, of each fixed field; ``end`` follows them."""
        at, out = 1, {}
        for name, bit in SAMPLE_BITS.items():
            if self.sample_type & bit:
                out[name] = at
                at += 1
        out["end"] = at
        return out

    @property
    def trailer(self) -> list[str]:
        """Return the fields that other records carry at their end, in order (sample_id_all)."""
        names = ("TID", "TIME", "ID", "STREAM_ID", "CPU", "IDENTIFIER")
        return [n for n in names if self.sample_type & SAMPLE_BITS[n]]


@dataclass(frozen=True)
class PerfHeader:
    """What the header says: events, formats by event id, where the records are, and the machine."""

    attrs: tuple[Attr, ...]
    formats: dict[int, EventFormat]
    data_offset: int
    data_size: int
    kernel: str
    command: str
    mono_ns: int
    real_ns: int
    compressed: bool = False


class _Reader:
    """Bounds-checked reads of the file."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self._stream = stream
        self._size = path.stat().st_size

    def check(self, offset: int, length: int) -> None:
        """Raise :class:`InputError` if these bytes are not inside the file."""
        if offset + length > self._size:
            raise InputError(
                f"{self.path} is cut short.",
                f"Its header points to byte {offset + length:,} of {self._size:,}.",
                "Copy or record it again.",
            )

    def __call__(self, offset: int, length: int) -> bytes:
        self.check(offset, length)
        self._stream.seek(offset)
        return self._stream.read(length)


def read_header(path: Path, whole: bool = True) -> PerfHeader:
    """Read and check the header. Raises :class:`InputError` for anything that is not a finished perf.data file.

    Without ``whole`` it may be one that perf could not finish: its records end where the file ends, and its event
    formats, which perf writes last, are those in the directory ``formats`` beside it.
    """
    with path.open("rb") as stream:
        try:
            return _read(_Reader(path, stream), whole)
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise InputError(f"the header of {path} is damaged.", str(error)) from error


def _read(read: _Reader, whole: bool) -> PerfHeader:
    path = read.path
    magic, _, attr_size, attrs_at, attrs_size, data_at, data_size = struct.unpack("<8s6Q", read(0, 56))
    if magic != MAGIC:
        raise InputError(f"{path} is not perf.data.", f"It begins with {magic!r}; little-endian PERFILE2 is supported.")
    beside = sorted(path.parent.glob("formats/*.format"))
    finished = data_size != 0
    if not finished and not whole and beside:
        data_size = (path.stat().st_size - data_at) // 8 * 8
    if data_size <= 0:
        raise InputError(
            f"{path} was never finished.",
            "perf writes its header when it ends; it was killed before.",
            "Record it again.",
        )
    read.check(data_at, data_size)
    if not 64 + 16 <= attr_size < 4096 or attrs_size // attr_size > 65536:
        raise InputError(
            f"the header of {path} is damaged.", f"An event description of {attr_size} bytes is impossible."
        )
    attrs = tuple(_attr(read, attrs_at + i * attr_size, attr_size) for i in range(attrs_size // attr_size))
    bits = int.from_bytes(read(72, 32), "little")
    sections = {}
    for i, bit in enumerate(b for b in range(256) if finished and bits >> b & 1):
        sections[bit] = struct.unpack("<2Q", read(data_at + data_size + 16 * i, 16))
    wanted = (_TRACING_DATA, _OSRELEASE, _CMDLINE, _CLOCK_DATA)
    parts = {bit: read(*section) if bit in wanted else b"" for bit, section in sections.items()}
    header = header_of_parts(attrs, parts, data_at, data_size)
    if finished:
        return header
    formats = (parse_format(file.read_text(errors="replace")) for file in beside)
    return dataclasses.replace(header, formats={form.id: form for form in formats})


def header_of_parts(attrs: tuple[Attr, ...], parts: dict[int, bytes], data_at: int, data_size: int) -> PerfHeader:
    """Return the header from its events and the contents of its features, by their HEADER_ numbers."""
    formats = _tracing_data(parts[_TRACING_DATA]) if _TRACING_DATA in parts else {}
    mono = real = 0
    if len(parts.get(_CLOCK_DATA, b"")) >= 24:
        _, clock, real, mono = struct.unpack_from("<IIQQ", parts[_CLOCK_DATA])
        mono, real = (mono, real) if clock == 1 else (0, 0)
    kernel = _strings(parts.get(_OSRELEASE, b""), counted=False)
    command = _strings(parts.get(_CMDLINE, b""), counted=True)
    return PerfHeader(attrs, formats, data_at, data_size, kernel, command, mono, real, _COMPRESSED in parts)


def _attr(read: _Reader, offset: int, size: int) -> Attr:
    head = read(offset, size)
    ids_at, ids_size = struct.unpack_from("<QQ", head, size - 16)
    return make_attr(head[: size - 16], struct.unpack(f"<{ids_size // 8}Q", read(ids_at, ids_size // 8 * 8)))


def make_attr(head: bytes, ids: tuple[int, ...]) -> Attr:
    """Return the event of a struct perf_event_attr."""
    kind, _, config, _, sample_type, _, flags = struct.unpack_from("<IIQQQQQ", head)
    use_clockid = flags >> 25 & 1
    clock_id = struct.unpack_from("<i", head, 92)[0] if len(head) >= 96 else 0
    return Attr(kind, config, sample_type, ids, _CLOCKS.get(clock_id, "") if use_clockid else "perf")


def _strings(data: bytes, counted: bool) -> str:
    """Return perf's header strings, each stored as a length and zero-padded bytes, joined by spaces."""
    at, out = 4 if counted else 0, list[str]()
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        out.append(data[at + 4 : at + 4 + length].split(b"\0")[0].decode(errors="replace"))
        at += 4 + length
    return " ".join(out)


def _tracing_data(data: bytes) -> dict[int, EventFormat]:
    """Return the event formats inside perf's copy of the tracing directory."""
    at = data.index(b"\0", 10) + 1  # 10 bytes of magic, then the version
    if data[:10] != b"\x17\x08\x44tracing" or data[at] != 0:
        raise InputError(
            "the event formats in perf.data are unreadable.", "Only little-endian recordings are supported."
        )
    at += 2 + 4  # endianness, size of long; page size

    def take(width: int) -> bytes:
        nonlocal at
        length = int.from_bytes(data[at : at + width], "little")
        at += width
        if at + length > len(data):
            raise ValueError("an event format reaches beyond its section")
        at += length
        return data[at - length : at]

    def number() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(data[at - 4 : at], "little")

    for _ in ("header_page", "header_event"):
        at = data.index(b"\0", at) + 1
        take(8)
    texts = [take(8) for _ in range(_bounded(number(), data))]
    for _ in range(_bounded(number(), data)):
        at = data.index(b"\0", at) + 1
        texts += [take(8) for _ in range(_bounded(number(), data))]
    formats = (parse_format(text.decode(errors="replace")) for text in texts)
    return {f.id: f for f in formats}


def _bounded(count: int, data: bytes) -> int:
    if count > len(data):
        raise ValueError("an impossible number of event formats")
    return count
