"""What the live tests of both tiers share: record a command, read the rows, compare them with /proc/vmstat."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import COLUMNS, Backend, Kind
from swaptrace.model.trace import Trace

HERE = Path(__file__).parent
PAGES = 24 << 8  # 24 MiB of every test; with the interpreter and the cgroup of 64 MiB all of it can be paged out
NAMES = tuple(column.name for column in COLUMNS if not column.text)
Rows = dict[str, NDArray[Any]]


def swaptrace(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "swaptrace", *words], capture_output=True, text=True, cwd=cwd, check=False
    )


@contextlib.contextmanager
def recorder(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a recorder; one that a failed test leaves running is killed."""
    process = subprocess.Popen([sys.executable, "-m", "swaptrace", "record", *words], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def work(witness: Path, mode: str = "small", *, pages: int = PAGES, device: Path | None = None) -> list[str | Path]:
    """The command of the workload (workload.py)."""
    return [sys.executable, HERE / "workload.py", str(pages), mode, witness, *([device] if device else [])]


def swap_a_little(then: str) -> list[str]:
    """A command that swaps 1 MiB out, and goes on as the shell command ``then``."""
    code = "import mmap, os; m = mmap.mmap(-1, 1 << 20, flags=34); m[:] = os.urandom(1 << 20); m.madvise(21)"
    return ["sh", "-c", f"{sys.executable} -c '{code}'; {then}"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60  # of a busy machine
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the recorder did not start")


def swapped_out() -> int:
    """How many pages were written to swap areas since boot."""
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(vmstat["pswpout"])


def slots_in_use() -> int:
    return sum(int(line.split()[3]) // 4 for line in Path("/proc/swaps").read_text().splitlines()[1:])


def recorded(tier: str, folder: Path, group: Path, command: Sequence[str | Path], *options: str) -> tuple[Trace, Rows]:
    """Record ``command`` in the memory cgroup ``group`` as ``folder``/out/t.parquet; return the trace and its rows."""
    out = folder / "out" / "t.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    done = swaptrace("record", "-o", out, "--tier", tier, *options, "--cgroup", group, "--", *command)
    assert done.returncode == 0, done.stderr
    assert "the command ended with" not in done.stdout
    assert not list(out.parent.glob(".*"))  # no raw recording left
    trace = Trace(out)
    return trace, rows_of(trace)


def rows_of(trace: Trace) -> Rows:
    """The columns of a trace, and where two of them are known: ``has_hash``, ``has_fill``."""
    batches = list(trace.batches(NAMES))
    rows = {name: np.concatenate([batch[name] for batch in batches]) for name in NAMES}
    return rows | {f"has_{name}": np.concatenate([b.valid[name] for b in batches]) for name in ("hash", "fill")}


def count(rows: Rows, kind: Kind, *backends: Backend) -> int:
    return int(((rows["kind"] == kind) & np.isin(rows["backend"], backends)).sum())


def assert_counts(trace: Trace, rows: Rows) -> dict[str, int]:
    """The rows are the kernel's own counts of the same time, exactly: nothing was lost. Returns these counts."""
    delta = {name: trace.meta.vmstat_after[name] - before for name, before in trace.meta.vmstat_before.items()}
    found = {
        "pswpout": count(rows, Kind.SWAP_OUT, Backend.DISK) + count(rows, Kind.WRITEBACK, Backend.DISK),
        "pswpin": count(rows, Kind.SWAP_IN, Backend.DISK),
        "swpout_zero": count(rows, Kind.SWAP_OUT, Backend.ZERO),
        "swpin_zero": count(rows, Kind.SWAP_IN, Backend.ZERO),
        "zswpout": count(rows, Kind.SWAP_OUT, Backend.ZSWAP),
        "zswpin": count(rows, Kind.SWAP_IN, Backend.ZSWAP),
        "zswpwb": count(rows, Kind.WRITEBACK, Backend.DISK),
    }
    assert trace.meta.lost_total == 0
    assert found == {name: delta[name] for name in found}
    return found


def assert_workload(trace: Trace, rows: Rows) -> None:
    """The counts are the kernel's, and the workload's own pages are among them."""
    found = assert_counts(trace, rows)
    assert found["swpout_zero"] > 0
    assert found["swpin_zero"] > 0
    assert found["pswpout"] + found["zswpout"] > PAGES // 2
    assert found["pswpin"] + found["zswpin"] > PAGES // 2


def held_pages(witness: Path) -> NDArray[np.int64]:
    """Rows ``address, type, slot`` of the workload's pages that had data in a slot at its end (its pagemap)."""
    pages = np.loadtxt(witness, np.int64, ndmin=2)
    assert len(pages) > PAGES // 2
    return pages[pages[:, 3] == 0, :3]
