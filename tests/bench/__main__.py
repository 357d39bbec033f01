"""Speed and memory of the replay, as events/s and as ratios to reading the same file in the same run: `make bench`.

One thread. The trace is a real recording repeated to 10 M events; memory is compared with 40 M. Rates of the two
engines are printed side by side, and their reports are compared figure by figure. Some policies, or fewer events:
`python -m tests.bench swap-table+dedup flash-vswap --events 2000000`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

from swaptrace.cli.machine import prefer_avx2_sort

prefer_avx2_sort()  # as the command line does, before numpy is imported

import polars as pl

from swaptrace.ingest.convert import convert
from swaptrace.kernels.loop import ENGINES, Engine, using_engine
from swaptrace.model.errors import CapabilityError
from swaptrace.model.trace import Trace
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.policy import Policy
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import REPLAY_ROWS, replay
from swaptrace.replay.objects import NEEDED_COLUMNS, RARE_COLUMNS, Objects
from tests.bench.repeated import repeat

ROOT = Path(__file__).parents[2]
RECORDING = ROOT.parent / "shared" / "data" / "traces" / "redis_zram.parquet"
EVENTS = 10_000_000
TOGETHER = ("swap-table", "vswap-v6", "vswap-table", "flash-vswap")
# VmHWM, not ru_maxrss: that one begins at the size of the process that started this one.
PEAK = "import sys; from swaptrace.cli.main import run; sys.argv = ['swaptrace', *sys.argv[1:]]\ntry: run()\n"
PEAK += "finally: print(next(line for line in open('/proc/self/status') if 'VmHWM' in line), file=sys.stderr)"


def seconds(work: Callable[[], object], rounds: int = 2, clock: Callable[[], float] = time.process_time) -> float:
    """Return the least processor time of a few rounds, or the least time on another clock."""
    best = float("inf")
    for _ in range(rounds):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


def source(folder: Path) -> Path:
    """Return the recording as a trace: the full one where it is at hand, else the sample in the repository."""
    if not RECORDING.exists():
        return ROOT / "traces" / "redis_zram.parquet"
    convert([RECORDING], folder / "source.parquet")
    return folder / "source.parquet"


def read(trace: Trace, columns: Sequence[str]) -> None:
    """Decode columns, as a replay does."""
    for _ in trace.batches(columns, REPLAY_ROWS):
        pass


def resolve_objects(trace: Trace) -> None:
    """Decode, and find the objects of the events."""
    objects = Objects()
    for events in trace.batches(NEEDED_COLUMNS, REPLAY_ROWS, rare=RARE_COLUMNS):
        for _ in objects.feed(events):
            pass


class Table:
    """Lines of rates, with their ratios to decoding the columns that they need and to a group_by of polars."""

    def __init__(self, trace: Trace, group: float) -> None:
        self._trace, self._group = trace, group
        heads = "".join(f"{head:>12}" for head in ("M events/s", "x decoding", "x group_by"))
        print(f"{'':34}" + "".join(f"{engine:>36}" for engine in ENGINES))
        print(f"{'':34}" + heads * len(ENGINES))

    def line(self, label: str, spent: Sequence[float], decoding: float) -> None:
        """Print what took ``spent`` seconds with each engine; ``decoding`` is how long its columns alone take."""
        cells = ((self._trace.rows / each / 1e6, each / decoding, each / self._group) for each in spent)
        print(f"{label:34}" + "".join(f"{cell:>12.2f}" for cells in cells for cell in cells), flush=True)


def time_policies(trace: Trace, small: Trace, specs: Sequence[str], table: Table) -> None:
    """Print the rates of policies one by one, and compare the figures of the engines."""
    for spec in specs:
        policy = resolve(spec)
        decoding = seconds(partial(read, trace, (*{*NEEDED_COLUMNS, *policy.columns},)), 1)
        spent, figures = [], []
        for engine in ENGINES:
            with using_engine(engine):
                try:
                    replay(small, [policy])  # first use: imports and compiling
                except CapabilityError as error:
                    print(f"{spec:34}not replayed: {error}")
                    break
                begun = time.process_time()
                figures.append(replay(trace, [policy])[0].metrics)
                spent.append(time.process_time() - begun)
        else:
            assert figures[0] == figures[1], f"{spec}: the engines differ"
            table.line(spec, spent, decoding)
    print("the figures of both engines are equal in every bit")


def time_together(trace: Trace, engine: Engine) -> None:
    """Print what policies gain by being replayed at once: decoding and objects are shared, then both cores used."""
    policies: list[Policy] = [resolve(spec) for spec in TOGETHER]
    with using_engine(engine):
        alone = sum(seconds(partial(replay, trace, [policy], jobs=1), 1, time.perf_counter) for policy in policies)
        once, twice = (seconds(partial(replay, trace, policies, jobs=n), 1, time.perf_counter) for n in (1, 2))
    print(
        f"{len(policies)} policies, {engine}, wall time: one by one {alone:.1f} s, at once {once:.1f} s "
        f"({alone / once:.2f} x as fast), with 2 jobs {twice:.1f} s ({alone / twice:.2f} x)"
    )


def peak_mib(trace: Path, policy: str) -> int:
    """Return the peak memory of one `swaptrace replay` process."""
    command = [sys.executable, "-c", PEAK, "replay", str(trace), "-p", policy, "--format", "json", "-q"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stderr.split()[-2]) >> 10


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "policies", nargs="*", metavar="POLICY", help="policies to time alone (all named ones, and more)"
    )
    parser.add_argument("--events", type=int, default=EVENTS, help=f"length of the trace ({EVENTS:,})")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = source(folder)
        small, path = Trace(start), repeat(start, folder / "long.parquet", asked.events)
        trace = Trace(path)
        print(f"{trace.rows:,} events, {path.stat().st_size / trace.rows:.1f} B/event, one thread, processor time")
        group = seconds(lambda: pl.scan_parquet(path).group_by("slot").len().collect())
        decode = seconds(partial(read, trace, NEEDED_COLUMNS))
        objects = []
        for engine in ENGINES:
            with using_engine(engine):
                resolve_objects(small)
                objects.append(seconds(partial(resolve_objects, trace)))
        table = Table(trace, group)
        table.line("polars group_by(slot).len()", [group], decode)
        table.line("decoding the columns of objects", [decode], decode)
        table.line("objects, decoding included", objects, decode)
        table.line("objects, decoding subtracted", [spent - decode for spent in objects], decode)
        time_policies(trace, small, asked.policies or list(NAMED), table)
        if asked.policies:
            return
        for engine in ENGINES:
            time_together(trace, engine)
        many = repeat(start, folder / "longer.parquet", 4 * asked.events)
        for spec in ("swap-table+dedup", "flash-vswap"):
            low, high = peak_mib(path, spec), peak_mib(many, spec)
            print(f"peak memory of {spec}: {low} MiB at {trace.rows:,} events, {high} MiB at {4 * trace.rows:,}")


if __name__ == "__main__":
    main()
