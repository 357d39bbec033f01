"""Record real swapping; compare with independent witnesses: /proc/vmstat, and the pagemap of the process."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from swaptrace.capture.tracefs import Instance, find_tracefs
from swaptrace.model.errors import CapabilityError
from swaptrace.model.events import Backend, Kind
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace
from tests.live.conftest import only_folios_of, sh, zram_device

pytestmark = pytest.mark.live
WORKLOAD = Path(__file__).parent / "workload.py"
COLUMNS = ("ts", "kind", "backend", "swap_type", "slot", "va", "owner_tgid", "memcg", "order")
PAGES = 24 << 8  # 24 MiB of every test; with the interpreter and the cgroup of 64 MiB all of it can be paged out


def swaptrace(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    if words[0] == "record" and not {"--backend", "--recover", "--dry-run", "--device"} & set(words):
        words = ("record", "--tier", "tracepoint", *words[1:])  # tests/live/test_bpf.py is about the other tier
    return subprocess.run(
        [sys.executable, "-m", "swaptrace", *words], capture_output=True, text=True, cwd=cwd, check=False
    )


def work(witness: Path, *, pages: int = PAGES, mode: str = "small") -> list[str | Path]:
    return ["--", sys.executable, WORKLOAD, str(pages), mode, witness]


@contextlib.contextmanager
def recorder(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a recorder; one that a failed test leaves running is killed."""
    process = subprocess.Popen([sys.executable, "-m", "swaptrace", "record", *words], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_owner_and_slot_of_every_page(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    wish = ["--owner", "--backend", backend]
    trace = recorded(tmp_path / "t.parquet", *wish, "--cgroup", limited, *work(tmp_path / "witness"))
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
    assert_frees(trace, rows, held)


def assert_frees(trace: Trace, rows: dict[str, NDArray[Any]], held: NDArray[np.int64]) -> None:
    """Every write of a slot is followed by its free before the next one, and what is held at the end is not free."""
    assert trace.meta.sight(Capability.FREE) is Sight.OBSERVED
    live: set[int] = set()
    freed = 0
    at_the_end = set(held[held[:, 3] == 0][:, 2].tolist())
    for kind, slot in zip(rows["kind"].tolist(), rows["slot"].tolist(), strict=True):
        if kind == Kind.SWAP_OUT and slot >= 0:
            assert slot not in live
            live.add(slot)
        elif kind == Kind.SLOT_FREE:
            live.remove(slot)
            freed += 1
    assert freed > PAGES // 2
    # What lay in a pool of the machine before the recording may be freed now; what was written now is known (above).
    foreign = sum(count for reason, count in trace.meta.skipped.items() if "zsmalloc" in reason)
    assert foreign < freed // 100, trace.meta.skipped
    print(f"{freed} frees; {len(live)} slots live at the end of the recording, {len(at_the_end)} before the exit")
    assert len(live) < 100  # the workload has ended; its parent shell and the recorder may have pages of their own


SLEEPER = f"""
import ctypes, mmap, sys, time
sys.path.insert(0, {str(WORKLOAD.parent)!r})
import workload
area = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(area), 4096):
    area[at : at + 8] = at.to_bytes(8, "little")
area.madvise(workload.PAGEOUT)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
    pagemap.seek(start // 4096 * 8)
    entries = memoryview(pagemap.read(len(area) // 512)).cast("Q")
print([(start + page * 4096, entry & 31, entry >> 5 & (1 << 50) - 1) for page, entry in enumerate(entries)], flush=True)
time.sleep(100)
"""


def test_the_snapshot_has_what_was_swapped_out_before(zram: Path, limited: Path, tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True)
    try:
        assert sleeper.stdout is not None
        expected = ast.literal_eval(sleeper.stdout.readline())
        trace = recorded(tmp_path / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness"))
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert trace.meta.sight(Capability.SNAPSHOT) is Sight.OBSERVED
    assert trace.meta.memcg_after != trace.meta.memcg_before
    assert trace.meta.settings[f"{zram.name}.disksize"] == str(192 << 20)
    pages = pl.read_parquet(tmp_path / "t.snapshot.parquet")
    assert trace.meta.sidecars[0].rows["start"] == (pages["when"] == "start").sum()
    for when in ("start", "stop"):
        mine = pages.filter((pl.col("when") == when) & (pl.col("owner_tgid") == sleeper.pid))
        found = set(zip(mine["va"].to_list(), mine["swap_type"].to_list(), mine["slot"].to_list(), strict=True))
        assert len(expected) == 512
        assert set(expected) <= found
    processes = pl.read_parquet(tmp_path / "t.processes.parquet").filter(pl.col("tgid") == sleeper.pid)
    assert processes["swapped"].to_list() >= [512, 512]
    assert processes["anonymous_bytes"][0] > 2 << 20
    shown = swaptrace("info", tmp_path / "t.parquet").stdout
    assert f"t.snapshot.parquet: {trace.meta.sidecars[0].rows['start']:,} rows at start" in shown
    without = recorded(tmp_path / "u.parquet", "--no-snapshot", "--", *swap_a_little("true"))
    assert without.meta.sidecars == ()
    assert without.meta.sight(Capability.SNAPSHOT) is Sight.ABSENT


SCATTERED = f"""
import ctypes, mmap, os, random, sys
sys.path.insert(0, {str(WORKLOAD.parent)!r})
import workload
area = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, len(area), 4096):
    area[at : at + 4096] = os.urandom(4096)
random.seed(7)
area.madvise(workload.PAGEOUT)
for at in range(0, len(area), 4096):  # still in the swap cache, and clean: the next time they are dropped at once
    area[at]
with open(sys.argv[1], "w") as out:
    area.madvise(workload.PAGEOUT)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // 4096 * 8)
        entries = memoryview(pagemap.read(len(area) // 512)).cast("Q")
    for page, entry in enumerate(entries):
        if entry >> 62 & 1:
            print(start + page * 4096, entry >> 5 & (1 << 50) - 1, file=out)
# Runs of pages downwards and upwards, so that the kernel reads ahead on both sides.
for first in random.sample(range(0, 2048, 16), 128):
    for page in random.sample(range(first, first + 16), 9):
        area[page * 4096]
"""


def test_readahead_is_told_from_the_read_of_the_fault(swap_file: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    witness = tmp_path / "witness"
    command: list[str | Path] = [sys.executable, "-c", SCATTERED, witness]
    trace = recorded(out / "t.parquet", "--owner", "--cgroup", limited, "--", *command)
    slot_of: dict[int, int] = dict(np.loadtxt(witness, np.int64, ndmin=2).tolist())
    rows = pl.read_parquet(trace.path).with_columns(pl.col("kind", "cause").cast(pl.String))
    reads = rows.filter((pl.col("kind") == "swap_in") & pl.col("slot").is_not_null())
    reads = reads.filter(pl.col("va").is_in(list(slot_of)))
    found = reads.group_by("cause", "conf").agg(
        pl.len(), wrong=(pl.col("va").replace_strict(slot_of, default=-1) != pl.col("slot")).sum()
    )
    print(found)
    assert found["wrong"].sum() == 0
    assert found.filter(pl.col("cause") == "fault")["len"].sum() > 100
    assert found.filter(pl.col("cause") == "readahead")["len"].sum() > 100


@pytest.mark.parametrize("kib", [64, 2048])
def test_huge_pages(zram: Path, limited: Path, tmp_path: Path, kib: int) -> None:
    with only_folios_of(kib):
        trace = recorded(tmp_path / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness", mode="huge"))
    rows = assert_counts(trace)
    orders = rows["order"][rows["kind"] == Kind.SWAP_OUT]
    assert set(orders.tolist()) - {0} == {(kib // 4).bit_length() - 1}
    assert (orders > 0).sum() > PAGES // 4


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


def test_a_swap_file_on_xfs(xfs_file: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    trace = recorded(out / "t.parquet", "--cgroup", limited, *work(tmp_path / "witness"))
    rows = assert_counts(trace)
    device = trace.meta.devices[0]
    assert (device.kind, device.pages) == ("file", sum(pages for _, _, pages in device.extents))
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


@pytest.mark.parametrize("backend", ["bpf", "tracefs", "perf"])
def test_an_area_that_is_enabled_during_the_recording(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    """A second zram takes all pages while it is on; the first one is on all the time."""
    with zram_device("192M") as second:
        sh("mkswap", second)
        words = [str(word) for word in work(tmp_path / "witness")[1:]]
        script = f'swapon -p 90 {second}; sleep 0.5; "$@"; swapoff {second}; sleep 0.3'
        out = tmp_path / "out"
        out.mkdir()
        wish: list[str | Path] = ["--backend", backend, "--cgroup", limited]
        trace = recorded(out / "t.parquet", *wish, "--", "sh", "-c", script, "sh", *words)
    rows = columns(trace)
    kinds = rows["kind"]
    assert [d.swap_type for d in trace.meta.devices] == [0, 1]
    assert [(change.on, change.device) for change in trace.meta.swap_changes] == [(True, 1), (False, 1)]
    for kind in (Kind.SWAPON, Kind.SWAPOFF):
        assert rows["swap_type"][kinds == kind].tolist() == [1]
    assert kinds[0] != Kind.SWAPOFF
    if backend == "perf":
        assert any("was enabled during the recording" in note for note in trace.meta.notes)
        return
    assert_counts(trace)
    held = pagemap(tmp_path / "witness")
    held = held[held[:, 3] == 0]
    assert set(held[:, 1].tolist()) == {1}
    slots = rows["slot"][(kinds == Kind.SWAP_OUT) & (rows["swap_type"] == 1)]
    assert np.isin(held[:, 2], slots).all()


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
    with recorder("-o", out, "--backend", backend, "--", *swap_a_little("exec sleep 60")) as process:
        wait_until(lambda: "sleep" in children(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert Trace(out).meta.interrupted
    assert (columns(Trace(out))["kind"] == Kind.SWAP_OUT).any()


def test_an_open_recording_ends_well_with_ctrl_c(zram: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with recorder("-o", out, "--tier", "tracepoint") as process:
        wait_until(lambda: is_tracing(process.pid))
        subprocess.run(swap_a_little("true"), check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not Trace(out).meta.interrupted


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60  # of a busy machine
    while time.monotonic() < deadline:
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
    done = swaptrace("record", "-o", tmp_path / "next.parquet", "--", *swap_a_little("true"))
    assert done.returncode == 0, done.stderr
    assert not any(instance.exists() for instance in stale)
    command = next(text for text in done.stderr.splitlines() if "was not finished" in text).split("swaptrace ", 1)[1]
    done = swaptrace(*command.split())
    assert done.returncode == 0, done.stderr
    trace = Trace(out)
    assert trace.meta.interrupted
    assert trace.meta.recorder == backend
    assert trace.meta.filters
    rows = columns(trace)
    kept = int(((rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)).sum())
    # What the last, partly filled page of each processor held is lost; a page holds less than a hundred events.
    assert swapped - 100 * (os.cpu_count() or 1) < kept <= swapped
    left = [path.name for path in tmp_path.iterdir() if path.name.count(".") == 1]
    assert sorted(left) == ["killed.parquet", "next.parquet"]


def swapped_out() -> int:
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(vmstat["pswpout"])


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
    forever = f"while :; do {sys.executable} {WORKLOAD} {PAGES} small {tmp_path / 'witness'}; done"
    wish: list[str | Path] = [
        "record",
        "-o",
        out,
        "--owner",
        "--backend",
        backend,
        "--buffer",
        "1M",
        "--cgroup",
        limited,
    ]
    done = swaptrace(*wish, "--", "sh", "-c", forever)
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
    assert int((columns(trace)["slot"] > 0).sum()) > (0 if backend == "perf" else 1000)
    assert not raw.exists()


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
