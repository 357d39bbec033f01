"""The dry run: the lines that are printed are shell, and the specs of swap areas survive the way through it."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.capture.device_spec import format_device, parse_device
from swaptrace.capture.dryrun import perf_script, tracefs_script
from swaptrace.capture.probes import Tracepoint
from swaptrace.capture.workload import Job
from swaptrace.model.errors import UsageError
from swaptrace.model.meta import SwapDevice

EVENTS = [Tracepoint("block", "block_bio_queue", "dev == 7 || dev == 9"), Tracepoint("sched", "sched_process_exit")]


def test_perf_gets_every_event_with_its_filter() -> None:
    line, chmod = perf_script(EVENTS, "out file", 4096, Job(["make", "all targets"], 5))
    words = shlex.split(line)
    assert chmod == "chmod a+r 'out file'"
    at = words.index("block:block_bio_queue")
    assert words[at - 1 : at + 3] == ["-e", "block:block_bio_queue", "--filter", "dev == 7 || dev == 9"]
    assert words[-5:] == ["--", "timeout", "5", "make", "all targets"]
    assert words[words.index("-o") + 1] == "out file"


def test_without_a_command_it_takes_some_seconds() -> None:
    assert shlex.split(perf_script(EVENTS, "out", 4096, Job())[0])[-2:] == ["sleep", "30"]


def test_the_shell_lines_are_shell() -> None:
    lines = tracefs_script(EVENTS, "out file", 4096, Job(["sh", "-c", "echo $HOME"]))
    assert "echo 'dev == 7 || dev == 9' > $T/events/block/block_bio_queue/filter" in lines
    subprocess.run(["sh", "-n"], input="\n".join(lines), text=True, check=True)


@given(
    st.integers(0, 4095),
    st.integers(0, (1 << 20) - 1),
    st.integers(0, 1 << 40),
    st.lists(st.tuples(*[st.integers(0, 1 << 40)] * 3), max_size=3),
)
def test_specs_come_back(major: int, minor: int, start: int, extents: list[tuple[int, int, int]]) -> None:
    device = SwapDevice(2, major << 20 | minor, start_sector=start, extents=tuple(extents))
    back = parse_device(format_device(device), 2)
    assert (back.swap_type, back.dev, back.start_sector, back.extents) == (2, device.dev, start, device.extents)


@pytest.mark.parametrize("spec", ["", "253", "zram0", "253,0@1:2", "253,0+", "253,0 254,0"])
def test_what_is_no_spec_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="no swap area"):
        parse_device(spec, 0)
