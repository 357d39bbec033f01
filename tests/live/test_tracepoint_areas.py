"""The tracepoint tier on every kind of swap area, against /proc/vmstat and the pagemap of the workload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.model.events import Backend, Kind
from tests.live.conftest import only_folios_of, sh, zram_device
from tests.live.recording import PAGES, Rows, assert_workload, held_pages, recorded, work

pytestmark = pytest.mark.live


@pytest.mark.parametrize("backend", ["tracefs", "perf"])
def test_zram_counts_and_slots(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded("tracepoint", tmp_path, limited, work(witness, pages=96 << 8), "--backend", backend)
    assert_workload(trace, rows)
    assert trace.meta.recorder == backend
    assert [device.kind for device in trace.meta.devices] == ["zram"]
    assert limited.stat().st_ino in set(rows["memcg"].tolist())
    assert_written(rows, witness)
    written = rows["swap_type"][(rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)]
    assert set(held_pages(witness)[:, 1].tolist()) == set(written.tolist()) == {0}


def assert_written(rows: Rows, witness: Path) -> None:
    """Each slot that holds a page at the end was written, and what was written last there was a swap-out."""
    written = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)
    key = rows["swap_type"][written].astype(np.int64) << 40 | rows["slot"][written]
    held = held_pages(witness)
    assert np.isin(held[:, 1] << 40 | held[:, 2], key).all()


@pytest.mark.parametrize("kib", [64, 2048])
def test_huge_pages(zram: Path, limited: Path, tmp_path: Path, kib: int) -> None:
    with only_folios_of(kib):
        trace, rows = recorded("tracepoint", tmp_path, limited, work(tmp_path / "witness", "huge"))
    assert_workload(trace, rows)
    orders = rows["order"][rows["kind"] == Kind.SWAP_OUT]
    assert set(orders.tolist()) - {0} == {(kib // 4).bit_length() - 1}
    assert (orders > 0).sum() > PAGES // 4


def test_fragmented_swap_file_on_a_partition(swap_file: Path, limited: Path, tmp_path: Path) -> None:
    trace, rows = recorded("tracepoint", tmp_path, limited, work(tmp_path / "witness"))
    assert_workload(trace, rows)
    device = trace.meta.devices[0]
    assert device.kind == "file"
    assert len(device.extents) > 3
    assert sum(pages for _, _, pages in device.extents) == device.pages
    assert_written(rows, tmp_path / "witness")


def test_a_swap_file_on_xfs(xfs_file: Path, limited: Path, tmp_path: Path) -> None:
    trace, rows = recorded("tracepoint", tmp_path, limited, work(tmp_path / "witness"))
    assert_workload(trace, rows)
    device = trace.meta.devices[0]
    assert (device.kind, device.pages) == ("file", sum(pages for _, _, pages in device.extents))
    assert_written(rows, tmp_path / "witness")


def test_two_areas_have_their_types(zram: Path, swap_file: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded("tracepoint", tmp_path, limited, work(witness, pages=96 << 8))
    assert_workload(trace, rows)
    assert set(held_pages(witness)[:, 1].tolist()) == {0, 1}
    assert_written(rows, witness)


def test_zswap(swap_file: Path, zswap: None, limited: Path, tmp_path: Path) -> None:
    trace, rows = recorded("tracepoint", tmp_path, limited, work(tmp_path / "witness", "squeeze"))
    assert_workload(trace, rows)
    assert (rows["backend"] == Backend.ZSWAP).any()
    assert (rows["kind"] == Kind.WRITEBACK).any()


@pytest.mark.parametrize("backend", ["bpf", "tracefs", "perf"])
def test_an_area_that_is_enabled_during_the_recording(zram: Path, limited: Path, tmp_path: Path, backend: str) -> None:
    """A second zram takes all pages while it is on; the first one is on all the time."""
    tier = "bpf" if backend == "bpf" else "tracepoint"
    with zram_device("192M") as second:
        sh("mkswap", second)
        script = f'swapon -p 90 {second}; sleep 0.5; "$@"; swapoff {second}; sleep 0.3'
        command = ["sh", "-c", script, "sh", *work(tmp_path / "witness")]
        trace, rows = recorded(tier, tmp_path, limited, command, "--backend", backend)
    kinds = rows["kind"]
    assert [d.swap_type for d in trace.meta.devices] == [0, 1]
    assert [(change.on, change.device) for change in trace.meta.swap_changes] == [(True, 1), (False, 1)]
    for kind in (Kind.SWAPON, Kind.SWAPOFF):
        assert rows["swap_type"][kinds == kind].tolist() == [1]
    assert kinds[0] != Kind.SWAPOFF
    if backend == "perf":
        assert any("was enabled during the recording" in note for note in trace.meta.notes)
        return
    assert_workload(trace, rows)
    held = held_pages(tmp_path / "witness")
    assert set(held[:, 1].tolist()) == {1}
    slots = rows["slot"][(kinds == Kind.SWAP_OUT) & (rows["swap_type"] == 1)]
    assert np.isin(held[:, 2], slots).all()
