"""The recorder of the BPF tier: what it loses, what it leaves when it is killed, and what the kernel lets it do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swaptrace.capture.bpf.libbpf import BpfObject
from swaptrace.capture.bpf.programs import OBJECT
from swaptrace.capture.bpf.refusal import features
from swaptrace.ingest.bpf.records import RECORD, RECORDS
from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace
from tests.live.bpf_tier import recorded
from tests.live.recording import PAGES, count, rows_of, swaptrace

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("bpf")]


def test_loss_is_counted_exactly(zram: Path, limited: Path, tmp_path: Path) -> None:
    stopped = [sys.executable, "-c", STORM, str(PAGES)]
    trace, rows = recorded(tmp_path, limited, stopped, "--buffer", "4K")
    delta = {name: trace.meta.vmstat_after[name] - before for name, before in trace.meta.vmstat_before.items()}
    lost = trace.meta.lost
    assert lost.get("bpf.out", 0) > 0
    assert int((rows["kind"] == Kind.SWAP_OUT).sum()) + lost["bpf.out"] == delta["pswpout"] + delta["swpout_zero"]
    marks = rows["kind"] == Kind.LOST
    assert int(rows["csize"][marks].sum()) <= trace.meta.lost_total


STORM = """
import mmap, os, signal, sys
pages = int(sys.argv[1])
m = mmap.mmap(-1, pages * 4096, flags=34)
m.madvise(15)
m[:] = os.urandom(2048) * (2 * pages)
os.kill(os.getppid(), signal.SIGSTOP)  # the recorder cannot drain
m.madvise(21)
os.kill(os.getppid(), signal.SIGCONT)
"""


def test_a_killed_recorder_leaves_what_it_wrote(zram: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "t.parquet"
    out.parent.mkdir()
    code = "import mmap, os, time; m = mmap.mmap(-1, 1 << 24, flags=34); m[:] = os.urandom(1 << 24); m.madvise(21)"
    command = [sys.executable, "-c", f"{code}; time.sleep(60)"]
    process = subprocess.Popen(
        [sys.executable, "-m", "swaptrace", "record", "-o", out, "--tier", "bpf", "--", *command]
    )
    try:
        deadline = time.monotonic() + 60  # of a busy machine
        while not (sizes := [p.stat().st_size for p in out.parent.glob(f".*/{RECORDS}")]) or sizes[0] < 4096 * 96:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # the places of the swap types are written once a second
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for pid in children:
        subprocess.run(["kill", "-9", pid], check=False)
    (raw,) = out.parent.glob(f".*/{RECORDS}")
    with raw.open("ab") as file:  # a chunk that was being written
        file.write(raw.read_bytes()[: 64 + 5 * RECORD.itemsize - 1])
    done = swaptrace("record", "--recover", raw.parent, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "no whole chunk" in done.stdout
    assert Trace(out).meta.interrupted
    assert not raw.parent.exists()
    rows = rows_of(Trace(out))
    assert count(rows, Kind.SWAP_OUT, Backend.DISK) >= 4096 - 64
    assert (rows["dev"][rows["slot"] >= 0] > 0).all()


def test_the_layout_of_a_record_is_that_of_the_object() -> None:
    with BpfObject(OBJECT) as program:
        members = program.members("record")
    ours = {name: where[1] - 8 for name, where in (RECORD.fields or {}).items() if name != "ring"}
    assert members == ours


def test_features_are_told_one_by_one() -> None:
    found = {feature.name: feature for feature in features()}
    assert found["load"].works
    assert found["content and faults"].works
    for feature in found.values():
        assert feature.works or feature.reason


def test_contents_and_faults_need_no_tracefs() -> None:
    """In a mount namespace where nobody has mounted it."""
    say = "from swaptrace.capture.bpf.refusal import features; print({f.name: f.works for f in features()})"
    line = f"umount -a -t tracefs,debugfs && ! test -d /sys/kernel/tracing/events && {sys.executable} -c '{say}'"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", line], capture_output=True, text=True, check=False)
    assert "'content and faults': True" in done.stdout, done.stderr
