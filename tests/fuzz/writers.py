"""Writers of every format that is read, all from one small list of events: seeds for fuzzing, and files that must
import as the same trace."""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

__all__ = ["FILES", "Event", "ring_pages", "workload"]

DEV = 253 << 20
TID, COMM = 4321, "tiny task"
_COMMON = """\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;
"""
# name -> system, id, fields as (C declaration, offset, size), how the record is packed behind the common fields
_EVENTS: dict[str, tuple[str, int, list[tuple[str, int, int]], str]] = {
    "mm_vmscan_write_folio": (
        "vmscan",
        628,
        [("unsigned long pfn", 8, 8), ("int reclaim_flags", 16, 4)],
        "<Qi",
    ),
    "block_bio_queue": (
        "block",
        2097,
        [
            ("dev_t dev", 8, 4),
            ("sector_t sector", 16, 8),
            ("unsigned int nr_sector", 24, 4),
            ("char rwbs[10]", 28, 10),
            ("char comm[16]", 38, 16),
        ],
        "<I4xQI10s16s2x",
    ),
    "page_fault_user": (
        "exceptions",
        190,
        [("unsigned long address", 8, 8), ("unsigned long ip", 16, 8), ("unsigned long error_code", 24, 8)],
        "<QQQ",
    ),
}
HEADER_PAGE = (
    "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
    "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
    "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
    "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n"
)


@dataclass(frozen=True)
class Event:
    """One event of task ``TID``: its tracepoint, and the values of its fields in the order of ``_EVENTS``."""

    ts: int
    cpu: int
    name: str
    values: tuple[int | bytes, ...]

    def record(self) -> bytes:
        """The event as the kernel records it."""
        _, number, _, form = _EVENTS[self.name]
        return struct.pack("<HBBI", number, 0, 0, TID) + struct.pack(form, *self.values)

    def text(self) -> str:
        """The event's fields as the kernel prints them."""
        v = self.values
        if self.name == "mm_vmscan_write_folio":
            return f"page=0x1 pfn=0x{int(v[0]):x} flags=RECLAIM_WB_ANON|RECLAIM_WB_ASYNC"
        if self.name == "page_fault_user":
            return f"address=0x{int(v[0]):x} ip=0x{int(v[1]):x} error_code=0x{int(v[2]):x}"
        return f"{int(v[0]) >> 20},{int(v[0]) & 0xFFFFF} {_word(v[3])} {int(v[1])} + {int(v[2])} [{_word(v[4])}]"


def _word(value: int | bytes) -> str:
    assert isinstance(value, bytes)
    return value.decode()


def workload(pages: int = 12, cpus: int = 1) -> list[Event]:
    """Pages that are touched, written to swap (every fifth, as a zero page, is not), and read back in turn."""
    out: list[Event] = []
    clock = itertools.count(10**12, 1000)

    def add(name: str, *values: int | bytes) -> None:
        out.append(Event(next(clock), len(out) // 10 % cpus, name, values))

    for i in range(pages):
        add("page_fault_user", 0x200000000000 + i * 4096, 0x400000, 6)
    for i in range(pages):
        if i % 5:
            add("block_bio_queue", DEV, 8 + i * 8, 8, b"WS", COMM.encode())
        add("mm_vmscan_write_folio", 0x1000 + i, 5)
    for i in range(1, pages, 2):
        add("page_fault_user", 0x200000000000 + i * 4096, 0x400000, 4)
        if i % 5:
            add("block_bio_queue", DEV, 8 + i * 8, 8, b"RS", COMM.encode())
    return out


def format_text(name: str) -> str:
    """The ``format`` file of a tracepoint."""
    _, number, fields, _ = _EVENTS[name]
    own = "".join(f"\tfield:{c};\toffset:{at};\tsize:{size};\tsigned:0;\n" for c, at, size in fields)
    return f"name: {name}\nID: {number}\nformat:\n{_COMMON}\n{own}\nprint fmt: none\n"


def _counted(data: bytes | str, width: int) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return len(raw).to_bytes(width, "little") + raw


def _header_info() -> bytes:
    return b"header_page\0" + _counted(HEADER_PAGE, 8) + b"header_event\0" + _counted("# compressed entry header\n", 8)


def _event_formats() -> bytes:
    systems = [
        system.encode() + b"\0" + struct.pack("<I", 1) + _counted(format_text(name), 8)
        for name, (system, *_) in _EVENTS.items()
    ]
    return struct.pack("<I", len(systems)) + b"".join(systems)


# perf.data

_SAMPLE_TYPE = 1 << 16 | 1 << 1 | 1 << 2 | 1 << 7 | 1 << 8 | 1 << 10  # IDENTIFIER TID TIME CPU PERIOD RAW
_COMPRESSED, _TRACING = 27, 1
_ROUND = struct.pack("<IHH", 68, 0, 8)  # the end of a sweep over the buffers


def _perf_attr(number: int) -> bytes:
    flags = 1 << 18 | 1 << 25  # sample_id_all, use_clockid
    head = struct.pack("<IIQQQQQ", 2, 128, number, 1, _SAMPLE_TYPE, 0, flags)
    return head.ljust(92, b"\0") + struct.pack("<i", 1) + bytes(32)  # CLOCK_MONOTONIC


def perf_records(events: Iterable[Event], round_every: int = 16) -> bytes:
    ids = {name: 100 + i for i, name in enumerate(_EVENTS)}
    tail = struct.pack("<IIQIIQ", TID, TID, 0, 0, 0, 100)
    comm = struct.pack("<II", TID, TID) + COMM.encode().ljust(16, b"\0") + tail
    lost = struct.pack("<QQ", 100, 7) + struct.pack("<IIQIIQ", TID, TID, 10**12 + 5, 0, 0, 100)
    out = struct.pack("<IHH", 3, 0, 8 + len(comm)) + comm + struct.pack("<IHH", 2, 0, 8 + len(lost)) + lost
    for i, event in enumerate(events):
        raw = _counted(event.record(), 4)
        raw = struct.pack("<I", len(raw) + -len(raw) % 8 - 4) + raw[4:] + bytes(-len(raw) % 8)
        body = struct.pack("<QIIQIIQ", ids[event.name], TID, TID, event.ts, event.cpu, 0, 1) + raw
        out += struct.pack("<IHH", 9, 2, 8 + len(body)) + body
        if i % round_every == round_every - 1:
            out += _ROUND
    return out


def perf_squeeze(records: bytes, piece: int = 700) -> bytes:
    """Records as ``perf record -z`` writes them: one zstd stream, never ended, cut into records of type 81.

    The marks of its sweeps stay between these.
    """
    import zstandard

    packer, out = zstandard.ZstdCompressor().compressobj(), b""
    sweeps = records.split(_ROUND)
    for number, sweep in enumerate(sweeps):
        for at in range(0, len(sweep), piece):
            body = packer.compress(sweep[at : at + piece]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            out += struct.pack("<IHH", 81, 0, 8 + len(body)) + body
        out += _ROUND if number < len(sweeps) - 1 else b""
    return out


def _tracing_data() -> bytes:
    head = b"\x17\x08\x44tracing0.6\0" + bytes([0, 8]) + struct.pack("<I", 4096)
    return head + _header_info() + struct.pack("<I", 0) + _event_formats()


def perf_file(records: bytes, squeezed: bool = False) -> bytes:
    """A perf.data file around its records."""
    ids_at = 104
    ids = b"".join(struct.pack("<Q", 100 + i) for i in range(len(_EVENTS)))
    attrs_at = ids_at + len(ids)
    attrs = b"".join(
        _perf_attr(number) + struct.pack("<QQ", ids_at + 8 * i, 8) for i, (_, number, *_) in enumerate(_EVENTS.values())
    )
    data_at = attrs_at + len(attrs)
    features = [_TRACING, 4, *([_COMPRESSED] if squeezed else [])]
    parts = {_TRACING: _tracing_data(), 4: _counted(b"6.18.0".ljust(64, b"\0"), 4), _COMPRESSED: bytes(20)}
    at, table, tail = data_at + len(records) + 16 * len(features), b"", b""
    for feature in features:
        table += struct.pack("<QQ", at + len(tail), len(parts[feature]))
        tail += parts[feature]
    bits = sum(1 << feature for feature in features).to_bytes(32, "little")
    sections = struct.pack("<6Q", attrs_at, len(attrs), data_at, len(records), 0, 0)
    return b"PERFILE2" + struct.pack("<QQ", 104, 144) + sections + bits + ids + attrs + records + table + tail


def perf_pipe(records: bytes, squeezed: bool = False) -> bytes:
    """What ``perf record -o -`` writes."""
    out = b"PERFILE2" + struct.pack("<Q", 16)
    for i, (_, number, *_) in enumerate(_EVENTS.values()):
        body = _perf_attr(number) + struct.pack("<Q", 100 + i)
        out += struct.pack("<IHH", 64, 0, 8 + len(body)) + body
    if squeezed:
        out += struct.pack("<IHHQ", 80, 0, 16 + 20, _COMPRESSED) + bytes(20)
    tracing = _tracing_data()
    out += struct.pack("<IHHII", 66, 0, 16, len(tracing), 0) + tracing + bytes(-len(tracing) % 8)
    return out + records


# Ring-buffer pages and trace.dat


def ring_pages(events: Iterable[Event], per_page: int = 40, missed: int = 0) -> bytes:
    """Pages of one CPU; the second one says that ``missed`` events were lost before it, if any."""
    out, all_events = b"", list(events)
    for start in range(0, len(all_events), per_page):
        part = all_events[start : start + per_page]
        body, last = b"", part[0].ts
        for event in part:
            record = event.record()
            record += bytes(-len(record) % 4)
            body += struct.pack("<I", len(record) // 4 | (event.ts - last) << 5) + record
            last = event.ts
        commit = len(body)
        if missed and start == per_page:
            body += struct.pack("<Q", missed)
            commit |= 1 << 31 | 1 << 30
        out += (struct.pack("<QQ", part[0].ts, commit) + body).ljust(4096, b"\0")
    return out


def _by_cpu(events: list[Event]) -> dict[int, bytes]:
    return {cpu: ring_pages(e for e in events if e.cpu == cpu) for cpu in sorted({e.cpu for e in events})}


_CMDLINES = f"{TID} {COMM}\n"
_TRACE_DAT = b"\x17\x08\x44tracing"


def trace_dat_6(events: list[Event]) -> bytes:
    """trace.dat, version 6."""
    out = _TRACE_DAT + b"6\0" + bytes([0, 8]) + struct.pack("<I", 4096) + _header_info()
    out += struct.pack("<I", 0) + _event_formats() + struct.pack("<II", 0, 0) + _counted(_CMDLINES, 8)
    pages = _by_cpu(events)
    out += struct.pack("<I", len(pages)) + b"options  \0" + struct.pack("<HI", 4, 7) + b"[mono] " + struct.pack("<H", 0)
    out += b"flyrecord\0"
    at = -(-(len(out) + 16 * len(pages) + 14) // 4096) * 4096
    body = b""
    for data in pages.values():
        out += struct.pack("<QQ", at + len(body), len(data))
        body += data
    return (out + _counted(b"[mono]", 8)).ljust(at, b"\0") + body


def trace_dat_7(events: list[Event], algorithm: str = "none", more: bytes = b"") -> bytes:
    """trace.dat, version 7, with ``more`` options."""

    def pack(data: bytes) -> bytes:
        return pa.Codec("zstd").compress(data, asbytes=True) if algorithm == "zstd" else zlib.compress(data)

    squeezed = algorithm != "none"

    def section(number: int, body: bytes) -> bytes:
        packed = pack(body) if squeezed else body
        sizes = struct.pack("<II", len(packed), len(body)) if squeezed else b""
        return struct.pack("<HHIQ", number, squeezed, 0, len(sizes) + len(packed)) + sizes + packed

    head = _TRACE_DAT + b"7\0" + bytes([0, 8]) + struct.pack("<I", 4096) + algorithm.encode() + b"\0" + b"1\0"
    parts = {
        16: _header_info(),
        17: struct.pack("<I", 0),
        18: _event_formats(),
        21: _counted(_CMDLINES, 8),
    }
    body, options, start = b"", b"", len(head) + 8
    for number, part in parts.items():
        options += struct.pack("<HIQ", number, 8, start + len(body))
        body += section(number, part)
    at, table, chunks = start + len(body) + 16, b"", b""
    pages = _by_cpu(events)
    for cpu, data in pages.items():
        stored = data
        if squeezed:
            pieces = [data[i : i + 6000] for i in range(0, len(data), 6000)]
            stored = b"".join(struct.pack("<II", len(pack(p)), len(p)) + pack(p) for p in pieces)
            table += struct.pack("<IQQ", cpu, at + len(chunks), len(stored))
            stored = struct.pack("<I", len(pieces)) + stored
        else:
            table += struct.pack("<IQQ", cpu, at + len(chunks), len(stored))
        chunks += stored
    buffer = struct.pack("<Q", start + len(body)) + b"\0" + b"mono\0" + struct.pack("<II", 4096, len(pages)) + table
    body += struct.pack("<HHIQ", 3, squeezed, 0, len(chunks)) + chunks
    options += more + struct.pack("<HI", 3, len(buffer)) + buffer + struct.pack("<HIQ", 0, 8, 0)
    options = struct.pack("<HHIQ", 0, 0, 0, len(options)) + options
    return head + struct.pack("<Q", start + len(body)) + body + options


# Text


def perf_script(events: list[Event]) -> str:
    """``perf script --ns -F +tid``."""
    return "".join(
        f"{COMM:>16} {TID}/{TID} [{e.cpu:03}] {e.ts // 10**9:5}.{e.ts % 10**9:09}: "
        f"{_EVENTS[e.name][0]}:{e.name}: {e.text()}\n"
        for e in events
    )


def ftrace(events: list[Event]) -> str:
    """tracefs ``trace`` with record-tgid."""
    lines = "".join(
        f"{COMM:>16}-{TID:<7} ({TID:7}) [{e.cpu:03}] d....  {e.ts // 10**9}.{e.ts % 10**9 // 1000:06}: {e.name}: "
        f"{e.text()}\n"
        for e in events
    )
    return f"# tracer: nop\n#\n# entries-in-buffer/entries-written: {len(events)}/{len(events)}   #P:2\n#\n{lines}"


def bpftrace(events: list[Event]) -> str:
    """What the script of swaptrace/ingest/bpftrace_text.py prints."""
    forms: dict[str, Callable[..., str]] = {
        "mm_vmscan_write_folio": "OUT {0} pfn={1} flags={2}".format,
        "page_fault_user": "FAULT {0} 0x{1:x} {3}".format,
        "block_bio_queue": lambda who, dev, at, count, rwbs, _: f"BIO {who} {dev} {at} {count} {_word(rwbs)}",
    }
    lines = (f"{e.ts} " + forms[e.name](f"{e.cpu} {TID} {TID} {COMM}", *e.values) for e in events)
    return "Attaching 3 probes...\n" + "\n".join(lines) + "\n\n\n"


def bpftrace_json(events: list[Event]) -> str:
    """The same with ``-f json``."""
    lines = bpftrace(events).split("\n")[1:-3]
    head = json.dumps({"type": "attached_probes", "data": {"probes": 3}})
    return "\n".join([head, *(json.dumps({"type": "printf", "data": line + "\n"}) for line in lines)]) + "\n"


def blkparse(events: list[Event]) -> str:
    """The default output of blkparse: queued and completed bios, and the summary."""
    out, bios = "", [e for e in events if e.name == "block_bio_queue"]
    for number, e in enumerate(bios):
        dev, _, what = e.text().partition(" ")
        op, _, place = what.partition(" ")
        since = e.ts - events[0].ts
        head = f"{dev:>7} {e.cpu:2} {number:8} {since // 10**9:5}.{since % 10**9:09} {TID:5} "
        out += f"{head} Q {op:>3} {place}\n{head} C {op:>3} {place.split(' [')[0]} [0]\n"
    summary = f"CPU0 (blk):\n Reads Queued:  {len(bios)},  4KiB\t Writes Queued: 0, 0KiB\n"
    return f"{out}{summary}\nSkips: 0 forward (0 - 0.0%)\n"


def csv(events: list[Event]) -> str:
    """Rows of the schema; the names of columns differ, so that they must be mapped."""
    out = "ts;kind;cause;backend;cpu;pid;comm;major;swap_offset;va;write\n"
    kinds = {"WS": "swap_out;reclaim", "RS": "swap_in;fault"}
    for e in events:
        if e.name == "block_bio_queue":
            time, what, slot = f"{e.ts // 10**9}.{e.ts % 10**9:09}", kinds[_word(e.values[3])], int(e.values[1]) // 8
            out += f'{time};{what};disk;{e.cpu};{TID};"{COMM}";253:0;{slot};;no\n'
    return out


def _raw_folder(events: list[Event]) -> dict[str, bytes]:
    files = {f"raw.cpu{cpu}": data for cpu, data in _by_cpu(events).items()}
    formats = {f"{system}.{name}.format": format_text(name).encode() for name, (system, *_) in _EVENTS.items()}
    return files | formats | {"header_page": HEADER_PAGE.encode(), "saved_cmdlines": _CMDLINES.encode()}


# Name of a variant -> its format, and the files that it consists of (one, but for raw pages).
FILES: dict[str, tuple[str, Callable[[list[Event]], dict[str, bytes]]]] = {
    "perf-data": ("perf-data", lambda e: {"perf.data": perf_file(perf_records(e))}),
    "perf-data-z": ("perf-data", lambda e: {"perf.data": perf_file(perf_squeeze(perf_records(e)), True)}),
    "perf-pipe": ("perf-data", lambda e: {"perf.data": perf_pipe(perf_records(e))}),
    "perf-pipe-z": ("perf-data", lambda e: {"perf.data": perf_pipe(perf_squeeze(perf_records(e)), True)}),
    "trace-dat-6": ("trace-dat", lambda e: {"trace.dat": trace_dat_6(e)}),
    "trace-dat-7": ("trace-dat", lambda e: {"trace.dat": trace_dat_7(e)}),
    "trace-dat-7-zstd": ("trace-dat", lambda e: {"trace.dat": trace_dat_7(e, "zstd")}),
    "trace-dat-7-zlib": ("trace-dat", lambda e: {"trace.dat": trace_dat_7(e, "zlib")}),
    "ftrace-pages": ("ftrace-pages", _raw_folder),
    "perf-script": ("perf-script", lambda e: {"script.txt": perf_script(e).encode()}),
    "ftrace-text": ("ftrace-text", lambda e: {"trace.txt": ftrace(e).encode()}),
    "bpftrace": ("bpftrace", lambda e: {"bpftrace.txt": bpftrace(e).encode()}),
    "bpftrace-json": ("bpftrace", lambda e: {"bpftrace.json": bpftrace_json(e).encode()}),
    "blkparse": ("blkparse", lambda e: {"blkparse.txt": blkparse(e).encode()}),
    "csv": ("csv", lambda e: {"rows.csv": csv(e).encode()}),
}
