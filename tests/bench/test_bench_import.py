"""How fast perf.data becomes a trace: parsing, pairing and writing, one thread; processor time, the best of 3."""

from __future__ import annotations

import os
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
import resource, sys, time
from pathlib import Path
from swaptrace.cli.machine import prefer_avx2_sort
prefer_avx2_sort()  # as the command line does, before numpy is imported
from swaptrace.ingest.convert import convert
small, big, out = map(Path, sys.argv[1:4])
convert([small], out)  # imports and first-use costs
start = time.process_time()
rows = convert([big], out).rows
seconds = time.process_time() - start
print(seconds, rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@pytest.mark.bench
@pytest.mark.parametrize("name", ["perf_all.data", "perf_proc.data"])
def test_import_of_perf_data(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, big = shared(f"data/samples/{name}"), tmp_path / "big.data"
    samples = write_perf_data(small, big, SAMPLES)
    command = [sys.executable, "-c", PROGRAM, str(small), str(big), str(tmp_path / "t.parquet")]
    env = {**os.environ, "POLARS_MAX_THREADS": "1"}
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.split() for _ in range(3)
    ]
    seconds, rows, peak = (min(float(run[i]) for run in runs) for i in range(3))
    with capsys.disabled():
        rate, megabytes = samples / seconds / 1e6, big.stat().st_size / seconds / 1e6
        print(
            f"\nimport {name} x {samples:,}: {rate:.2f} M samples/s ({megabytes:.0f} MB/s) to {rows:,.0f} rows", end=""
        )
        print(f", processor time, peak {peak:.0f} MiB")
    assert rows > samples / 10
