"""The header of trace.dat, version 6 or 7: event formats, task names, clock, and where the pages of each CPU are.

Source: Documentation/trace-cmd/trace-cmd.dat.v6.5.txt and trace-cmd.dat.v7.5.txt of trace-cmd. Version 6 is one
sequence of parts that each say their length; version 7 is a list of sections, found through chains of options, and
each may be compressed.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from swaptrace.ingest.trace_dat_zip import MAX_CHUNK, check_algorithm, unpack
from swaptrace.model.errors import InputError

__all__ = ["MAGIC", "CpuPages", "TraceDatHeader", "read_trace_dat"]

MAGIC = b"\x17\x08\x44tracing"
_DONE, _CPUSTAT, _BUFFER, _TRACECLOCK, _UNAME = 0, 2, 3, 4, 5  # options of both versions
_HEADER_INFO, _FTRACE_EVENTS, _EVENT_FORMATS, _CMDLINES = 16, 17, 18, 21  # options that name a section, version 7
_COMPRESSED = 1  # flag of a section
_MOST_CPUS = 1 << 16
_MOST_OPTIONS = 1 << 16


@dataclass(frozen=True)
class CpuPages:
    """The pages of one CPU: ``size`` bytes of the file at ``offset``."""

    cpu: int
    offset: int
    size: int


@dataclass
class TraceDatHeader:
    """What the header says. ``compression`` names the algorithm of the pages, empty where they are plain."""

    page: int = 4096
    header_page: str = ""
    formats: list[str] = field(default_factory=list)
    cmdlines: str = ""
    clock: str = ""
    kernel: str = ""
    compression: str = ""
    cpus: list[CpuPages] = field(default_factory=list)
    stats: list[str] = field(default_factory=list)  # per-CPU texts of tracefs: what each buffer lost
    ignored: list[str] = field(default_factory=list)  # names of further buffers (trace instances)


class _Tape:
    """Numbers, strings and counted blocks, one after the other, never beyond the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)

    def seek(self, offset: int) -> None:
        if offset > self.size:
            raise ValueError(f"a part at byte {offset:,} of {self.size:,}")
        self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()

    def take(self, length: int) -> bytes:
        if length > self.size - self.tell():
            raise ValueError(f"a part of {length:,} bytes at byte {self.tell():,} of {self.size:,}")
        return self._stream.read(length)

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def text(self) -> str:
        """A string up to its NUL byte."""
        start = self.tell()
        head, nul, _ = self._stream.read(4096).partition(b"\0")
        if not nul:
            raise ValueError(f"a string without end at byte {start:,}")
        self.seek(start + len(head) + 1)
        return head.decode(errors="replace")

    def counted(self, width: int) -> bytes:
        return self.take(self.number(width))

    def skip_counted(self, width: int) -> None:
        self.seek(self.number(width) + self.tell())


def read_trace_dat(path: Path) -> TraceDatHeader:
    """Read and check the header. Raises :class:`InputError` for what is damaged or not supported."""
    with path.open("rb") as stream:
        try:
            return _read(_Tape(stream), path)
        except (struct.error, ValueError, OverflowError) as error:
            raise InputError(f"the header of {path} is damaged.", f"{error}.", "Copy or record it again.") from error


def _read(tape: _Tape, path: Path) -> TraceDatHeader:
    if tape.take(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin as trace.dat")
    version = tape.text()
    if version not in ("6", "7"):
        raise InputError(
            f"{path} is trace.dat of version {version[:8]}.",
            "Versions 6 and 7 are read.",
            f"Convert it: trace-cmd convert --file-version 7 -i {path} -o new.dat",
        )
    if tape.number(1) != 0:
        raise InputError(
            f"{path} is of a big-endian machine.",
            "Only little-endian recordings are supported.",
            f"Convert it there: trace-cmd report -t {path} > t.txt",
        )
    tape.number(1)  # size of long
    header = TraceDatHeader(page=tape.number(4))
    if not 4096 <= header.page <= 1 << 20 or header.page & (header.page - 1):
        raise ValueError(f"pages of {header.page} bytes")
    if version == "6":
        _version_6(tape, header, path)
    else:
        _version_7(tape, header)
    for pages in header.cpus:
        if pages.offset + pages.size > tape.size:
            raise InputError(
                f"{path} is cut short.",
                f"The pages of CPU {pages.cpu} end at byte {pages.offset + pages.size:,} of {tape.size:,}.",
                "Copy or record it again.",
            )
    return header


def _version_6(tape: _Tape, header: TraceDatHeader, path: Path) -> None:
    _header_info(tape, header)
    _ftrace_events(tape, header)
    _event_formats(tape, header)
    tape.skip_counted(4)  # kallsyms
    tape.skip_counted(4)  # formats of trace_printk
    header.cmdlines = tape.counted(8).decode(errors="replace")
    count = _few(tape.number(4), _MOST_CPUS, "CPUs")
    kind = tape.take(10)
    if kind == b"options  \0":
        while (option := tape.number(2)) != _DONE:
            body = tape.counted(4)
            _option(header, option, body)
            if option == _BUFFER:
                header.ignored.append(body[8:].split(b"\0")[0].decode(errors="replace"))
        kind = tape.take(10)
    if kind != b"flyrecord\0":
        raise InputError(
            f"{path} holds no raw pages.",
            "It is the text of a latency tracer." if kind.startswith(b"latency") else f"It says {kind!r}.",
            "Record with: trace-cmd record -e ...",
        )
    table = [struct.unpack("<QQ", tape.take(16)) for _ in range(count)]
    header.cpus = [CpuPages(cpu, offset, size) for cpu, (offset, size) in enumerate(table)]
    if min((offset for offset, _ in table), default=0) >= tape.tell() + 8:  # older files have no clock here
        header.clock = header.clock or _current_clock(tape.counted(8))


def _version_7(tape: _Tape, header: TraceDatHeader) -> None:
    algorithm = tape.text()
    tape.text()  # its version
    at, seen, buffers = tape.number(8), 0, list[bytes]()
    while at:
        tape.seek(at)
        _section(tape)
        at = 0
        while True:
            seen = _few(seen + 1, _MOST_OPTIONS, "options")
            option, body = tape.number(2), tape.counted(4)
            if option == _DONE:
                at = struct.unpack_from("<Q", body)[0] if len(body) >= 8 else 0
                break
            if option == _BUFFER:
                buffers.append(body)
            elif option in (_HEADER_INFO, _FTRACE_EVENTS, _EVENT_FORMATS, _CMDLINES):
                back = tape.tell()
                tape.seek(struct.unpack_from("<Q", body)[0])
                _metadata(option, _contents(tape, algorithm), header)
                tape.seek(back)
            else:
                _option(header, option, body)
    found = [_buffer(body, tape.size) for body in buffers]
    found.sort(key=lambda b: -sum(pages.size for pages in b[3]))
    for at, _, clock, cpus in found[:1]:
        tape.seek(at)
        if _section(tape)[0] & _COMPRESSED:
            header.compression = check_algorithm(algorithm)
        header.cpus, header.clock = cpus, _current_clock(clock)
        header.ignored = [name for _, name, _, pages in found[1:] if any(p.size for p in pages)]


def _section(tape: _Tape) -> tuple[int, int]:
    """Read the head of a section: return its flags and its length."""
    _, flags, _, length = struct.unpack("<HHIQ", tape.take(16))
    return flags, length


def _contents(tape: _Tape, algorithm: str) -> _Tape:
    flags, length = _section(tape)
    data = tape.take(length)
    if flags & _COMPRESSED:
        packed, size = struct.unpack_from("<II", data)
        data = unpack(check_algorithm(algorithm), data[8 : 8 + packed], _few(size, MAX_CHUNK, "bytes in a section"))
    return _Tape(io.BytesIO(data))


def _metadata(option: int, tape: _Tape, header: TraceDatHeader) -> None:
    if option == _HEADER_INFO:
        _header_info(tape, header)
    elif option == _FTRACE_EVENTS:
        _ftrace_events(tape, header)
    elif option == _EVENT_FORMATS:
        _event_formats(tape, header)
    else:
        header.cmdlines = tape.counted(8).decode(errors="replace")


def _header_info(tape: _Tape, header: TraceDatHeader) -> None:
    tape.text()  # "header_page"
    header.header_page = tape.counted(8).decode(errors="replace")
    tape.text()  # "header_event"
    tape.skip_counted(8)


def _ftrace_events(tape: _Tape, header: TraceDatHeader) -> None:
    for _ in range(_few(tape.number(4), tape.size, "formats")):
        header.formats.append(tape.counted(8).decode(errors="replace"))


def _event_formats(tape: _Tape, header: TraceDatHeader) -> None:
    for _ in range(_few(tape.number(4), tape.size, "event systems")):
        tape.text()
        _ftrace_events(tape, header)


def _buffer(body: bytes, size: int) -> tuple[int, str, bytes, list[CpuPages]]:
    """Return section offset, name, clock and pages of a buffer option, version 7."""
    tape = _Tape(io.BytesIO(body))
    at, name, clock = tape.number(8), tape.text(), tape.text()
    tape.number(4)  # its page size: that of the header
    count = _few(tape.number(4), _MOST_CPUS, "CPUs")
    cpus = [CpuPages(*struct.unpack("<IQQ", tape.take(20))) for _ in range(count)]
    return _few(at, size, "bytes before a buffer"), name, clock.encode(), cpus


def _option(header: TraceDatHeader, option: int, body: bytes) -> None:
    if option == _CPUSTAT:
        header.stats.append(body.decode(errors="replace"))
    elif option == _TRACECLOCK and not header.clock:
        header.clock = _current_clock(body)
    elif option == _UNAME:
        words = body.split(b"\0")[0].decode(errors="replace").split()
        header.kernel = words[2] if len(words) > 2 else ""


def _current_clock(text: bytes) -> str:
    """Return the clock in brackets of tracefs ``trace_clock``, or the only one that is named."""
    words = text.split(b"\0")[0].decode(errors="replace").strip()
    chosen = re.search(r"\[([\w-]+)\]", words)
    return chosen[1] if chosen else words if re.fullmatch(r"[\w-]+", words) else ""


def _few(count: int, limit: int, what: str) -> int:
    if count > limit:
        raise ValueError(f"{count:,} {what}")
    return count
