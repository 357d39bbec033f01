"""The files of a BPF recording: chunks come back as written, damage is found, the description is whole."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swaptrace.ingest.bpf import records as format_
from swaptrace.ingest.bpf.records import INFO, RECORD, RECORDS, RawInfo, read_chunks, read_info, write_info
from swaptrace.ingest.convert import convert
from swaptrace.model.errors import InputError
from swaptrace.model.meta import HashInfo
from tests.unit.bpf_raw import raw_folder, some_records


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


def test_what_one_chunk_holds_is_bounded() -> None:
    assert format_.MAX_CHUNK_RECORDS * RECORD.itemsize <= 8 << 20
