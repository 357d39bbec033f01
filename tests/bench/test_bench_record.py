"""What recording costs the workload, by tier, as ratios of one run; and what is lost when the machine swaps its best.

Needs what the live tests need (root, zram); prints, asserts nothing about time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swaptrace.capture.bpf.refusal import problem
from swaptrace.model.trace import Trace
from tests.live.conftest import ZRAM, swapped_on, zram_device

STORM = Path(__file__).with_name("storm.py")
PAGES, ROUNDS, TRIES = 16 << 8, 5, 3
RECORDERS: dict[str, list[str] | None] = {
    "none": None,
    "tracepoints": ["--backend", "tracefs"],
    "tracepoints, owners": ["--backend", "tracefs", "--owner"],
    "perf record": ["--backend", "perf"],
    "perf record, owners": ["--backend", "perf", "--owner"],
    "BPF without hash": ["--backend", "bpf", "--hash", "none"],
    "BPF": ["--backend", "bpf"],
}


@pytest.fixture
def swap() -> Iterator[None]:
    if os.geteuid() != 0 or not ZRAM.is_dir():
        pytest.skip("bench: needs root and zram")
    if Path("/proc/swaps").read_text().count("\n") > 1:
        pytest.skip("bench: this machine swaps already")
    why = problem()
    if why is not None:
        pytest.skip(f"bench: {why.what} {why.why}")
    with zram_device("256M") as device, swapped_on(device):
        yield


def storm(folder: Path, recorder: list[str] | None, mode: str, processes: int = 1) -> tuple[list[list[float]], int]:
    """Run the storm under a recorder; return ``ns out, ns in, pages/s`` per process, and the lost events."""
    outs = [folder / f"storm{i}" for i in range(processes)]
    lines = [f"{sys.executable} {STORM} {PAGES} {ROUNDS} {mode} {out}" for out in outs]
    command = ["sh", "-c", " & ".join(lines) + " & wait"]
    lost = 0
    if recorder is None:
        subprocess.run(command, check=True)
    else:
        trace = folder / "t.parquet"
        line = [sys.executable, "-m", "swaptrace", "record", "--force", "-o", str(trace), *recorder, "--", *command]
        subprocess.run(line, check=True, capture_output=True)
        lost = Trace(trace).meta.lost_total
    return [[float(word) for word in out.read_text().split()] for out in outs], lost


@pytest.mark.bench
def test_cost_of_recording(swap: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for mode in ("mixed", "zero"):
        base: list[float] = []
        for name, recorder in RECORDERS.items():
            runs = [storm(tmp_path, recorder, mode) for _ in range(TRIES)]
            best = [min(found[0][i] for found, _ in runs) for i in (0, 1)]
            base = base or best
            ratio = [best[i] / base[i] for i in (0, 1)]
            lost = sum(lost for _, lost in runs)
            lines.append(
                f"{mode:<6}{name:<22}{best[0]:>9,.0f} ns/page out ({ratio[0]:.2f}x)"
                f"{best[1]:>9,.0f} in ({ratio[1]:.2f}x){lost:>9,} lost"
            )
    with capsys.disabled():
        print("\nCPU of the workload per swapped page, best of", TRIES)
        print("\n".join(lines))


@pytest.mark.bench
def test_loss_at_the_highest_rate(swap: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for name, recorder in list(RECORDERS.items())[1:]:
        found, lost = storm(tmp_path, recorder, "zero", processes=os.cpu_count() or 1)
        lines.append(f"{name:<22}{2 * sum(rate for *_, rate in found):>12,.0f} pages/s{lost:>12,} lost")
    with capsys.disabled():
        print(f"\nzero pages out and in by {os.cpu_count()} processes at once")
        print("\n".join(lines))
