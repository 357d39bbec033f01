"""The BPF object in the repository: its numbers and its code are those of the source."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swaptrace.capture.bpf.programs import OBJECT
from swaptrace.ingest.bpf.records import RecordBackend, RecordFlag, RecordKind

SOURCE = OBJECT.with_name("swaptrace.bpf.c")
ENUMS = OBJECT.parent / "src" / "records.bpf.h"
BUILT_BY = 14  # clang: another version makes other code of the same source


@pytest.mark.parametrize(
    ("name", "ours"), [("record_kind", RecordKind), ("backend", RecordBackend), ("record_flag", RecordFlag)]
)
def test_the_numbers_are_those_of_the_source(name: str, ours: Any) -> None:
    body = re.search(rf"enum {name} \{{(.*?)\}};", ENUMS.read_text(), re.S)
    assert body is not None
    words = re.findall(r"\b[A-Z]+_([A-Z_]+)(?: = (\d+))?,?", re.sub(r"/\*.*?\*/", "", body[1]))
    numbered = {word: int(number or place) for place, (word, number) in enumerate(words)}
    numbered.pop("KINDS", None)
    assert numbered == {member.name: int(member) for member in ours}


def programs(path: Path) -> dict[str, bytes]:
    """Return the code of each program section of an ELF object (and of .text, the functions they share)."""
    data = path.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + size * i) for i in range(count)]
    text = data[headers[names][4] :]
    out = {}
    for name, kind, flags, _, start, length, *_ in headers:
        if kind == 1 and flags & 4:  # SHT_PROGBITS, SHF_EXECINSTR
            out[text[name : text.index(b"\0", name)].decode()] = data[start : start + length]
    return out


def clang() -> str:
    for name in (f"clang-{BUILT_BY}", "clang"):
        if shutil.which(name):
            said = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
            if re.search(rf"version {BUILT_BY}\.", said):
                return name
    pytest.skip(f"no clang {BUILT_BY}, which built the object")


def test_the_object_is_built_from_the_source(tmp_path: Path) -> None:
    compiler = clang()
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("no libbpf headers (libbpf-dev)")
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    flags = re.search(r"^BPF_FLAGS := (.*)$", makefile, re.M)
    assert flags is not None
    out = tmp_path / "again.bpf.o"
    line = [compiler, *flags[1].split(), "-c", SOURCE.name, "-o", str(out)]
    subprocess.run(line, cwd=SOURCE.parent, check=True)
    built, kept = programs(out), programs(OBJECT)
    assert len(kept) > 15
    assert built == kept, "run: make bpf"


def test_the_object_names_no_place_of_its_build() -> None:
    assert not re.search(rb"/(home|root|tmp|work)/", OBJECT.read_bytes())
