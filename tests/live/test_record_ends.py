"""Recordings that end in another way: Ctrl-C, a killed recorder, a full disk, lost events."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace
from tests.live.recording import recorder, rows_of, swap_a_little, swapped_out, swaptrace, wait_until, work

pytestmark = pytest.mark.live


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_ctrl_c_keeps_what_was_recorded(zram: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / "t.parquet"
    with recorder("-o", out, "--backend", backend, "--", *swap_a_little("exec sleep 60")) as process:
        wait_until(lambda: "sleep" in children(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert Trace(out).meta.interrupted
    assert (rows_of(Trace(out))["kind"] == Kind.SWAP_OUT).any()


def test_an_open_recording_ends_well_with_ctrl_c(zram: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with recorder("-o", out, "--tier", "tracepoint") as process:
        wait_until(lambda: is_tracing(process.pid))
        subprocess.run(swap_a_little("true"), check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not Trace(out).meta.interrupted


def children(parent: int) -> list[str]:
    """Return the names of the programs that ``parent`` runs."""
    pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def is_tracing(pid: int) -> bool:
    """Whether the recorder ``pid`` records: its events are on (a new instance is on, too, but without events)."""
    for instance in Path("/sys/kernel/tracing/instances").glob(f"swaptrace-{pid}-*"):
        switches = [instance / "events/block/block_bio_queue/enable", instance / "tracing_on"]
        return all(switch.exists() and switch.read_text().strip() == "1" for switch in switches)
    return False


@pytest.mark.parametrize("backend", ["bpf", "tracefs", "perf"])
def test_a_killed_recorder_is_recovered_and_cleaned_up(zram: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / "killed.parquet"
    with recorder("-o", out, "--backend", backend) as process:
        wait_until(lambda: is_recording(tmp_path))
        (raw,) = tmp_path.glob(".killed.parquet.*.raw")
        refused = swaptrace("record", "--recover", raw, "-o", out)
        assert refused.returncode == 2
        assert "still being recorded" in refused.stderr
        before = swapped_out()
        subprocess.run(swap_a_little("true"), check=True)
        swapped = swapped_out() - before
        assert swapped >= 256
        time.sleep(0.5)  # the reader looks every 50 ms
        process.kill()
        process.wait()
    wait_until(lambda: "perf" not in running_in(raw))  # it ends with us
    stale = list(Path("/sys/kernel/tracing/instances").glob(f"swaptrace-{process.pid}-*"))
    assert len(stale) == (backend == "tracefs")
    done = swaptrace("record", "-o", tmp_path / "next.parquet", "--tier", "tracepoint", "--", *swap_a_little("true"))
    assert done.returncode == 0, done.stderr
    assert not any(instance.exists() for instance in stale)
    command = next(text for text in done.stderr.splitlines() if "was not finished" in text).split("swaptrace ", 1)[1]
    done = swaptrace(*command.split())
    assert done.returncode == 0, done.stderr
    trace = Trace(out)
    assert trace.meta.interrupted
    assert trace.meta.recorder == backend
    assert trace.meta.filters
    rows = rows_of(trace)
    kept = int(((rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)).sum())
    # What the last, partly filled page of each processor held is lost; a page holds less than a hundred events.
    assert swapped - 100 * (os.cpu_count() or 1) < kept <= swapped
    left = [path.name for path in tmp_path.iterdir() if path.name.count(".") == 1]
    assert sorted(left) == ["killed.parquet", "next.parquet"]


def is_recording(folder: Path) -> bool:
    """Whether a recorder in ``folder`` has begun: its meta.json is the sign."""
    return any(folder.glob(".*.raw/meta.json"))


def running_in(raw: Path) -> list[str]:
    """Return the names of the programs that name ``raw`` on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(raw) in (process / "cmdline").read_text():
                found.append((process / "comm").read_text().strip())
    return found


@pytest.mark.parametrize("backend", ["bpf", "tracefs", "perf"])
def test_a_full_disk_ends_the_recording_and_keeps_it(
    zram: Path, limited: Path, small_disk: Path, tmp_path: Path, backend: str
) -> None:
    out = small_disk / "t.parquet"
    forever = f"while :; do {' '.join(map(str, work(tmp_path / 'witness')))}; done"
    wish = ["--owner", "--backend", backend, "--buffer", "1M"]
    done = swaptrace("record", "-o", out, *wish, "--cgroup", limited, "--", "sh", "-c", forever)
    assert done.returncode == 5, done.stderr
    assert "the recording stopped" in done.stderr
    assert "No space left on device" in done.stderr
    (raw,) = small_disk.iterdir()
    assert f"--recover {raw}" in done.stderr
    again = swaptrace("record", "--recover", raw, "-o", out)  # still no room
    if again.returncode != 0:
        assert again.returncode == 5, again.stderr
        assert list(small_disk.iterdir()) == [raw]
        elsewhere = tmp_path / "t.parquet"
        again = swaptrace("record", "--recover", raw, "-o", elsewhere)
        assert again.returncode == 0, again.stderr
        out = elsewhere
    trace = Trace(out)
    assert trace.meta.interrupted
    assert any("No space left" in note for note in trace.meta.notes)
    # perf writes all of a buffer at once, and ends with the first write that does not fit.
    assert int((rows_of(trace)["slot"] > 0).sum()) > (0 if backend == "perf" else 1000)
    assert not raw.exists()


def test_loss_is_counted_and_shown(zram: Path, limited: Path, tmp_path: Path) -> None:
    few = ["--tier", "tracepoint", "--buffer", "4K"]
    done = swaptrace(
        "record", "-o", tmp_path / "t.parquet", *few, "--cgroup", limited, "--", *work(tmp_path / "witness")
    )
    assert done.returncode == 0, done.stderr
    trace = Trace(tmp_path / "t.parquet")
    assert trace.meta.lost_total > 0
    assert "larger --buffer" in done.stdout
