"""What kind of recording a file is, from its first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from swaptrace.ingest.bpf.records import RECORDS
from swaptrace.model.errors import InputError

__all__ = ["FORMATS", "detect", "detect_text"]

FORMATS = ("perf-data", "perf-script", "ftrace-text", "ftrace-pages", "bpf-raw", "parquet")
_KNOWN = "Import perf.data, the output of perf script or trace-cmd report, ftrace's trace, or Parquet."
_PERF_LINE = re.compile(r"^\s*(?:\S.*?\s+)?-?\d+(?:/-?\d+)?\s+\[\d+\]\s+\d+\.\d+:", re.M)
_PERF_EVENT = re.compile(r"\d+\.\d+:\s+(?:\d+\s+)?(?:[a-z_]+:[a-z_0-9]+|[a-z-]+faults):|\bPERF_RECORD_", re.M)
_FTRACE_LINE = re.compile(r"-\d+\s+(?:\(.{7}\)\s+)?(?:\[\d+\]|\d+[a-zA-Z.#]{4,6})\s", re.M)


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
            "Name a recording: perf.data, text, Parquet, or a raw directory.",
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
        raise InputError(
            f"{path} is a trace.dat of trace-cmd.",
            "It is not read directly yet.",
            f"Convert it: trace-cmd report -t {path} > t.txt",
        )
    if path.name.startswith("raw.cpu"):
        return "ftrace-pages"
    if head.startswith(b"\x28\xb5\x2f\xfd") or head.startswith((b"\x1f\x8b", b"\xfd7zXZ")):
        raise InputError(f"{path} is compressed.", "", "Unpack it first.")
    if b"\0" in head:
        raise InputError(
            f"{path} is not a recording that swaptrace knows.",
            "It is binary: neither perf.data, Parquet nor raw.cpu pages.",
            _KNOWN,
        )
    return detect_text(head.decode(errors="replace"), str(path))


def detect_text(text: str, name: str) -> str:
    """Return the format of a text recording from its beginning."""
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
    raise InputError(
        f"{name} is not a recording that swaptrace knows.", "No line looks like perf script or ftrace.", _KNOWN
    )
