"""tracefs without a kernel: a directory tree stands for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swaptrace.capture.host import start_time
from swaptrace.capture.tasks import TaskNames
from swaptrace.capture.tracefs import Instance, find_tracefs, page_bytes, remove_stale
from swaptrace.model.errors import PermissionDenied

HEADER_PAGE = """\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;
"""


def test_the_mount_is_found(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\nnodev /somewhere/tracing tracefs rw 0 0\n")
    assert find_tracefs(mounts) == Path("/somewhere/tracing")


def test_a_page_ends_with_its_data(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events/header_page").write_text(HEADER_PAGE)
    assert page_bytes(tmp_path) == 4096


def test_only_instances_of_dead_recorders_are_removed(tmp_path: Path) -> None:
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    mine = start_time(os.getpid())
    assert mine is not None
    gone, reused = f"swaptrace-{pid_max + 1}-7", f"swaptrace-{os.getpid()}-{mine - 1}"
    for name in (gone, reused, f"swaptrace-{os.getpid()}-{mine}", "swaptrace-by-hand", "somebody-else"):
        (tmp_path / "instances" / name).mkdir(parents=True)
    assert sorted(remove_stale(tmp_path)) == sorted([gone, reused])
    assert len(list((tmp_path / "instances").iterdir())) == 3


def test_a_missing_right_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionDenied, match="instances/swaptrace-") as caught, Instance(tmp_path):
        pass
    assert "dry-run" in caught.value.next_step


def test_names_come_from_the_kernels_cache_and_from_proc(tmp_path: Path) -> None:
    odd = b"99999997 any\xffbyte\r\n99999998 a\nline\n"
    (tmp_path / "saved_cmdlines").write_bytes(b"12 kworker/0:1-mm\n" + odd + b"99999999 a b\n")
    (tmp_path / "saved_tgids").write_text("99999999 33\n")
    names = TaskNames()
    names.add_saved(tmp_path)
    names.scan()
    names.save(tmp_path)
    comms = (tmp_path / "saved_cmdlines").read_text().splitlines()
    assert {"99999997 any\ufffdbyte", "99999998 a", "99999999 a b"} <= set(comms)
    assert f"{os.getpid()} {Path('/proc/self/comm').read_text().strip()}" in comms
    assert f"{os.getpid()} {os.getpid()}" in (tmp_path / "saved_tgids").read_text().splitlines()


def test_a_name_from_proc_stays_one_line(tmp_path: Path) -> None:
    task = tmp_path / "proc" / "7" / "task" / "8"
    task.mkdir(parents=True)
    (task / "comm").write_bytes(b"two\nlines\xc3\n")
    names = TaskNames()
    names.scan(tmp_path / "proc")
    names.save(tmp_path)
    assert (tmp_path / "saved_cmdlines").read_text() == "8 two?lines\ufffd\n"
