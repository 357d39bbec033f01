"""The BPF tier on every kind of swap area, against witnesses that do not know of it: /proc/vmstat, the pagemap of the
workload, and the content that the device itself gives back."""

from __future__ import annotations

import mmap
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xxhash

from swaptrace.model.events import Backend, Cause, Confidence, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice
from tests.live.bpf_tier import assert_counts, assert_pages, recorded
from tests.live.recording import PAGES, Rows, count, work

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("bpf")]


def assert_faults(rows: Rows) -> None:
    """Each page that came in by a fault went out before with the same address and slot, if it went out at all."""
    page_of: dict[tuple[int, int], int] = {}
    checked = 0
    kinds = np.isin(rows["kind"], (Kind.SWAP_OUT, Kind.SWAP_IN)) & (rows["slot"] >= 0) & (rows["va"] >= 0)
    for row in np.flatnonzero(kinds).tolist():
        key, va = (int(rows["swap_type"][row]), int(rows["slot"][row])), int(rows["va"][row])
        if rows["kind"][row] == Kind.SWAP_OUT:
            page_of[key] = va
        elif key in page_of:
            assert page_of[key] == va
            checked += 1
    assert checked > PAGES // 4


def test_zram(zram: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    command = work(witness, device=zram)
    trace, rows = recorded(tmp_path, limited, command, "--salt", "none")
    found = assert_counts(trace, rows)
    assert min(found[name] for name in ("pswpout", "pswpin", "swpout_zero", "swpin_zero")) > 0
    assert_pages(rows, witness, zram)
    assert_faults(rows)
    assert trace.meta.tier in ("T2", "T3")
    assert {trace.meta.sight(c) for c in Capability if c is not Capability.SNAPSHOT} == {Sight.OBSERVED}
    assert (trace.meta.hash.algorithm, trace.meta.hash.salted) == ("xxh64", False)
    out = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK)
    assert ((rows["csize"][out] > 0) & (rows["csize"][out] <= 4096)).all()
    own = rows["memcg"][out] == limited.stat().st_ino  # what else swaps on this machine is recorded, too
    assert own.sum() > PAGES // 2
    assert len(set(rows["owner_tgid"][out][own].tolist())) == 1
    assert (rows["pfn"][out] > 0).all()
    assert_frees(rows)


def assert_frees(rows: Rows) -> None:
    """After the workload ended none of its slots on zram is in use: each that was written was freed, and none twice."""
    live: dict[int, int] = {}
    on_device = rows["backend"] == Backend.DISK
    for row in np.flatnonzero((rows["kind"] == Kind.SLOT_FREE) | (rows["kind"] == Kind.SWAP_OUT) & on_device).tolist():
        slot = int(rows["slot"][row])
        if rows["kind"][row] == Kind.SWAP_OUT:
            live[slot] = int(rows["owner_tgid"][row])
        else:
            del live[slot]
    owners = rows["owner_tgid"][(rows["kind"] == Kind.SWAP_OUT) & on_device]
    workload = int(np.bincount(owners).argmax())
    assert workload not in live.values()  # pages that other processes of this machine have on swap are recorded, too


def test_loop_device(loop: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, work(witness, device=loop), "--salt", "none")
    found = assert_counts(trace, rows)
    assert found["pswpout"] > PAGES
    assert_pages(rows, witness, loop)
    assert_faults(rows)
    assert (rows["csize"] == 0).all()
    assert trace.meta.sight(Capability.CLEN) is Sight.ABSENT
    if trace.meta.tier == "T2":
        assert trace.meta.sight(Capability.FREE) is Sight.INFERRED
        assert any("slot frees on disks are not seen" in note for note in trace.meta.notes)
    # Readahead: more came in than was asked for, and what was not asked for was a swap-cache hit later.
    ahead = (rows["kind"] == Kind.SWAP_IN) & (rows["cause"] == Cause.READAHEAD)
    if int(Path("/proc/sys/vm/page-cluster").read_text()):
        assert ahead.sum() > PAGES // 4
        assert count(rows, Kind.SWAP_IN, Backend.CACHE) > PAGES // 4


def test_swap_file_on_a_partition(swap_file: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, work(witness), "--salt", "none")
    assert_counts(trace, rows)
    assert_pages(rows, witness)
    assert set(rows["dev"][rows["slot"] >= 0].tolist()) == {trace.meta.devices[0].dev}
    # A disk keeps what was in its slots when they are free: read it at the sectors of the extents.
    area = trace.meta.devices[0]
    out = np.flatnonzero((rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.DISK))
    last = dict(zip(rows["slot"][out].tolist(), rows["hash"][out].tolist(), strict=True))
    assert len(last) > PAGES // 2
    assert hashes_on_disk(area, sorted(last)) == [last[slot] for slot in sorted(last)]


def hashes_on_disk(area: SwapDevice, slots: list[int]) -> list[int]:
    name = Path(f"/sys/dev/block/{area.dev >> 20}:{area.dev & 0xFFFFF}").resolve().name
    disk = os.open(f"/dev/{name}", os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)  # O_DIRECT wants aligned memory
    first = np.array([page for page, _, _ in area.extents])
    found = []
    for slot in slots:
        page, sector, _ = area.extents[int(np.searchsorted(first, slot, "right")) - 1]
        assert os.preadv(disk, [buffer], (sector + 8 * (slot - page)) * 512) == 4096
        found.append(xxhash.xxh64_intdigest(buffer[:]))
    os.close(disk)
    return found


def test_two_areas_where_a_lower_type_is_free(zram: Path, swap_file: Path, limited: Path, tmp_path: Path) -> None:
    subprocess.run(["swapoff", zram], check=True)
    try:  # /proc/swaps has one line, whose type is 1
        witness = tmp_path / "witness"
        trace, rows = recorded(tmp_path, limited, work(witness))
        assert_counts(trace, rows)
        assert_pages(rows, witness)
        assert set(rows["swap_type"][rows["slot"] >= 0].tolist()) == {1}
        assert [device.swap_type for device in trace.meta.devices] == [1]
        assert set(rows["dev"][rows["slot"] >= 0].tolist()) == {trace.meta.devices[0].dev}
    finally:
        subprocess.run(["swapon", "-p", "5", zram], check=True)


def test_zswap(swap_file: Path, zswap: None, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, work(witness, "squeeze"))
    found = assert_counts(trace, rows)
    assert min(found[name] for name in ("zswpout", "zswpin", "zswpwb", "swpout_zero", "swpin_zero")) > 0
    assert_pages(rows, witness, squeezed=True)
    stored = (rows["kind"] == Kind.SWAP_OUT) & (rows["backend"] == Backend.ZSWAP)
    assert ((rows["csize"][stored] > 0) & (rows["csize"][stored] <= 4096)).all()
    back = (rows["kind"] == Kind.WRITEBACK) | ((rows["kind"] == Kind.SWAP_IN) & (rows["backend"] == Backend.ZSWAP))
    was_stored = set(rows["slot"][stored].tolist())
    out_now = set(rows["slot"][rows["kind"] == Kind.SWAP_OUT].tolist())  # others may have filled slots before
    assert set(rows["slot"][back].tolist()) & out_now <= was_stored
    assert trace.meta.sight(Capability.FREE) is not Sight.ABSENT


def test_zswap_in_front_of_zram(zram: Path, zswap: None, limited: Path, tmp_path: Path) -> None:
    """zram reads past the swap cache: then zswap keeps its entry, and its loads show in no event."""
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, work(witness))
    found = assert_counts(trace, rows)
    assert found["zswpin"] > PAGES // 4
    loads = (rows["kind"] == Kind.SWAP_IN) & (rows["backend"] == Backend.ZSWAP) & (rows["cause"] == Cause.FAULT)
    assert (rows["conf"][loads] == Confidence.BACKEND).sum() > PAGES // 4
    assert any("swap-ins from zswap are inferred" in note for note in trace.meta.notes)
    assert_pages(rows, witness)
