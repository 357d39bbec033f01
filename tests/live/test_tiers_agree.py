"""The tracepoint tier against the BPF tier: both record the same run at the same time, and are compared column by
column, in the order of the events of the workload's task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from swaptrace.model.trace import Trace

pytestmark = pytest.mark.live
WORKLOAD = Path(__file__).parent / "workload.py"
PAGES = 24 << 8
LEAST = 0.999


def both(folder: Path, group: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Record the workload with both tiers; return the rows of its task, those of the tracepoint tier first."""
    work: list[str | Path] = [sys.executable, WORKLOAD, str(PAGES), "small", folder / "witness"]
    record: list[str | Path] = [sys.executable, "-m", "swaptrace", "record", "--no-snapshot"]
    inner: list[str | Path] = [
        *record,
        "-o",
        folder / "tracepoint.parquet",
        "--backend",
        "tracefs",
        "--owner",
        "--cgroup",
        group,
    ]
    outer = [*record, "-o", folder / "bpf.parquet", "--backend", "bpf"]
    done = subprocess.run([*outer, "--", *inner, "--", *work], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    traces = [Trace(folder / "tracepoint.parquet"), Trace(folder / "bpf.parquet")]
    assert [trace.meta.lost_total for trace in traces] == [0, 0]
    frames = [
        pl.read_parquet(trace.path).with_columns(pl.col("kind", "cause", "backend").cast(pl.String)) for trace in traces
    ]
    outs = frames[0].filter(pl.col("kind") == "swap_out")["tid"]
    task = outs.mode()[0]
    assert (outs == task).sum() > PAGES // 2
    mine, truth = (frame.filter(pl.col("tid") == task) for frame in frames)
    return mine, truth


def agreement(what: str, mine: pl.Series, truth: pl.Series) -> None:
    assert len(mine) == len(truth) > 0, what
    equal = int(mine.eq_missing(truth).sum())
    print(f"{what:<22}{equal:>8,} of {len(truth):>8,}  {100 * equal / len(truth):.3f} %")
    assert equal >= LEAST * len(truth), what


@pytest.mark.parametrize("area", ["zram", "swap_file", "loop"])
def test_both_tiers_see_the_same(area: str, limited: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(area)
    mine, truth = both(tmp_path, limited)
    print(f"\non {area}: the tracepoint tier against the BPF tier")
    for kind, columns in (
        ("swap_out", ("pfn", "backend", "va", "owner_tgid", "memcg", "order", "sub", "cpu")),
        ("swap_in", ("backend", "cause", "va", "write", "cpu")),
    ):
        a, b = (frame.filter(pl.col("kind") == kind) for frame in (mine, truth))
        if kind == "swap_in":  # a swap-cache hit shows no event but its fault
            b = b.filter(pl.col("backend") != "cache")
        on_disk = b["backend"] == "disk"
        for column in ("swap_type", "slot"):
            agreement(f"{kind} {column}", a[column].filter(on_disk), b[column].filter(on_disk))
        for column in columns:
            values = [frame[column] for frame in (a, b)]
            if column == "va":  # BPF saw the very byte, and tells no address of what is read ahead
                values = [va.filter(b["va"].is_not_null()) // 4096 * 4096 for va in values]
            if column in ("write", "order", "sub"):
                values = [v.fill_null(0).cast(pl.Int64) for v in values]
            agreement(f"{kind} {column}", *values)
    if area == "zram":
        frees = [frame.filter(pl.col("kind") == "slot_free") for frame in (mine, truth)]
        agreement("slot_free slot", frees[0]["slot"], frees[1]["slot"])
