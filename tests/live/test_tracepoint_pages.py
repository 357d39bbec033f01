"""The tracepoint tier with --owner: whose page is in a slot, when the slot is freed, and which read was the fault's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from swaptrace.model.events import Kind
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace
from tests.live.recording import (
    HERE,
    PAGES,
    Rows,
    assert_workload,
    held_pages,
    recorded,
    slots_in_use,
    swapped_out,
    work,
)

pytestmark = pytest.mark.live


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_owner_and_slot_of_every_page(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    witness = tmp_path / "witness"
    written = swapped_out() - slots_in_use()
    trace, rows = recorded("tracepoint", tmp_path, limited, work(witness), "--owner", "--backend", backend)
    assert_workload(trace, rows)
    out = np.flatnonzero((rows["kind"] == Kind.SWAP_OUT) & (rows["slot"] >= 0) & (rows["va"] >= 0))
    last = dict(zip(rows["va"][out].tolist(), rows["slot"][out].tolist(), strict=True))  # the last swap-out wins
    held = held_pages(witness)
    wrong = known = 0
    for address, _, slot in held.tolist():
        known += address in last
        wrong += last.get(address, slot) != slot
    assert wrong == 0
    assert known > 0.9 * len(held)
    assert_frees(trace, rows)
    # Other processes' pages may lie on the zram already: where DAMON reclaims what is idle, it begins at swapon.
    assert freed_of_nobody(trace) <= trace.meta.vmstat_before["pswpout"] - written


def assert_frees(trace: Trace, rows: Rows) -> None:
    """Every write of a slot is followed by its free before the next one, and at the end hardly a slot is in use."""
    assert trace.meta.sight(Capability.FREE) is Sight.OBSERVED
    live: set[int] = set()
    freed = 0
    for kind, slot in zip(rows["kind"].tolist(), rows["slot"].tolist(), strict=True):
        if kind == Kind.SWAP_OUT and slot >= 0:
            assert slot not in live
            live.add(slot)
        elif kind == Kind.SLOT_FREE:
            live.remove(slot)
            freed += 1
    assert freed > PAGES // 2
    print(f"{freed} frees; {len(live)} slots live at the end of the recording")
    assert len(live) < 100  # the workload has ended; its parent shell and the recorder may have pages of their own


def freed_of_nobody(trace: Trace) -> int:
    """How many frees the trace does not name: of pages that it did not see written."""
    return sum(count for reason, count in trace.meta.skipped.items() if "zsmalloc" in reason)


EARLIER = """
import mmap, os, time
area = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
area[:] = os.urandom(2 << 20)
area.madvise(21)  # MADV_PAGEOUT
print(flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_frees_of_what_was_written_before_are_counted(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    """A page that went out before the recording has a handle that stands for nothing: its free has no row."""
    written = swapped_out() - slots_in_use()
    earlier = subprocess.Popen([sys.executable, "-c", EARLIER], stdout=subprocess.PIPE)
    try:
        assert earlier.stdout is not None
        earlier.stdout.readline()
        command = ["sh", "-c", f'kill {earlier.pid}; "$@"', "sh", *work(tmp_path / "witness")]
        trace, rows = recorded("tracepoint", tmp_path, limited, command, "--owner", "--backend", backend)
    finally:
        earlier.kill()
        earlier.communicate()
    assert_workload(trace, rows)
    assert_frees(trace, rows)
    assert (2 << 20) // 4096 <= freed_of_nobody(trace) <= trace.meta.vmstat_before["pswpout"] - written


SCATTERED = f"""
import ctypes, mmap, os, random, sys
sys.path.insert(0, {str(HERE)!r})
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
    witness = tmp_path / "witness"
    command: list[str | Path] = [sys.executable, "-c", SCATTERED, witness]
    trace, _ = recorded("tracepoint", tmp_path, limited, command, "--owner")
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
