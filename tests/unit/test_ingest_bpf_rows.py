"""Rows of a BPF recording: a real one, names of tasks, notes, and the sidecar of content sizes."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash

from swaptrace.ingest.bpf.contents import CONTENTS, SIZES, content_sizes
from swaptrace.ingest.bpf.records import RECORD, RECORDS, Chunk, RawInfo, RecordKind, pack_chunk, read_chunks, read_info
from swaptrace.ingest.bpf.rows import BpfRows
from swaptrace.ingest.bpf.source import BpfSource
from swaptrace.ingest.bpf.window import windows
from swaptrace.ingest.convert import convert
from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.model.meta import Capability, Sight, TraceMeta
from swaptrace.model.trace import Trace
from tests.unit.bpf_raw import raw_folder, some_records


def test_names_change_where_they_changed(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw")
    records = np.concatenate([some_records(2, 1000), some_records(2, 2000)])
    names = np.zeros(2, RECORD)
    names["kind"], names["tid"], names["ts"] = RecordKind.COMM, 9, [999, 1500]
    words = [name.ljust(16, b"\0") for name in (b"before", b"after\xff")]
    names["hash"], names["aux"] = np.array([struct.unpack("<QQ", word) for word in words], np.uint64).T
    with (raw / RECORDS).open("wb") as file:
        file.writelines(pack_chunk(Chunk(np.concatenate([records, names]), 3000, 0)))
    source = BpfSource(raw, TraceMeta())
    ((columns, _, known),) = source.batches()
    assert [known[code] for code in columns["comm"]] == ["before", "before", "after\ufffd", "after\ufffd"]


@pytest.fixture
def real(tmp_path: Path) -> Trace:
    """tests/data/bpf_zram: 256 pages in and out on 6.18 (zero, same-filled and equal ones), hashes without salt."""
    convert([Path(__file__).parents[1] / "data" / "bpf_zram"], tmp_path / "t.parquet")
    return Trace(tmp_path / "t.parquet")


def test_a_real_recording_has_the_counts_of_its_kernel(real: Trace) -> None:
    (batch,) = real.batches(["kind", "backend", "cause", "hash", "fill", "slot", "va", "csize"])
    meta = real.meta
    delta = {name: meta.vmstat_after[name] - before for name, before in meta.vmstat_before.items()}
    out, into = batch["kind"] == Kind.SWAP_OUT, batch["kind"] == Kind.SWAP_IN
    disk, zero = batch["backend"] == Backend.DISK, batch["backend"] == Backend.ZERO
    assert (out & disk).sum() == delta["pswpout"] == 597
    assert (into & disk).sum() == delta["pswpin"]
    assert (out & zero).sum() == delta["swpout_zero"]
    assert (into & zero).sum() == delta["swpin_zero"]
    assert {meta.sight(c) for c in Capability if c is not Capability.SNAPSHOT} == {Sight.OBSERVED}
    zeros = batch.valid["fill"] & (batch["fill"] == 0)
    np.testing.assert_array_equal(zeros & out, out & zero)
    assert set(batch["hash"][zeros].tolist()) == {xxhash.xxh64_intdigest(bytes(4096))}
    word = int.from_bytes(b"A" * 8, "little")
    assert xxhash.xxh64_intdigest(b"A" * 4096) in batch["hash"][batch["fill"] == word].tolist()
    assert (batch["cause"][into] == Cause.FAULT).all()
    assert (batch["csize"][batch["kind"] == Kind.SLOT_FREE] == 0).all()
    assert (batch["kind"] == Kind.SLOT_FREE).sum() == 523  # of 597: same-filled pages have no object


def test_a_real_recording_reads_alike_in_any_pieces(tmp_path: Path, real: Trace) -> None:
    folder = Path(__file__).parents[1] / "data" / "bpf_zram"
    chunks = [chunk for chunk, _ in read_chunks(folder / RECORDS, [])]
    whole = BpfRows(read_info(folder), {0: 1})
    expected = [whole.feed(w, np.zeros(len(w.records), np.int32))[0]["slot"] for w in windows(chunks)]
    single = [
        Chunk(chunk.records[i : i + 1], chunk.watermark if i + 1 == len(chunk.records) else 0, chunk.lost)
        for chunk in chunks
        for i in range(len(chunk.records))
    ]
    pieces = BpfRows(read_info(folder), {0: 1})
    found = [pieces.feed(w, np.zeros(len(w.records), np.int32))[0] for w in windows(single, 7)]
    np.testing.assert_array_equal(
        np.concatenate([part["slot"] for part in found if "slot" in part]), np.concatenate(expected)
    )


def test_content_sizes_become_a_sidecar(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", 4)
    assert convert([raw], tmp_path / "t.parquet").sidecars == ()
    sizes = np.array([(9, 10, 11, 12, 13), (3, 20, 21, 22, 23), (9, 10, 11, 12, 13)], SIZES)
    (raw / CONTENTS).write_bytes(sizes.tobytes() + b"cut")
    (sidecar,) = convert([raw], tmp_path / "t.parquet").sidecars
    beside = tmp_path / "t.content.parquet"
    assert (sidecar.name, sidecar.rows) == (beside.name, {"": 2})
    assert sidecar.sha256 == hashlib.sha256(beside.read_bytes()).hexdigest()
    rows = pq.read_table(beside).to_pylist()
    assert rows == [
        {"hash": 3, "lz4": 20, "zstd1": 21, "zstd3": 22, "zeros": 23},
        {"hash": 9, "lz4": 10, "zstd1": 11, "zstd3": 12, "zeros": 13},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "t.content.parquet", "t.parquet"]


def test_without_a_trace_there_is_no_sidecar(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", 4)
    (raw / CONTENTS).write_bytes(np.zeros(1, SIZES).tobytes())
    seen: list[bool] = []

    def fail() -> None:
        with content_sizes(raw, tmp_path / "t.parquet"):
            seen.append((tmp_path / "t.content.parquet").exists())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert seen == [True]
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize(("told", "enabled", "noted"), [(False, "Y", True), (False, "N", False), (True, "Y", False)])
def test_hits_of_zswap_that_look_like_hits_of_the_swap_cache_are_noted(
    tmp_path: Path, told: bool, enabled: str, noted: bool
) -> None:
    raw = raw_folder(tmp_path / "raw", 4, info=RawInfo(zero_events=told))
    meta = convert([raw], tmp_path / "t.parquet", base=TraceMeta(settings={"zswap.enabled": enabled}))
    assert any("without giving up its entry" in note for note in meta.notes) is noted
