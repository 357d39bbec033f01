"""The census on hand-made ops, the span of the page tables, and the options on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.layouts.swap_table import SwapTable
from swaptrace.layouts.vswap_table import VswapTable
from swaptrace.layouts.vswap_v6 import VswapV6
from swaptrace.model.meta import Sidecar
from swaptrace.model.ops import CARRIED, NOTHING, Backing, Op, Ops
from swaptrace.model.trace import Trace
from swaptrace.policies.registry import resolve
from swaptrace.replay.census import Census
from swaptrace.replay.engine import replay
from swaptrace.replay.moment import Moment
from swaptrace.replay.spans import span_at
from swaptrace.replay.swapoff import swapoff_figures
from tests.cli.shell import swaptrace as run
from tests.oracle.books import SlowOp
from tests.oracle.layouts import LAYOUTS
from tests.oracle.swapoff import SlowCensus
from tests.streams import random_trace

SAMPLE = Path(__file__).parents[2] / "traces" / "redis_zram.parquet"
PLACES = (Backing.ZERO, Backing.SAME, Backing.DISK, Backing.ZSWAP, Backing.RAM)
KINDS = (SwapTable, VswapV6, VswapTable)


def batches(steps: list[SlowOp], cuts: list[int]) -> list[Ops]:
    """Return ``steps`` as batches, cut there."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(steps)}), len(steps)]
    out = []
    for a, b in pairwise(bounds):
        part, births = steps[a:b], dict[int, int]()
        birth = []
        for i, step in enumerate(part):
            birth.append(NOTHING if step.name == "NEW" else births.get(step.obj, CARRIED))
            if step.name == "NEW":
                births[step.obj] = i
        names = ["OUT" if step.out else step.name for step in part]
        n = len(part)
        ops = Ops(
            np.arange(a, b), np.array([Op[name] for name in names], np.uint8), np.zeros(n, np.uint16),
            np.array([step.obj for step in part], np.int32), np.array([step.name == "NEW" for step in part]),
            np.full(n, CARRIED, np.int32), np.array(birth, np.int32), np.zeros(n, np.uint16),
            {"memcg": np.array([step.memcg for step in part], np.uint64)},
        )  # fmt: skip
        ops.backing = np.array([Backing[step.backing or "DISK"] for step in part], np.uint8)
        out.append(ops)
    return out


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 120), max_size=6), memcg=st.none() | st.integers(0, 2))
def test_shared_entries_and_pools_equal_the_twin(seed: int, cuts: list[int], memcg: int | None) -> None:
    r = np.random.default_rng(seed)
    live: dict[int, int] = {}  # object -> page table entries
    pooled: set[int] = set()
    steps: list[SlowOp] = []
    for ts in range(120):
        obj = int(r.integers(8))  # few: handles are used again, also in one batch
        if obj not in live:
            name = "NEW"
        else:
            choices = ["REWRITE", "IN", "HIT", "FREE", "DUP"] + ["PUT"] * (live[obj] > 1)
            name = str(r.choice(choices + ["WRITEBACK"] * (obj in pooled)))
        step = SlowOp(name, obj, ts, memcg=int(r.integers(3)), block=obj)
        if step.out:
            place = PLACES[int(r.integers(len(PLACES)))]
            step.backing = place.name
            live[obj] = 1 if name == "NEW" else live[obj]
            (pooled.add if place == Backing.ZSWAP else pooled.discard)(obj)
        elif name == "WRITEBACK":
            step.backing = "DISK"
            pooled.discard(obj)
        elif name == "FREE":
            del live[obj]
            pooled.discard(obj)
        elif name in ("DUP", "PUT"):
            live[obj] += 1 if name == "DUP" else -1
        steps.append(step)
    slow, fast = SlowCensus(), Census(Moment(1 << 40, 0, memcg, False))
    for step in steps:
        slow.step(step)
    for ops in batches(steps, cuts):
        fast.feed(ops)
    for kind in KINDS:
        layout = kind.__new__(kind)  # only its class says how it is evacuated
        found = dict(swapoff_figures(layout, fast.standing(), 777, memcg is not None))
        slow_layout = LAYOUTS[kind.name].__new__(LAYOUTS[kind.name])
        assert found == slow.figures(slow_layout, kind.virtual_swapoff, [], memcg, 777)


def recorded(folder: Path, **rows: list[int]) -> Trace:
    """Return a trace beside which a table of processes lies: sizes by the moment they are of."""
    path = folder / "T.processes.parquet"
    table = {
        "when": pa.array([when for when, sizes in rows.items() for _ in sizes], pa.string()).dictionary_encode(),
        "anonymous_bytes": pa.array([size for sizes in rows.values() for size in sizes], pa.int64()),
    }
    pq.write_table(pa.table(table), path)
    sidecar = Sidecar(path.name, sha256(path.read_bytes()).hexdigest(), {when: len(s) for when, s in rows.items()})
    trace = random_trace(1, 500)
    trace.path, trace.meta = folder / "T.parquet", replace(trace.meta, sidecars=(sidecar,))
    return cast(Trace, trace)


@pytest.mark.parametrize(("at", "pages"), [("0s", 3), ("49%", 3), ("51%", 10), ("100%", 10)])
def test_the_nearer_snapshot_says_how_far_the_walk_goes(tmp_path: Path, at: str, pages: int) -> None:
    trace = recorded(tmp_path, start=[8192, 4096], stop=[40960])
    direct, virtual = replay(trace, [resolve("swap-table"), resolve("vswap-v6")], at=at)
    assert direct.value("swapoff.physical.ptes_scanned") == pages
    assert virtual.value("swapoff.physical.ptes_scanned") == 0
    assert not any("ptes_scanned" in text for text in (*direct.warnings, *virtual.warnings))


def test_one_snapshot_serves_every_moment(tmp_path: Path) -> None:
    for when in ("start", "stop"):
        trace = recorded(tmp_path, **{when: [4096]})
        assert [span_at(trace, Moment(0, 0, None, late)) for late in (False, True)] == [(1, "")] * 2


def test_without_a_snapshot_that_fits_the_figure_is_absent_and_said_to_be(tmp_path: Path) -> None:
    trace = recorded(tmp_path, start=[4096])
    assert "memory cgroup" in span_at(trace, Moment(0, 0, 1, False))[1]
    path = tmp_path / "T.processes.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    report = replay(trace, [resolve("swap-table")], at="50%")[0]
    assert "swapoff.physical.ptes_scanned" not in report.metrics
    assert "swapoff.lazy.ptes_scanned" in report.metrics  # it walks nothing, whatever the span
    assert any("is not the file" in text for text in report.warnings)
    path.unlink()
    assert "not beside" in span_at(trace, Moment(0, 0, None, False))[1]
    trace.meta = replace(trace.meta, sidecars=())
    assert "--snapshot" in span_at(trace, Moment(0, 0, None, False))[1]


def test_the_command_line_asks_for_a_moment_and_repeats_it() -> None:
    argv = ["replay", str(SAMPLE), "-p", "swap-table", "--format", "json", "-q"]
    assert '"swapoff.' not in run(*argv).stdout
    report = json.loads(run(*argv, "--at", "2.5s", "--memcg", "0").stdout)
    assert report["options"] == {"free_inference": "latest", "at": "2500000000ns", "memcg": "0"}
    text = run("replay", str(SAMPLE), "-p", "swap-table", "--at", "2.5s", "-q").stdout
    assert "swapoff.physical.entries" in text
    assert "--at 2500000000ns" in text
