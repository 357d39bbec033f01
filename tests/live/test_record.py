"""Record real swapping; compare with independent witnesses: /proc/vmstat, and the pagemap of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.capture.tracefs import Instance, find_tracefs
from swaptrace.model.errors import CapabilityError
from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace

pytestmark = pytest.mark.live
WORKLOAD = Path(__file__).parent / "workload.py"
COLUMNS = ("ts", "kind", "backend", "swap_type", "slot", "va", "owner_tgid", "memcg", "order")
PAGES = 24 << 8  # 24 MiB of every test; with the interpreter and the cgroup of 64 MiB all of it can be paged out


def swaptrace(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    if words[0] == "record" and "--backend" not in words:  # tests/live/test_bpf.py is about the other tier
        words = ("record", "--tier", "tracepoint", *words[1:])
    return subprocess.run(
        [sys.executable, "-m", "swaptrace", *words], capture_output=True, text=True, cwd=cwd, check=False
    )


def work(witness: Path, *, pages: int = PAGES, mode: str = "small") -> list[str | Path]:
    return ["--", sys.executable, WORKLOAD, str(pages), mode, witness]


def swap_a_little(then: str) -> list[str]:
    """A command that swaps 1 MiB out, and goes on as the shell command ``then``."""
    code = "import mmap, os; m = mmap.mmap(-1, 1 << 20, flags=34); m[:] = os.urandom(1 << 20); m.madvise(21)"
    return ["sh", "-c", f"{sys.executable} -c '{code}'; {then}"]


def recorded(out: Path, *words: str | Path) -> Trace:
    done = swaptrace("record", "-o", out, *words)
    assert done.returncode == 0, done.stderr
    assert "the command ended with" not in done.stdout
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []  # no raw recording left
    return Trace(out)


def columns(trace: Trace) -> dict[str, NDArray[Any]]:
    batches = list(trace.batches(COLUMNS))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in COLUMNS}


def assert_counts(trace: Trace) -> dict[str, NDArray[Any]]:
    """The rows are the kernel's own counts of the same time, exactly: nothing was lost."""
    rows = columns(trace)
    delta = {name: trace.meta.vmstat_after[name] - count for name, count in trace.meta.vmstat_before.items()}
    assert trace.meta.lost_total == 0

    def count(kind: Kind, backend: Backend) -> int:
        return int(((rows["kind"] == kind) & (rows["backend"] == backend)).sum())

    found = {
        "pswpout": count(Kind.SWAP_OUT, Backend.DISK) + count(Kind.WRITEBACK, Backend.DISK),
        "pswpin": count(Kind.SWAP_IN, Backend.DISK),
        "swpout_zero": count(Kind.SWAP_OUT, Backend.ZERO),
        "swpin_zero": count(Kind.SWAP_IN, Backend.ZERO),
        "zswpout": count(Kind.SWAP_OUT, Backend.ZSWAP),
        "zswpin": count(Kind.SWAP_IN, Backend.ZSWAP),
        "zswpwb": count(Kind.WRITEBACK, Backend.DISK),
    }
    assert found == {name: delta[name] for name in found}
    assert found["swpout_zero"] > 0
    assert found["swpin_zero"] > 0
    assert found["pswpout"] + found["zswpout"] > PAGES // 2
    assert found["pswpin"] + found["zswpin"] > PAGES // 2
    return rows


def pagemap(witness: Path) -> NDArray[np.int64]:
    """Rows ``address, type, slot, zero`` of the pages that were swapped out at the end of the workload."""
    pages = np.loadtxt(witness, np.int64, ndmin=2)
    assert len(pages) > PAGES // 2
    return pages


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_zram_counts_and_slots(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    trace = recorded(
        tmp_path / "t.parquet",
        "--backend",
        backend,
        "--cgroup",
        limited,
        *work(tmp_path / "witness", pages=96 << 8),
    )
    rows = assert_counts(trace)
    assert trace.meta.recorder == backend
    assert [device.kind for device in trace.meta.devices] == ["zram"]
    assert limited.stat().st_ino in set(rows["memcg"].tolist())
    # Each slot that holds a page now was written, and what was written last there was a swap-out.
    held = pagemap(tmp_path / "witness")
    held = held[held[:, 3] == 0]
    out = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)
    assert np.isin(held[:, 2], rows["slot"][out]).all()
    assert set(held[:, 1].tolist()) == set(rows["swap_type"][out].tolist()) == {0}


def test_owner_and_slot_of_every_page(zram: Path, limited: Path, tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.parquet", "--owner", "--cgroup", limited, *work(tmp_path / "witness"))
    rows = assert_counts(trace)
    out = np.flatnonzero((rows["kind"] == Kind.SWAP_OUT) & (rows["slot"] >= 0) & (rows["va"] >= 0))
    last = dict(zip(rows["va"][out].tolist(), rows["slot"][out].tolist(), strict=True))  # the last swap-out wins
    held = pagemap(tmp_path / "witness")
    wrong = known = 0
    for address, _, slot, zero in held[held[:, 3] == 0].tolist():
        assert not zero
        known += address in last
        wrong += last.get(address, slot) != slot
    assert wrong == 0
    assert known > 0.9 * len(held[held[:, 3] == 0])


def test_huge_pages(zram: Path, limited: Path, tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness", mode="huge"))
    rows = assert_counts(trace)
    assert (rows["order"] > 0).any()


def test_fragmented_swap_file_on_a_partition(swap_file: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    trace = recorded(out / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness"))
    rows = assert_counts(trace)
    device = trace.meta.devices[0]
    assert device.kind == "file"
    assert len(device.extents) > 3
    assert sum(pages for _, _, pages in device.extents) == device.pages
    held = pagemap(tmp_path / "witness")
    held = held[held[:, 3] == 0]
    written = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)
    assert np.isin(held[:, 2], rows["slot"][written]).all()


def test_two_areas_have_their_types(zram: Path, swap_file: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    trace = recorded(out / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness", pages=96 << 8))
    rows = assert_counts(trace)
    held = pagemap(tmp_path / "witness")
    held = held[held[:, 3] == 0]
    written = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)
    key = rows["swap_type"][written].astype(np.int64) << 40 | rows["slot"][written]
    assert set(held[:, 1].tolist()) == {0, 1}
    assert np.isin(held[:, 1] << 40 | held[:, 2], key).all()


def test_zswap(swap_file: Path, zswap: None, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    trace = recorded(out / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness", mode="squeeze"))
    rows = assert_counts(trace)
    assert (rows["backend"] == Backend.ZSWAP).any()
    assert (rows["kind"] == Kind.WRITEBACK).any()


@pytest.mark.parametrize("half", ["perf", "ftrace"])
def test_the_dry_run_can_be_pasted(zram: Path, limited: Path, tmp_path: Path, half: str) -> None:
    printed = swaptrace("record", "--dry-run", "--cgroup", limited, *work(tmp_path / "witness")).stdout
    lines = printed.splitlines()
    middle = lines.index("#")
    script = lines[:middle] if half == "perf" else lines[middle:]
    subprocess.run(["sh"], input="\n".join(script), text=True, check=True, cwd=tmp_path, capture_output=True)
    step = script[-1].split("swaptrace ", 1)[1].split()
    done = swaptrace(*step, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = columns(Trace(tmp_path / "swap.parquet"))
    held = pagemap(tmp_path / "witness")
    held = held[held[:, 3] == 0]
    assert np.isin(held[:, 2], rows["slot"][rows["kind"] == Kind.SWAP_OUT]).all()


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_ctrl_c_keeps_what_was_recorded(zram: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / "t.parquet"
    command = [sys.executable, "-m", "swaptrace", "record", "-o", str(out), "--backend", backend, "--"]
    process = subprocess.Popen([*command, *swap_a_little("exec sleep 60")], stdout=subprocess.DEVNULL)
    wait_until(lambda: "sleep" in children(process.pid))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert Trace(out).meta.interrupted
    assert (columns(Trace(out))["kind"] == Kind.SWAP_OUT).any()


def test_an_open_recording_ends_well_with_ctrl_c(zram: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    process = subprocess.Popen(
        [sys.executable, "-m", "swaptrace", "record", "--tier", "tracepoint", "-o", out], stdout=subprocess.DEVNULL
    )
    wait_until(lambda: is_tracing(process.pid))
    subprocess.run(swap_a_little("true"), check=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not Trace(out).meta.interrupted


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the recorder did not start")


def children(parent: int) -> list[str]:
    """Return the names of the programs that ``parent`` runs."""
    pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def is_tracing(pid: int) -> bool:
    """Whether the recorder ``pid`` records: its events are on (a new instance is on, too, but without events)."""
    instance = Path(f"/sys/kernel/tracing/instances/swaptrace-{pid}")
    switches = [instance / "events/block/block_bio_queue/enable", instance / "tracing_on"]
    return all(switch.exists() and switch.read_text().strip() == "1" for switch in switches)


def test_a_killed_recorder_is_cleaned_up_by_the_next_one(zram: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "swaptrace", "record", "--tier", "tracepoint", "-o", tmp_path / "killed.parquet"],
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: is_tracing(process.pid))
    process.kill()
    process.wait()
    stale = Path(f"/sys/kernel/tracing/instances/swaptrace-{process.pid}")
    assert stale.exists()
    done = swaptrace("record", "-o", tmp_path / "next.parquet", "--", *swap_a_little("true"))
    assert done.returncode == 0, done.stderr
    assert not stale.exists()


def test_a_refused_setting_leaves_no_instance() -> None:
    with pytest.raises(CapabilityError, match="no-such-clock"), Instance(find_tracefs()) as instance:
        instance.write("trace_clock", "no-such-clock")
    assert not instance.path.exists()


def test_a_failing_command_is_shown_and_the_trace_kept(zram: Path, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--", *swap_a_little("exit 7"))
    assert done.returncode == 0
    assert "the command ended with status 7" in done.stdout
    assert "swaptrace info" in done.stdout
    assert Trace(tmp_path / "t.parquet").meta.notes


def test_loss_is_counted_and_shown(zram: Path, limited: Path, tmp_path: Path) -> None:
    done = swaptrace(
        "record",
        "-o",
        tmp_path / "t.parquet",
        "--buffer",
        "4K",
        "--cgroup",
        limited,
        *work(tmp_path / "witness"),
    )
    assert done.returncode == 0, done.stderr
    trace = Trace(tmp_path / "t.parquet")
    assert trace.meta.lost_total > 0
    assert "larger --buffer" in done.stdout


def test_an_idle_recording_says_so(zram: Path, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--", "true")
    assert done.returncode == 3
    assert "nothing was swapped" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_swap_there_is_a_next_step(machine: None, tmp_path: Path) -> None:
    done = swaptrace("record", "-o", tmp_path / "t.parquet", "--", "true")
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
