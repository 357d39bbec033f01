"""The tracepoint tier against the BPF tier: the same run of sqlite, recorded by both at once; column by column."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from swaptrace.ingest.convert import convert
from swaptrace.ingest.headers import header_of
from swaptrace.ingest.sources import open_sources
from swaptrace.model.meta import Capability, Sight, TraceMeta
from tests.shared import shared

# Lines of /proc/vmstat on the recording machine (docs/recording.md); the archive has no copy of it.
_FIRST = {0: "pgpgin", 1: "pgpgout", 2: "pswpin", 3: "pswpout"}
_LATER = {108: "swpin_zero", 109: "swpout_zero", 112: "zswpin", 113: "zswpout", 114: "zswpwb"}
VMSTAT = {{**_FIRST, **_LATER}.get(number, f"item{number}"): 0 for number in range(115)}
LEAST = 0.9999


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[TraceMeta, pl.DataFrame, pl.DataFrame]:
    """The header and rows of the reconstruction, and the rows that BPF saw."""
    archive = shared("data/traces/sqlite_tracefs_raw.tar.zst")
    where = tmp_path_factory.mktemp("sqlite")
    try:
        subprocess.run(["tar", "--zstd", "-xf", str(archive), "-C", str(where)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"tar cannot unpack zstd here: {error}")
    raw = where / "sqlite_tracefs_raw"
    header = header_of(open_sources([(raw, "ftrace-pages")]), ["ftrace-pages"], None)
    meta = convert([raw], where / "t.parquet", base=replace(header, vmstat_before=VMSTAT))
    return meta, named(where / "t.parquet"), named(shared("data/traces/sqlite_zram.parquet"))


def named(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.col("kind", "cause", "backend").cast(pl.String))


def of(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    return rows.filter(pl.col("kind") == kind)


def agreement(what: str, mine: pl.Series, truth: pl.Series, least: float = LEAST) -> None:
    """Print and check the share of rows where ``mine`` is ``truth``; a null is right where the truth is null only."""
    assert len(mine) == len(truth) > 0
    if mine.dtype.is_numeric():
        mine, truth = mine.cast(pl.Int64), truth.cast(pl.Int64)
    equal = int(mine.eq_missing(truth).sum())
    print(f"{what:<24}{equal:>9,} of {len(truth):>9,}  {100 * equal / len(truth):.4f} %")
    assert equal >= least * len(truth), what


def test_swap_outs_agree(pair: tuple[TraceMeta, pl.DataFrame, pl.DataFrame]) -> None:
    meta, rows, bpf = pair
    mine, truth = of(rows, "swap_out"), of(bpf, "swap_out")
    print()
    agreement("swap_out pfn", mine["pfn"], truth["pfn"])
    disk = truth["backend"] == "disk"
    agreement("swap_out slot", mine["slot"].filter(disk), truth["slot"].filter(disk))
    for column in ("backend", "va", "owner_tgid", "memcg", "tid", "swap_type"):
        keep = disk if column == "swap_type" else pl.Series([True] * len(truth))
        agreement(f"swap_out {column}", mine[column].filter(keep), truth[column].filter(keep))
    assert meta.sight(Capability.SLOT) is Sight.OBSERVED
    assert meta.sight(Capability.OWNER) is Sight.INFERRED


def test_swap_ins_agree(pair: tuple[TraceMeta, pl.DataFrame, pl.DataFrame]) -> None:
    _, rows, bpf = pair
    mine, truth = of(rows, "swap_in"), of(bpf, "swap_in")
    print()
    agreement("swap_in backend", mine["backend"], truth["backend"])
    disk = truth["backend"] == "disk"
    agreement("swap_in slot", mine["slot"].filter(disk), truth["slot"].filter(disk))
    agreement("swap_in va", mine["va"], truth["va"] // 4096 * 4096)  # BPF saw the very byte
    agreement("swap_in write", mine["write"].fill_null(False), truth["write"])  # the file has null for false
    for column in ("cause", "tid"):
        agreement(f"swap_in {column}", mine[column], truth[column])


def test_frees_agree(pair: tuple[TraceMeta, pl.DataFrame, pl.DataFrame]) -> None:
    meta, rows, bpf = pair
    mine, truth = of(rows, "slot_free"), of(bpf, "slot_free")
    print()
    agreement("slot_free slot", mine["slot"], truth["slot"])
    agreement("slot_free tid", mine["tid"], truth["tid"])
    late = np.abs(mine["ts"].to_numpy().astype(np.int64) - truth["ts"].to_numpy().astype(np.int64))
    print(f"slot_free time: median {int(np.median(late)):,} ns apart")
    assert np.median(late) < 10_000
    assert meta.sight(Capability.FREE) is Sight.OBSERVED
