"""The command under test: its ends, Ctrl-C, time limits, and cgroups."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from swaptrace.capture import workload
from swaptrace.capture.workload import Cgroup, Ending, Job, StopSignals, find_cgroup, plan_job, run
from swaptrace.model.errors import SwaptraceError, UsageError


def nothing() -> None:
    """A recorder that is well."""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_of_the_command(status: int) -> None:
    with StopSignals() as stop:
        assert run(Job(python(f"raise SystemExit({status})")), stop, nothing) == Ending(status)


def test_a_duration_alone_just_waits() -> None:
    began = time.monotonic()
    with StopSignals() as stop:
        assert run(Job((), 0.2), stop, nothing) == Ending()
    assert time.monotonic() - began >= 0.2


def test_a_duration_cuts_the_command() -> None:
    began = time.monotonic()
    with StopSignals() as stop:
        ending = run(Job(["sleep", "60"], 0.2), stop, nothing)
    assert ending == Ending(-signal.SIGTERM)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("command", "duration", "interrupted"),
    [(["sleep", "60"], None, True), ([], 60.0, True), ([], None, False)],
)
def test_ctrl_c(command: list[str], duration: float | None, interrupted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "_GRACE_S", 0.1)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with StopSignals() as stop:
        ending = run(Job(command, duration), stop, nothing)
    timer.join()
    assert ending.interrupted is interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failed_recorder_ends_the_command() -> None:
    def fail() -> None:
        raise SwaptraceError("the disk is full")

    began = time.monotonic()
    with StopSignals() as stop, pytest.raises(SwaptraceError, match="full"):
        run(Job(["sleep", "60"]), stop, fail)
    assert time.monotonic() - began < 10


def test_an_unknown_command_is_found_before_anything_is_recorded() -> None:
    with pytest.raises(UsageError, match="no-such-program"):
        plan_job(["no-such-program"], None, None)


@pytest.mark.parametrize(
    ("first_line", "hint"), [("echo no interpreter is named", "must begin with #!"), ("#!/no/such/shell", "is missing")]
)
def test_a_command_that_the_kernel_cannot_run_is_explained(tmp_path: Path, first_line: str, hint: str) -> None:
    script = tmp_path / "script"
    script.write_text(f"{first_line}\n")
    script.chmod(0o755)
    with StopSignals() as stop, pytest.raises(UsageError, match="cannot be run") as caught:
        run(plan_job([str(script)], None, None), stop, nothing)
    assert hint in caught.value.next_step


def test_the_command_enters_its_cgroup(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    with StopSignals() as stop:
        ending = run(Job(["true"], None, Cgroup(tmp_path, 1)), stop, nothing)
    assert ending.status == 0
    assert int((tmp_path / "cgroup.procs").read_text()) > 0


def test_cgroups_are_found_by_directory_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "memory/jobs/one"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"cgroup {tmp_path}/cpu cgroup rw,cpu 0 0\ncgroup {tmp_path}/memory cgroup rw,memory 0 0\n")
    monkeypatch.setattr(workload, "_MOUNTS", mounts)
    assert find_cgroup("jobs/one") == find_cgroup("/jobs/one") == find_cgroup(str(group))
    assert find_cgroup("jobs/one").inode == group.stat().st_ino
    with pytest.raises(UsageError, match="jobs/two"):
        find_cgroup("jobs/two")


def test_a_cgroup_without_a_command_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a command"):
        plan_job([], 1.0, "jobs")


def test_under_nohup_a_hangup_does_not_end_the_recording() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            requested = []
            for number in (signal.SIGHUP, signal.SIGTERM):
                os.kill(os.getpid(), number)
                requested.append(stop.requested)
            assert requested == [False, True]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
