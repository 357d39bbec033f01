"""The snapshot at both ends of a recording: what was swapped out before."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from swaptrace.model.meta import Capability, Sight
from tests.live.recording import HERE, recorded, swap_a_little, swaptrace, work

pytestmark = pytest.mark.live
SLEEPER = f"""
import ctypes, mmap, sys, time
sys.path.insert(0, {str(HERE)!r})
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
        trace, _ = recorded("tracepoint", tmp_path, limited, work(tmp_path / "witness"))
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert trace.meta.sight(Capability.SNAPSHOT) is Sight.OBSERVED
    assert trace.meta.memcg_after != trace.meta.memcg_before
    assert trace.meta.settings[f"{zram.name}.disksize"] == str(192 << 20)
    pages = pl.read_parquet(trace.path.with_name("t.snapshot.parquet"))
    assert trace.meta.sidecars[0].rows["start"] == (pages["when"] == "start").sum()
    for when in ("start", "stop"):
        mine = pages.filter((pl.col("when") == when) & (pl.col("owner_tgid") == sleeper.pid))
        found = set(zip(mine["va"].to_list(), mine["swap_type"].to_list(), mine["slot"].to_list(), strict=True))
        assert len(expected) == 512
        assert set(expected) <= found
    processes = pl.read_parquet(trace.path.with_name("t.processes.parquet")).filter(pl.col("tgid") == sleeper.pid)
    assert processes["swapped"].to_list() >= [512, 512]
    assert processes["anonymous_bytes"][0] > 2 << 20
    shown = swaptrace("info", trace.path).stdout
    assert f"t.snapshot.parquet: {trace.meta.sidecars[0].rows['start']:,} rows at start" in shown
    without, _ = recorded("tracepoint", tmp_path / "without", limited, swap_a_little("true"), "--no-snapshot")
    assert without.meta.sidecars == ()
    assert without.meta.sight(Capability.SNAPSHOT) is Sight.ABSENT
