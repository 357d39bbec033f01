"""What ``swaptrace record`` says: the dry run, a command that fails, nothing swapped, no swap area, no rights."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from swaptrace.capture.tracefs import Instance, find_tracefs
from swaptrace.model.errors import CapabilityError
from swaptrace.model.events import Kind
from swaptrace.model.trace import Trace
from tests.live.recording import held_pages, rows_of, swap_a_little, swaptrace, work

pytestmark = pytest.mark.live


@pytest.mark.parametrize("half", ["perf", "ftrace"])
def test_the_dry_run_can_be_pasted(zram: Path, limited: Path, tmp_path: Path, half: str) -> None:
    printed = swaptrace("record", "--dry-run", "--cgroup", limited, "--", *work(tmp_path / "witness")).stdout
    lines = printed.splitlines()
    middle = lines.index("#")
    script = lines[:middle] if half == "perf" else lines[middle:]
    subprocess.run(["sh"], input="\n".join(script), text=True, check=True, cwd=tmp_path, capture_output=True)
    step = script[-1].split("swaptrace ", 1)[1].split()
    done = swaptrace(*step, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = rows_of(Trace(tmp_path / "swap.parquet"))
    assert np.isin(held_pages(tmp_path / "witness")[:, 2], rows["slot"][rows["kind"] == Kind.SWAP_OUT]).all()


def test_a_refused_setting_leaves_no_instance() -> None:
    with pytest.raises(CapabilityError, match="no-such-clock"), Instance(find_tracefs()) as instance:
        instance.write("trace_clock", "no-such-clock")
    assert not instance.path.exists()


def test_a_failing_command_is_shown_and_the_trace_kept(zram: Path, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--tier", "tracepoint", "--", *swap_a_little("exit 7"))
    assert done.returncode == 0
    assert "the command ended with status 7" in done.stdout
    assert "swaptrace info" in done.stdout
    assert Trace(tmp_path / "t.parquet").meta.notes


def test_an_idle_recording_says_so(zram: Path, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--tier", "tracepoint", "--", "true")
    assert done.returncode == 3
    assert "nothing was swapped" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_swap_there_is_a_next_step(machine: None, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--tier", "tracepoint", "--", "true")
    assert done.returncode == 4
    assert "no swap area is enabled" in done.stderr
    assert "swapon" in done.stderr
    assert list(tmp_path.iterdir()) == []


NOBODY = """
import contextlib, os, sys
import swaptrace.capture.bpf.recorder, swaptrace.capture.bpf.refusal
import swaptrace.capture.perf, swaptrace.capture.raw, swaptrace.capture.session
from swaptrace.cli.main import app, run
with contextlib.suppress(SystemExit):  # all imports first: nobody may not be able to read this Python
    app(["record", "-o", sys.argv[3], "--", "no-such-program"])
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
run()
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backend", "tracefs"], ["/sys/kernel/tracing", "--dry-run"]),
        (["--tier", "bpf"], ["EPERM", "CAP_BPF", "--tier tracepoint"]),
        ([], ["/sys/kernel/tracing", "--dry-run"]),
    ],
)
def test_without_rights_the_refusal_is_named(zram: Path, options: list[str], said: list[str]) -> None:
    out = Path(tempfile.gettempdir()) / f"swaptrace-{os.getpid()}.parquet"
    line = [sys.executable, "-c", NOBODY, "record", "-o", str(out), *options, "--", "true"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert [word for word in said if word not in done.stderr] == []
    assert not out.exists()
