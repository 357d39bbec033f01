"""What kind of recording a file is, from its first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from swaptrace.ingest.bpf.records import RECORDS
from swaptrace.ingest.csv_rows import sniff
from swaptrace.model.errors import InputError

__all__ = ["FORMATS", "detect", "detect_text"]

# Format -> what it is, as the help and the errors say it.
FORMATS = {
    "perf-data": "perf.data of perf record, also -z and from a pipe",
    "trace-dat": "trace.dat of trace-cmd, version 6 or 7",
    "bpf-raw": "the raw directory of a BPF recording",
    "ftrace-pages": "a directory with raw.cpuN pages of trace_pipe_raw and their event formats",
    "perf-script": "output of perf script",
    "ftrace-text": "ftrace's trace and trace_pipe, output of trace-cmd report",
    "bpftrace": "output of a bpftrace script (docs/importing.md)",
    "blkparse": "output of blkparse, or of ftrace's blk tracer: needs --device",
    "csv": "CSV with a header line: --map column=name",
    "parquet": "Parquet with the columns of a trace",
}
_KNOWN = f"Known formats: {', '.join(FORMATS)} (docs/importing.md)."
_PERF_LINE = re.compile(r"^\s*(?:\S.*?\s+)?-?\d+(?:/-?\d+)?\s+\[\d+\]\s+\d+\.\d+:", re.M)
_PERF_EVENT = re.compile(
    r"(?:\d+\.\d+:\s+(?:\d+\s+)?|^\s*(?:\S.*?\s+)?-?\d+(?:/-?\d+)?\s+(?:\[\d+\]\s+)?)"
    r"(?:[a-z_]+:[a-z_0-9]+|[a-z-]+faults):|\bPERF_RECORD_",
    re.M,
)
_FTRACE_LINE = re.compile(r"-\d+\s+(?:\(.{7}\)\s+)?(?:\[\d+\]|\d+[a-zA-Z.#]{4,6})\s", re.M)
_BPFTRACE = re.compile(
    r'^Attach(?:ing|ed) \d+ probe|^\{"type": "\w+", "data": |^\d+ (?:OUT|BIO|FAULT) \d+ \d+ \d+ ', re.M
)
_BLKPARSE = re.compile(r"^\s*\d+,\d+\s+\d+\s+\d+\s+\d+\.\d{9}\s+\d+\s+[A-Za-z]{1,2}\s", re.M)
_BLK_TRACER = re.compile(r"\A\s*# tracer: blk$", re.M)

_BESIDE = (  # what lies beside recordings
    (re.compile(r"^name: \S+\nID: \d+\nformat:", re.M), "It is the format of an event, which has no events in it."),
    (
        re.compile(r"^\tfield: u64 timestamp;|^# compressed entry header", re.M),
        "It tells how pages of a ring buffer look.",
    ),
    (re.compile(r"^entries: \d+\noverrun: ", re.M), "It is the statistics of a buffer."),
    (re.compile(r"\A(?:[\w-]+:\w+\n){3}"), "It is a list of events that a kernel knows."),
)


def detect(path: Path) -> str:
    """Return the format of ``path``, one of :data:`FORMATS`; ``-`` (standard input) is text, told apart when read.

    Raises :class:`InputError` for a file that is missing, empty, or no recording that can be read.
    """
    if str(path) == "-":
        return "text"
    if path.is_dir():
        if any(path.glob("raw.cpu*")):
            return "ftrace-pages"
        if (path / RECORDS).exists():
            return "bpf-raw"
        raise InputError(
            f"{path} is a directory without raw.cpu files and without {RECORDS}.",
            "",
            _KNOWN,
        )
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if not path.is_file():
        raise InputError(
            f"{path} is not a regular file.", "It can be read only once.", f"As text: swaptrace record - ... < {path}"
        )
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
    except PermissionError as error:
        raise InputError(f"cannot read {path}.", "Permission denied.") from error
    if not head:
        raise InputError(f"{path} is empty.", "Nothing was recorded, or the copy failed.", "Record or copy it again.")
    return _by_bytes(path, head)


def _by_bytes(path: Path, head: bytes) -> str:
    if head.startswith(b"PERFILE2"):
        return "perf-data"
    if head.startswith((b"2ELIFREP", b"PERFFILE")):
        raise InputError(
            f"{path} is perf.data of another byte order or an ancient perf.",
            "",
            "Convert it there: perf script > t.txt",
        )
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"\x17\x08\x44tracing"):
        return "trace-dat"
    if path.name.startswith("raw.cpu"):
        return "ftrace-pages"
    if head.startswith(b"\x28\xb5\x2f\xfd") or head.startswith((b"\x1f\x8b", b"\xfd7zXZ")):
        raise InputError(f"{path} is compressed.", "", "Unpack it first.")
    if b"\0" in head:
        raise InputError(
            f"{path} is not a recording that swaptrace knows.",
            "It is binary: neither perf.data, trace.dat, Parquet nor raw.cpu pages.",
            _KNOWN,
        )
    return detect_text(head.decode(errors="replace"), str(path))


def detect_text(text: str, name: str) -> str:
    """Return the format of a text recording from its beginning."""
    if _BPFTRACE.search(text):
        return "bpftrace"
    if _BLK_TRACER.search(text) or _BLKPARSE.search(text):
        return "blkparse"
    if {"ts", "kind"} <= set(sniff(text.removeprefix("\ufeff").split("\n", 1)[0])[1]):
        return "csv"
    if (
        "# captured on" in text
        or _PERF_EVENT.search(text)
        or (_PERF_LINE.search(text) and not _FTRACE_LINE.search(text))
    ):
        return "perf-script"
    if (
        text.lstrip().startswith(("# tracer:", "cpus="))
        or _FTRACE_LINE.search(text)
        or re.search(r"^CPU:\d+ \[LOST", text, re.M)
    ):
        return "ftrace-text"
    for pattern, what in _BESIDE:
        if pattern.search(text):
            raise InputError(f"{name} is not a recording.", what, "Name the recording itself.")
    raise InputError(
        f"{name} is not a recording that swaptrace knows.",
        "No line looks like an event of perf script, ftrace, bpftrace or blkparse, and no header like CSV.",
        _KNOWN,
    )
