"""Truncated, bit-flipped, empty and foreign inputs: a clear error or a trace, never anything else, and no file left."""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from swaptrace.ingest.convert import convert
from swaptrace.ingest.detect import detect
from swaptrace.model.errors import InputError, SwaptraceError, UsageError
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace
from tests.shared import shared

SAMPLES = {
    "perf_all.data": 60,
    "perf_proc.data": 60,
    "perf_script_tasks.txt": 25,
    "ftrace_default.txt": 25,
    "ftrace_latency.txt": 15,
    "tiny_bpf.parquet": 40,
}


def survive(paths: list[Path], out: Path) -> None:
    """Import; whatever comes out is either a whole trace or a SwaptraceError without a file."""
    try:
        meta = convert(paths, out)
    except SwaptraceError:
        assert not out.exists()
    else:
        assert sum(len(b) for b in Trace(out).batches(["ts"])) == meta.rows > 0
        out.unlink()
    assert [p for p in out.parent.iterdir() if p.name.endswith(".tmp")] == []


def flip(data: bytes, rng: random.Random, bits: int) -> bytes:
    out = bytearray(data)
    for _ in range(bits):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(data: bytes, rng: random.Random, _: int) -> bytes:
    return data[: rng.randrange(len(data))]


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files(name: str, damage: Callable[[bytes, random.Random, int], bytes], tmp_path: Path) -> None:
    data = shared(f"data/samples/{name}").read_bytes()
    rng = random.Random(f"{name} {damage.__name__}")
    for case in range(SAMPLES[name]):
        path = tmp_path / f"{case}-{name}"
        path.write_bytes(damage(data, rng, 1 + case % 8))
        survive([path], tmp_path / "out.parquet")
        path.unlink()


def test_damaged_head_of_perf_data(tmp_path: Path) -> None:
    """Bits of the header and of the embedded formats, where most of the structure is."""
    data = shared("data/samples/perf_all.data").read_bytes()
    rng = random.Random(7)
    for case in range(80):
        broken = bytearray(data)
        at = rng.randrange(1384) if case % 2 else rng.randrange(203200, 217906)
        broken[at] ^= 1 << rng.randrange(8)
        path = tmp_path / "p.data"
        path.write_bytes(broken)
        survive([path], tmp_path / "out.parquet")


def test_damaged_raw_pages(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for file in (
        "header_page.txt",
        *(f"format.{n}.txt" for n in ("mm_vmscan_write_folio", "block_bio_queue", "page_fault_user")),
    ):
        shutil.copyfile(shared(f"data/samples/{file}"), folder / file)
    data = shared("data/samples/raw.cpu1").read_bytes()
    rng = random.Random(3)
    for case in range(80):
        (folder / "raw.cpu1").write_bytes(flip(data, rng, 1 + case % 8) if case % 4 else cut(data, rng, 0))
        survive([folder], tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PERFILE2", "cut short"),
        (b"PERFILE2" + bytes(96), "never finished"),
        (b"\x00\x01\x02 binary", "binary"),
        (b"hello\nworld\n", "not a recording"),
        (b"\x28\xb5\x2f\xfd....", "compressed"),
        (b"PAR1 but no more", "Parquet"),
        (b"# tracer: nop\n#\n", "holds no events"),
    ],
)
def test_foreign_files(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        convert([path], tmp_path / "out.parquet")
    assert words in " ".join(caught.value.lines())
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_no_swap_events(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(
        "            bash-1     [001] d....     1.000000: page_fault_user: address=0x1000 ip=0x1 error_code=0x6\n"
    )
    with pytest.raises(InputError, match="holds no swap events"):
        convert([path], tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recording"):
        convert([], tmp_path / "out.parquet")
    with pytest.raises(UsageError, match="unknown format 'perfdata'") as caught:
        convert([tmp_path], tmp_path / "out.parquet", fmt="perfdata")
    assert "perf-data" in caught.value.why
    with pytest.raises(InputError, match="does not exist"):
        detect(tmp_path / "missing")
    with pytest.raises(InputError, match="directory without"):
        detect(tmp_path)


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ftrace_default.txt", "perf_script_default.txt"):
        data = shared(f"data/samples/{name}").read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        from_pipe = convert([Path("-")], tmp_path / "a.parquet")
        from_file = convert([shared(f"data/samples/{name}")], tmp_path / "b.parquet")
        assert from_pipe.digest == from_file.digest


def test_unsorted_parquet_is_sorted(tmp_path: Path) -> None:
    whole = pq.read_table(shared("data/samples/tiny_bpf.parquet"))
    order = np.random.default_rng(1).permutation(len(whole))
    pq.write_table(whole.take(pa.array(order)), tmp_path / "unsorted.parquet")
    mixed = convert([tmp_path / "unsorted.parquet"], tmp_path / "a.parquet")
    straight = convert([shared("data/samples/tiny_bpf.parquet")], tmp_path / "b.parquet")
    assert mixed.rows == straight.rows
    assert "sorted" in " ".join(mixed.notes)
    ts = np.concatenate([b["ts"] for b in Trace(tmp_path / "a.parquet").batches(["ts"])])
    assert bool((ts[1:] >= ts[:-1]).all())


def test_parquet_whose_footer_is_not_utf8_or_whose_times_are_missing(tmp_path: Path) -> None:
    columns = {"kind": ["swap_out"], "cpu": [0], "swap_type": [0], "slot": [5]}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"ts": [1], **columns}).replace_schema_metadata({b"note": b"\xff\xfe"}), path)
    survive([path], tmp_path / "out.parquet")
    pq.write_table(pa.table({"ts": pa.array([None], pa.int64()), **columns}), path)
    with pytest.raises(InputError, match="1 rows without a time"):
        convert([path], tmp_path / "out.parquet")


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        detect(tmp_path / "fifo")


def test_half_of_the_events_is_a_trace_without_slots_or_an_error_that_names_the_way(tmp_path: Path) -> None:
    lines = shared("data/samples/ftrace_default.txt").read_text().splitlines(keepends=True)
    text = tmp_path / "t.txt"
    text.write_text("".join(line for line in lines if "block_bio_queue" not in line))
    meta = convert([text], tmp_path / "out.parquet")
    assert meta.sight(Capability.SLOT) is Sight.ABSENT
    assert any("No event has a slot" in note for note in meta.notes)
    text.write_text("".join(line for line in lines if "write_folio" not in line))
    with pytest.raises(InputError) as caught:
        convert([text], tmp_path / "none.parquet")
    assert "--dry-run" in caught.value.next_step
    assert not (tmp_path / "none.parquet").exists()
