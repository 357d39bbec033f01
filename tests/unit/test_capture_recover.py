"""What a recorder that was killed left: recovered up to its last whole page, wherever it was cut."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from swaptrace.capture.host import boot_id, start_time
from swaptrace.capture.recover import recover
from swaptrace.capture.scratch import Scratch, abandoned, open_scratch
from swaptrace.ingest.convert import convert
from swaptrace.model.errors import InputError, UsageError, WriteError
from swaptrace.model.meta import SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from tests.shared import shared

PAGE = 4096
ZRAM = SwapDevice(0, 253 << 20, "/dev/zram0", "zram", 1 << 19)
COLUMNS = ("ts", "kind", "tid", "slot", "pfn", "va")


def killed(folder: Path) -> Scratch:
    """A raw directory whose recorder is gone, with the ring-buffer pages of a real recording."""
    scratch = Scratch.make(folder / "t.parquet")
    for file in shared("data/samples").glob("format.*"):
        shutil.copyfile(file, scratch.path / file.name)
    shutil.copyfile(shared("data/samples/header_page.txt"), scratch.path / "header_page")
    shutil.copyfile(shared("data/samples/raw.cpu1"), scratch.path / "raw.cpu1")
    (scratch.path / "raw.cpu0").write_bytes(b"")
    scratch = dataclasses.replace(scratch, pid=1 << 30)
    return scratch.save("running", TraceMeta(recorder="tracefs", boot_id=boot_id(), devices=(ZRAM,)), scratch.path)


def rows(path: Path) -> dict[str, list[Any]]:
    batches = list(Trace(path).batches(COLUMNS))
    return {name: np.concatenate([batch[name] for batch in batches]).tolist() for name in COLUMNS}


@pytest.mark.parametrize("cut", [1, 17, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 5, 5 * PAGE])
def test_cut_anywhere_it_gives_the_whole_pages(cut: int, tmp_path: Path) -> None:
    scratch = killed(tmp_path)
    raw = scratch.path / "raw.cpu1"
    os.truncate(raw, raw.stat().st_size - cut)
    over = raw.stat().st_size % PAGE
    whole = tmp_path / "whole"
    shutil.copytree(scratch.path, whole)
    os.truncate(whole / "raw.cpu1", raw.stat().st_size - over)
    convert([whole], tmp_path / "expected.parquet", base=scratch.meta)
    meta = recover(scratch.path, tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet") == rows(tmp_path / "expected.parquet")
    assert meta.interrupted
    assert any("was killed" in note for note in meta.notes)
    assert meta.skipped.get("bytes of a ring-buffer page that was not written whole", 0) == over
    assert not scratch.path.exists()


def test_a_later_cut_adds_rows_at_the_end_only(tmp_path: Path) -> None:
    before: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    size = shared("data/samples/raw.cpu1").stat().st_size
    for kept in range(3 * PAGE, size + 1, PAGE + 1000):
        scratch = killed(tmp_path)
        os.truncate(scratch.path / "raw.cpu1", kept)
        recover(scratch.path, tmp_path / "t.parquet")
        now = rows(tmp_path / "t.parquet")
        # The last bio may have been taken for a writeback, as its event was cut off.
        same = max(len(before["ts"]) - 1, 0)
        assert all(now[name][:same] == before[name][:same] for name in COLUMNS)
        assert len(now["ts"]) >= same
        before = now
    assert len(before["ts"]) > 250


def test_without_a_whole_page_the_directory_stays(tmp_path: Path) -> None:
    scratch = killed(tmp_path)
    os.truncate(scratch.path / "raw.cpu1", PAGE - 1)
    with pytest.raises(InputError, match="holds no") as caught:
        recover(scratch.path, tmp_path / "t.parquet")
    assert str(scratch.path) in caught.value.next_step
    assert scratch.path.exists()
    assert not (tmp_path / "t.parquet").exists()


def test_a_running_recorder_is_left_alone(tmp_path: Path) -> None:
    scratch = dataclasses.replace(killed(tmp_path), pid=os.getpid(), start_time=start_time(os.getpid()) or 0)
    for state in ("running", "converting"):
        scratch.save(state)
        with pytest.raises(UsageError, match="still being recorded"):
            recover(scratch.path, tmp_path / "t.parquet")
        assert abandoned(tmp_path) == []
    # The same number, but another process, or another boot: the recorder is gone.
    dataclasses.replace(scratch, start_time=scratch.start_time + 1).save("running")
    assert [left.path for left in abandoned(tmp_path)] == [scratch.path]
    scratch.save("running", dataclasses.replace(scratch.meta, boot_id="another"))
    assert [left.path for left in abandoned(tmp_path)] == [scratch.path]


@pytest.mark.parametrize("text", ["", "{}", '{"recording": 3}', "[]", "\0", '{"recording": {"state": []}}'])
def test_a_damaged_meta_says_how_to_go_on(text: str, tmp_path: Path) -> None:
    scratch = killed(tmp_path)
    (scratch.path / "meta.json").write_text(text)
    with pytest.raises(InputError, match="cannot be recovered"):
        recover(scratch.path, tmp_path / "t.parquet")
    assert abandoned(tmp_path) == []


def test_what_is_no_raw_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no raw recording"):
        recover(tmp_path / "nothing", tmp_path / "t.parquet")


def test_a_copy_with_another_name_is_the_users(tmp_path: Path) -> None:
    scratch = killed(tmp_path)
    copy = tmp_path / "copy"
    scratch.path.rename(copy)
    recover(copy, tmp_path / "t.parquet")
    assert copy.exists()
    assert open_scratch(copy).path == copy


def test_half_a_trace_of_a_killed_conversion_goes(tmp_path: Path) -> None:
    scratch = killed(tmp_path)
    half, other = tmp_path / f".t.parquet.{1 << 30}.tmp", tmp_path / f".t.parquet.{os.getpid()}.tmp"
    half.write_bytes(b"")
    other.write_bytes(b"")
    recover(scratch.path, tmp_path / "u.parquet")
    assert half.exists()  # of another trace
    recover(killed(tmp_path).path, tmp_path / "t.parquet")
    assert not half.exists()


@pytest.mark.parametrize("method", ["write_table", "close"])
def test_no_room_for_the_trace_leaves_the_raw_directory_alone(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    scratch = killed(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, method, full)
        with pytest.raises(WriteError, match="could not be written") as caught:
            recover(scratch.path, tmp_path / "t.parquet")
    assert "No space left" in caught.value.why
    assert "--recover" in caught.value.next_step
    assert list(tmp_path.iterdir()) == [scratch.path]
    assert recover(scratch.path, tmp_path / "t.parquet").rows == 314
