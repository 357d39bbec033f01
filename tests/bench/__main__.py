"""Speed and memory of the replay, as events/s and as ratios to reading the same file in the same run: `make bench`.

One thread. The trace is a real recording repeated to 10 M events; memory is compared with 40 M. Rates of two engines
are printed side by side, and their reports are compared figure by figure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

from swaptrace.cli.machine import prefer_avx2_sort

prefer_avx2_sort()  # as the command line does, before numpy is imported

import polars as pl

from swaptrace.ingest.convert import convert
from swaptrace.kernels.loop import ENGINES, using_engine
from swaptrace.model.trace import Trace
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import REPLAY_ROWS, replay
from swaptrace.replay.objects import NEEDED_COLUMNS, RARE_COLUMNS, Objects
from tests.bench.repeated import repeat

ROOT = Path(__file__).parents[2]
RECORDING = ROOT.parent / "shared" / "data" / "traces" / "redis_zram.parquet"
EVENTS, MANY = 10_000_000, 40_000_000
POLICIES = (
    "swap-table",
    "swap-table+dedup",
    "vswap-v6",
    "vswap-table",
    "flash-vswap",
    "flash-vswap+dedup",
    "as-recorded",
)
PEAK = "import resource, sys; from swaptrace.cli.main import run; sys.argv = ['swaptrace', *sys.argv[1:]]\ntry: run()\n"
PEAK += "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, file=sys.stderr)"


def seconds(work: Callable[[], object], rounds: int = 2) -> float:
    """Return the least processor time of a few rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def source(folder: Path) -> Path:
    """Return the recording as a trace: the full one where it is at hand, else the sample in the repository."""
    if not RECORDING.exists():
        return ROOT / "traces" / "redis_zram.parquet"
    convert([RECORDING], folder / "source.parquet")
    return folder / "source.parquet"


def peak_mib(trace: Path, policy: str) -> int:
    """Return the peak memory of one `swaptrace replay` process."""
    command = [sys.executable, "-c", PEAK, "replay", str(trace), "-p", policy, "--format", "json", "-q"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stderr.splitlines()[-1])


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = source(folder)
        small, path = Trace(start), repeat(start, folder / "ten.parquet", EVENTS)
        trace = Trace(path)
        print(f"{trace.rows:,} events, {path.stat().st_size / trace.rows:.1f} B/event, one thread, processor time")

        def read(columns: tuple[str, ...]) -> None:
            for _ in trace.batches(columns, REPLAY_ROWS):
                pass

        def objects() -> None:
            resolver = Objects()
            for events in trace.batches(NEEDED_COLUMNS, REPLAY_ROWS, rare=RARE_COLUMNS):
                for _ in resolver.feed(events):
                    pass

        group = seconds(lambda: pl.scan_parquet(path).group_by("slot").len().collect())
        decode = seconds(lambda: read(NEEDED_COLUMNS))
        whole = seconds(objects)
        print(f"{'':34}{'M events/s':>11}{'x decoding':>12}{'x group_by':>12}")

        def line(label: str, spent: float, columns: float) -> None:
            rate = trace.rows / spent / 1e6
            print(f"{label:34}{rate:>11.2f}{spent / columns:>12.2f}{spent / group:>12.2f}", flush=True)

        line("polars group_by(slot).len()", group, decode)
        line("decoding the columns of objects", decode, decode)
        line("objects, decoding included", whole, decode)
        line("objects, decoding subtracted", whole - decode, decode)
        for spec in POLICIES:
            policy = resolve(spec)
            columns = seconds(partial(read, tuple({*NEEDED_COLUMNS, *policy.columns})), 1)
            figures = []
            for engine in ENGINES:
                with using_engine(engine):
                    replay(small, [policy])  # first use: imports and compiling
                    begun = time.process_time()
                    figures.append(replay(trace, [policy])[0].metrics)
                    line(f"{spec}, {engine}", time.process_time() - begun, columns)
            assert figures[0] == figures[1], f"{spec}: the engines differ"
        print("the figures of both engines are equal in every bit")
        many = repeat(start, folder / "forty.parquet", MANY)
        for spec in ("swap-table+dedup", "flash-vswap"):
            low, high = peak_mib(path, spec), peak_mib(many, spec)
            print(f"peak memory of {spec}: {low} MiB at {EVENTS:,} events, {high} MiB at {MANY:,}")


if __name__ == "__main__":
    main()
