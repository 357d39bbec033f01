"""How fast recordings become traces: parsing, pairing and writing, one thread; and how fast ``perf script`` prints.

Processor time, the best of 3.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.perfdata import write_perf_data
from tests.shared import shared

SAMPLES = 3_000_000
# A process of its own: POLARS_MAX_THREADS counts only before polars is imported, and
# the peak memory is this work's.
PROGRAM = """
import sys, time
from pathlib import Path
from swaptrace.cli.machine import prefer_avx2_sort
prefer_avx2_sort()  # as the command line does, before numpy is imported
from swaptrace.ingest.convert import convert
small, big, out = map(Path, sys.argv[1:4])
convert([small], out)  # imports and first-use costs
start = time.process_time()
rows = convert([big], out).rows
seconds = time.process_time() - start
peak = next(line for line in open("/proc/self/status") if "VmHWM" in line)  # ru_maxrss begins at the parent's size
print(seconds, rows, int(peak.split()[1]) >> 10)
"""


def import_seconds(small: Path, big: Path, out: Path, runs: int = 3) -> tuple[float, float, float]:
    """CPU seconds, rows, and peak memory in MiB: the best of some runs."""
    command = [sys.executable, "-c", PROGRAM, str(small), str(big), str(out)]
    env = {**os.environ, "POLARS_MAX_THREADS": "1"}
    found = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.split() for _ in range(runs)
    ]
    seconds, rows, peak = (min(float(run[i]) for run in found) for i in range(3))
    return seconds, rows, peak


def child_seconds(command: list[str], out: Path) -> float:
    """CPU seconds of a command whose output goes to a file."""
    before = os.times()
    with out.open("wb") as stream:
        subprocess.run(command, check=True, stdout=stream, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.bench
@pytest.mark.parametrize("name", ["perf_all.data", "perf_proc.data"])
def test_import_of_perf_data(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, big = shared(f"data/samples/{name}"), tmp_path / "big.data"
    samples = write_perf_data(small, big, SAMPLES)
    seconds, rows, peak = import_seconds(small, big, tmp_path / "t.parquet")
    with capsys.disabled():
        rate, megabytes = samples / seconds / 1e6, big.stat().st_size / seconds / 1e6
        print(
            f"\nimport {name} x {samples:,}: {rate:.2f} M samples/s ({megabytes:.0f} MB/s) to {rows:,.0f} rows", end=""
        )
        print(f", processor time, peak {peak:.0f} MiB")
    assert rows > samples / 10


@pytest.mark.bench
def test_import_against_perf_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole import, to Parquet, against perf merely printing the same file; and the import of what it printed."""
    perf = shutil.which("perf")
    if perf is None:
        pytest.skip("perf is not installed: nothing to compare with")
    small, big, text = shared("data/samples/perf_all.data"), tmp_path / "big.data", tmp_path / "script.txt"
    samples = write_perf_data(small, big, SAMPLES // 3)
    try:
        printing = child_seconds([perf, "script", "--ns", "-F", "+tid", "-i", str(big)], text)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this perf cannot read the sample: {error}")
    assert text.stat().st_size > 50 * samples, "perf script printed the samples"
    binary, rows, _ = import_seconds(small, big, tmp_path / "t.parquet")
    from_text, text_rows, _ = import_seconds(text, text, tmp_path / "t.parquet", runs=1)
    with capsys.disabled():
        print(
            f"\n{samples:,} samples: perf script prints {samples / printing / 1e6:.2f} M/s; "
            f"import of perf.data {samples / binary / 1e6:.2f} M/s = {printing / binary:.1f} x its rate (goal 10); "
            f"import of its text {samples / from_text / 1e6:.2f} M/s = {printing / from_text:.2f} x"
        )
    assert rows == text_rows or abs(rows - text_rows) < 10  # exec and exit of perf's own records
