"""The BPF tier without a kernel: chunks on disk, the ring, refusals, symbols, and the object in the repository."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from swaptrace.capture import backends
from swaptrace.capture.backends import choose
from swaptrace.capture.bpf.kallsyms import KernelText
from swaptrace.capture.bpf.programs import OBJECT, text_ranges
from swaptrace.capture.bpf.recorder import ring_bytes
from swaptrace.capture.bpf.refusal import refusal
from swaptrace.capture.bpf.ring import Ring
from swaptrace.ingest.bpf import records as format_
from swaptrace.ingest.bpf.changes import AreaChanges
from swaptrace.ingest.bpf.contents import CONTENTS, SIZES, content_sizes
from swaptrace.ingest.bpf.records import (
    INFO,
    RECORD,
    RECORDS,
    Chunk,
    RawInfo,
    RecordBackend,
    RecordFlag,
    RecordKind,
    pack_chunk,
    read_chunks,
    read_info,
    write_info,
)
from swaptrace.ingest.bpf.rows import BpfRows
from swaptrace.ingest.bpf.source import BpfSource, true_types
from swaptrace.ingest.bpf.window import windows
from swaptrace.ingest.convert import convert
from swaptrace.model.errors import CapabilityError, InputError, PermissionDenied, SwaptraceError, UsageError
from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.model.meta import Capability, HashInfo, Sight, SwapChange, SwapDevice, TraceMeta
from swaptrace.model.trace import Trace

SOURCE = OBJECT.with_name("swaptrace.bpf.c")
ENUMS = OBJECT.parent / "src" / "records.bpf.h"
BUILT_BY = 14  # clang: another version makes other code of the same source


def some_records(count: int, first_ts: int = 1000) -> NDArray[Any]:
    out = np.zeros(count, RECORD)
    out["ts"] = np.arange(first_ts, first_ts + count)
    out["kind"], out["backend"], out["tid"], out["swp"] = RecordKind.OUT, RecordBackend.DISK, 9, 5
    return out


def raw_folder(folder: Path, *sizes: int, info: RawInfo | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    write_info(folder, info or RawInfo(devices=(SwapDevice(0, 7 << 20, "/dev/loop0"),)))
    start = 1000
    with (folder / RECORDS).open("wb") as file:
        for size in sizes:
            file.writelines(pack_chunk(Chunk(some_records(size, start), start + size, 0)))
            start += size
    return folder


# -- chunks --------------------------------------------------------------------------------------------------------


def test_chunks_come_back_as_written(tmp_path: Path) -> None:
    damage: list[str] = []
    found = [chunk for chunk, _ in read_chunks(raw_folder(tmp_path / "raw", 3, 1, 70) / RECORDS, damage)]
    assert [len(chunk.records) for chunk in found] == [3, 1, 70]
    assert [chunk.watermark for chunk in found] == [1003, 1004, 1074]
    np.testing.assert_array_equal(np.concatenate([chunk.records for chunk in found]), some_records(74))
    assert damage == []


def test_every_cut_yields_all_whole_chunks(tmp_path: Path) -> None:
    file = raw_folder(tmp_path / "raw", 1, 2) / RECORDS
    whole = file.read_bytes()
    first = 64 + RECORD.itemsize
    for size in range(64, len(whole)):
        file.write_bytes(whole[:size])
        damage: list[str] = []
        assert len(list(read_chunks(file, damage))) == (size >= first)
        assert len(damage) == (size != first)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 64 * 2 + 3 * 96 - 1), bit=st.integers(0, 7), extra=st.binary(max_size=80))
def test_a_flipped_bit_never_passes(tmp_path: Path, at: int, bit: int, extra: bytes) -> None:
    raw = raw_folder(tmp_path / "raw", 1, 2)
    data = bytearray((raw / RECORDS).read_bytes())
    data[at] ^= 1 << bit
    (raw / RECORDS).write_bytes(bytes(data) + extra)
    damage: list[str] = []
    try:
        found = list(read_chunks(raw / RECORDS, damage))
    except InputError:
        assert at < 16
        return
    assert len(found) == (0 if at < 64 + 96 else 1)
    assert len(damage) == 1


def test_a_newer_version_says_so(tmp_path: Path) -> None:
    file = raw_folder(tmp_path / "raw", 1) / RECORDS
    data = bytearray(file.read_bytes())
    struct.pack_into("<H", data, 8, 2)
    file.write_bytes(data)
    with pytest.raises(InputError, match="version 2"):
        list(read_chunks(file, []))


def test_a_huge_count_allocates_nothing(tmp_path: Path) -> None:
    file = raw_folder(tmp_path / "raw", 1) / RECORDS
    data = bytearray(file.read_bytes())
    struct.pack_into("<I", data, 12, 0xFFFFFFFF)
    file.write_bytes(data)
    damage: list[str] = []
    assert list(read_chunks(file, damage)) == []
    assert len(damage) == 1


@pytest.mark.parametrize("text", ["", "{", '{"areas": 5}', "\x00"])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    raw = raw_folder(tmp_path / "raw", 4)
    (raw / INFO).write_text(text)
    with pytest.raises(InputError, match=re.escape(INFO)):
        convert([raw], tmp_path / "t.parquet")
    (raw / INFO).unlink()
    with pytest.raises(InputError, match="missing"):
        convert([raw], tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        convert([raw_folder(tmp_path / "raw")], tmp_path / "t.parquet")


def test_the_description_comes_back(tmp_path: Path) -> None:
    info = RawInfo(HashInfo("xxh64", True), areas={3: 7 << 20}, lost={"bpf.out": 4}, notes=("a",), tier="T2")
    write_info(tmp_path, info)
    assert read_info(tmp_path) == info
    assert [path.name for path in tmp_path.iterdir()] == [INFO]


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


# -- a real recording --------------------------------------------------------------------------------------------


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


# -- swap areas that come and go -----------------------------------------------------------------------------------


@given(times=st.lists(st.integers(0, 9), min_size=1, max_size=12), cuts=st.sets(st.integers(1, 11)), at=st.data())
def test_changes_are_put_behind_the_rows_of_their_time(times: list[int], cuts: set[int], at: st.DataObject) -> None:
    times.sort()
    areas = (SwapDevice(0, 253 << 20), SwapDevice(3, 7 << 20))
    changes = [
        SwapChange(ts, bool(i % 2), i % 2) for i, ts in enumerate(at.draw(st.lists(st.integers(0, 12), max_size=4)))
    ]
    expected = sorted(
        [(ts, 0, int(Kind.SWAP_OUT), -1) for ts in times]
        + [(c.ts, 1, int(Kind.SWAPON if c.on else Kind.SWAPOFF), areas[c.device].swap_type) for c in changes],
        key=lambda row: row[:2],
    )
    merge, found = AreaChanges(changes, areas), []
    bounds = [0, *sorted(c for c in cuts if c < len(times)), len(times)]
    for a, b in itertools.pairwise(bounds):
        part = np.array(times[a:b])
        batch = {"ts": part, "kind": np.zeros(b - a, np.uint8), "hash": np.ones(b - a, np.uint64)}
        columns, masks = merge.into(batch, {"hash": np.ones(b - a, np.bool_)})
        found += list(zip(columns["ts"].tolist(), columns["kind"].tolist(), masks["hash"].tolist(), strict=True))
    if (rest := merge.rest()) is not None:
        assert set(rest) == {"ts", "kind", "cpu", "dev", "swap_type"}
        found += [(int(ts), int(kind), False) for ts, kind in zip(rest["ts"], rest["kind"], strict=True)]
    assert found == [(ts, kind, kind == Kind.SWAP_OUT) for ts, _, kind, _ in expected]


# -- swap types ----------------------------------------------------------------------------------------------------


def test_types_are_those_that_their_disks_showed() -> None:
    zram, loop = SwapDevice(0, 253 << 20), SwapDevice(1, 7 << 20)
    assert [d.swap_type for d in true_types((zram, loop), {})] == [0, 1]
    assert [d.swap_type for d in true_types((zram, loop), {1: 253 << 20, 2: 7 << 20})] == [1, 2]
    twins = (SwapDevice(0, 8 << 20, start_sector=8), SwapDevice(1, 8 << 20, start_sector=900))
    assert [d.swap_type for d in true_types(twins, {2: 8 << 20, 5: 8 << 20})] == [2, 5]
    assert [d.swap_type for d in true_types((zram, loop), {1: 253 << 20})] == [0, 1]  # they would collide


# -- the ring ------------------------------------------------------------------------------------------------------


class FakeRing:
    """The memory of a ring buffer: the consumer's page, the producer's page, the data (not wrapped)."""

    SIZE = 1 << 16

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * 4096 + 2 * self.SIZE)
        self.end = 0

    def put(self, records: NDArray[Any], busy: int | None = None) -> None:
        data = records.copy()
        data["ring"] = RECORD.itemsize - 8
        if busy is not None:
            data["ring"][busy] |= 1 << 31
        os.pwrite(self.fd, data.tobytes(), 2 * 4096 + self.end)
        self.end += data.nbytes
        os.pwrite(self.fd, struct.pack("=Q", self.end), 4096)

    def commit(self, at: int) -> None:
        os.pwrite(self.fd, struct.pack("=Q", RECORD.itemsize - 8), 2 * 4096 + at * RECORD.itemsize)


def test_the_ring_is_drained_up_to_the_first_busy_record() -> None:
    fake = FakeRing()
    ring = Ring(fake.fd, fake.SIZE)
    assert ring.drain(0) is None
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    fake.put(some_records(10), busy=4)
    chunk = ring.drain(0)
    assert chunk is not None
    assert len(chunk.records) == 4
    assert chunk.watermark < before  # record 4 is older than what comes behind it, and not there yet
    assert ring.drain(0) is None
    fake.commit(4)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    chunk = ring.drain(3)
    assert chunk is not None
    assert chunk.records["ts"].tolist() == list(range(1004, 1010))
    assert before <= chunk.watermark
    assert chunk.watermark <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert after <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert chunk.lost == 3
    assert struct.unpack("=Q", os.pread(fake.fd, 8, 0)) == (10 * RECORD.itemsize,)
    assert ring.most_used == 10 * RECORD.itemsize
    os.close(fake.fd)


def test_the_watermark_waits_for_what_was_busy() -> None:
    """Records that follow a busy one may be older than the moment when they were seen."""
    fake = FakeRing()
    ring = Ring(fake.fd, fake.SIZE)
    fake.put(some_records(2), busy=1)
    chunk = ring.drain(0)
    seen = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    fake.commit(1)
    fake.put(some_records(3), busy=2)  # now a later record is busy
    later = ring.drain(0)
    assert chunk is not None
    assert later is not None
    assert len(later.records) == 3
    assert later.watermark <= seen
    os.close(fake.fd)


def test_the_ring_has_room_for_all_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert ring_bytes(32 << 10) == 128 << 20
    assert ring_bytes(1) == 1 << 16
    assert ring_bytes(1 << 30) == 1 << 30


# -- refusals ------------------------------------------------------------------------------------------------------


def test_a_refusal_says_its_errno_and_what_it_means() -> None:
    denied = refusal(OSError(errno.EPERM, "Operation not permitted", "load"))
    assert isinstance(denied, PermissionDenied)
    assert "EPERM" in denied.why
    assert "policy" in denied.why
    assert "--tier tracepoint" in denied.next_step
    assert isinstance(refusal(OSError(errno.EINVAL, "")), CapabilityError)


def possible(name: str, tier: str, problem: SwaptraceError | None = None) -> backends.Backend:
    return backends.Backend(name, tier, lambda: problem, lambda plan: None)  # type: ignore[arg-type, return-value]


def test_a_refused_tier_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    no = refusal(OSError(errno.EPERM, "", "load"))
    table = {b.name: b for b in (possible("bpf", "bpf", no), possible("tracefs", "tracepoint"))}
    monkeypatch.setattr(backends, "backends", lambda: table)
    chosen, notes = choose()
    assert chosen.name == "tracefs"
    assert len(notes) == 1
    assert "EPERM" in notes[0]
    with pytest.raises(PermissionDenied, match="refuses"):
        choose(tier="bpf")
    with pytest.raises(UsageError, match="not of the tier"):
        choose("tracefs", "bpf")
    with pytest.raises(UsageError, match="unknown tier"):
        choose(tier="bfp")


# -- symbols -------------------------------------------------------------------------------------------------------


def test_functions_have_ranges(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(
        "ffffffff81000000 T zs_free\nffffffff81000100 t zs_malloc\nffffffff81000200 T other\n"
        "ffffffff81000300 t zswap_load\nffffffff81000380 t zswap_store\nffffffff81000400 t end\n"
        "ffffffff80000000 t zs_malloc.cold\nffffffff90000000 t zs_init\nffffffff81000308 d zs_data\n"
    )
    text = KernelText.read(file)
    assert text.around("zs_*") == (0xFFFFFFFF81000000, 0xFFFFFFFF81000200)
    assert text.around("zram_*") == (0, 0)
    assert text.of("zswap_load") == (0xFFFFFFFF81000300, 0xFFFFFFFF81000380)
    assert text.of("gone") is None
    assert "other" in text
    ranges = text_ranges(text)
    assert ranges["zswap_start"] == struct.pack("=Q", 0xFFFFFFFF81000300)
    assert len(ranges["reasons"]) == 2 * 24


def test_hidden_symbols_are_none(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text("0000000000000000 T zs_free\n0000000000000000 t zswap_load\n")
    assert KernelText.read(file).around("zs_*") == (0, 0)


# -- source and object ---------------------------------------------------------------------------------------------


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


def test_what_one_chunk_holds_is_bounded() -> None:
    assert format_.MAX_CHUNK_RECORDS * RECORD.itemsize <= 8 << 20
