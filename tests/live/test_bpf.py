"""The BPF tier on real swapping, against witnesses that do not know of it: /proc/vmstat, the pagemap of the workload,
and the content that the device itself gives back."""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from numpy.typing import NDArray

from swaptrace.capture.bpf.libbpf import BpfObject
from swaptrace.capture.bpf.programs import OBJECT
from swaptrace.capture.bpf.refusal import features, problem
from swaptrace.ingest.bpf.records import RECORD, RECORDS
from swaptrace.model.events import COLUMNS, Backend, Cause, Confidence, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice
from swaptrace.model.trace import Trace
from tests.live.conftest import only_folios_of
from tests.oracle.siphash import siphash24

pytestmark = pytest.mark.live
HERE = Path(__file__).parent
PAGES = 24 << 8  # 24 MiB in a cgroup of 64 MiB: all of it can be paged out
NAMES = tuple(column.name for column in COLUMNS if not column.text)
Rows = dict[str, NDArray[Any]]


@pytest.fixture(autouse=True)
def bpf() -> None:
    why = problem()
    if why is not None:
        pytest.skip(f"live: {why.what} {why.why}")


def swaptrace(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "swaptrace", *words], capture_output=True, text=True, check=False)


def work(witness: Path, mode: str = "small", *, pages: int = PAGES, device: Path | None = None) -> list[str | Path]:
    return [sys.executable, HERE / "workload.py", str(pages), mode, witness, *([device] if device else [])]


def recorded(folder: Path, group: Path, command: Sequence[str | Path], *options: str) -> tuple[Trace, Rows]:
    """Record ``command`` with the BPF tier; return the trace and its columns, masks as ``has_hash``, ``has_fill``."""
    out = folder / "out" / "t.parquet"
    out.parent.mkdir(exist_ok=True)
    done = swaptrace("record", "-o", out, "--tier", "bpf", *options, "--cgroup", group, "--", *command)
    assert done.returncode == 0, done.stderr
    assert "the command ended with" not in done.stdout
    assert not list(out.parent.glob(".*"))
    trace = Trace(out)
    return trace, rows_of(trace)


def rows_of(trace: Trace) -> Rows:
    batches = list(trace.batches(NAMES))
    rows = {name: np.concatenate([batch[name] for batch in batches]) for name in NAMES}
    return rows | {f"has_{name}": np.concatenate([b.valid[name] for b in batches]) for name in ("hash", "fill")}


def count(rows: Rows, kind: Kind, *backends: Backend) -> int:
    return int(((rows["kind"] == kind) & np.isin(rows["backend"], backends)).sum())


def assert_counts(trace: Trace, rows: Rows) -> dict[str, int]:
    """What was recorded is what the kernel counted, page for page."""
    delta = {name: trace.meta.vmstat_after[name] - before for name, before in trace.meta.vmstat_before.items()}
    found = {
        "pswpout": count(rows, Kind.SWAP_OUT, Backend.DISK) + count(rows, Kind.WRITEBACK, Backend.DISK),
        "pswpin": count(rows, Kind.SWAP_IN, Backend.DISK),
        "swpout_zero": count(rows, Kind.SWAP_OUT, Backend.ZERO),
        "swpin_zero": count(rows, Kind.SWAP_IN, Backend.ZERO),
        "zswpout": count(rows, Kind.SWAP_OUT, Backend.ZSWAP),
        "zswpin": count(rows, Kind.SWAP_IN, Backend.ZSWAP),
        "zswpwb": count(rows, Kind.WRITEBACK, Backend.DISK),
    }
    assert trace.meta.lost_total == 0
    assert found == {name: delta[name] for name in found}
    assert count(rows, Kind.SWAP_OUT, Backend.UNKNOWN) == 0
    return found


def assert_pages(rows: Rows, witness: Path, device: Path | None = None, *, squeezed: bool = False) -> None:
    """The last swap-out of each page tells its slot, and the hash of what the device holds there."""
    held = np.loadtxt(witness, np.uint64, ndmin=2)
    assert len(held) > PAGES // 2
    last: dict[int, int] = {}
    for at in np.flatnonzero((rows["kind"] == Kind.SWAP_OUT) & (rows["va"] >= 0)).tolist():
        last[int(rows["va"][at])] = at
    row = np.array([last[address] for address in held[:, 0].tolist()])
    np.testing.assert_array_equal(rows["slot"][row], held[:, 2].astype(np.int64))
    np.testing.assert_array_equal(rows["swap_type"][row], held[:, 1])
    assert len(set(rows["owner_tgid"][row].tolist())) == 1
    zero = held[:, 3] == 1
    if squeezed:  # that wrote into zero pages of the first eighth
        rest = held[:, 0] >= held[0, 0] + PAGES * 4096 // 8
        row, zero = row[rest], zero[rest]
    np.testing.assert_array_equal(rows["backend"][row] == Backend.ZERO, zero)
    np.testing.assert_array_equal(rows["has_fill"][row] & (rows["fill"][row] == 0), zero)
    if device is not None:  # zero pages have a slot, but are not on the device
        np.testing.assert_array_equal(rows["hash"][row][~zero], held[~zero, 4])
        assert len(set(held[~zero, 4].tolist())) > PAGES // 32


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


def test_salted_hashes_tell_equal_pages_and_nothing_else(zram: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, work(witness, device=zram))
    assert_counts(trace, rows)
    assert trace.meta.hash.salted
    held = np.loadtxt(witness, np.uint64, ndmin=2)
    held = held[held[:, 3] == 0]
    last: dict[int, int] = {}
    for row in np.flatnonzero((rows["kind"] == Kind.SWAP_OUT) & rows["has_hash"]).tolist():
        last[int(rows["slot"][row])] = int(rows["hash"][row])
    salted = [last[slot] for slot in held[:, 2].tolist()]
    plain = held[:, 4].tolist()
    assert not set(salted) & set(plain)
    assert len(set(zip(salted, plain, strict=True))) == len(set(salted)) == len(set(plain))


ZERO_PAGE_UNDER_KEY = siphash24(bytes(range(16)), xxhash.xxh64_intdigest(bytes(4096)))


def test_a_given_salt_and_no_hash(zram: Path, limited: Path, tmp_path: Path) -> None:
    key = bytes(range(16)).hex()
    trace, rows = recorded(tmp_path, limited, work(tmp_path / "witness"), "--salt", key)
    zero = rows["hash"][rows["has_fill"] & (rows["fill"] == 0)]
    assert set(zero.tolist()) == {ZERO_PAGE_UNDER_KEY}
    (tmp_path / "out" / "t.parquet").unlink()
    trace, rows = recorded(tmp_path, limited, work(tmp_path / "witness"), "--hash", "none")
    assert_counts(trace, rows)
    assert not rows["has_hash"].any()
    assert trace.meta.sight(Capability.HASH) is Sight.ABSENT


KNOWN = """
import mmap, random
r = random.Random(5)
m = mmap.mmap(-1, 600 * 4096, flags=34)
m.madvise(15)
for i in range(600):
    m[i * 4096 : (i + 1) * 4096] = r.randbytes(i % 100 * 40 + 1).ljust(4096, b"\\0")
m.madvise(21)
"""


@pytest.mark.parametrize("one_in", [1, 4])
def test_compressed_sizes_of_contents(zram: Path, limited: Path, tmp_path: Path, one_in: int) -> None:
    out = tmp_path / "t.parquet"
    options = ["--tier", "bpf", "--salt", "none", "--content", str(one_in), "--cgroup", str(limited)]
    done = swaptrace("record", "-o", out, *options, "--", sys.executable, "-c", KNOWN)
    assert done.returncode == 0, done.stderr
    meta = Trace(out).meta
    assert meta.lost_total == 0
    (sidecar,) = (beside for beside in meta.sidecars if beside.name == "t.content.parquet")
    table = pq.read_table(tmp_path / "t.content.parquet")
    found = {row["hash"]: row for row in table.to_pylist()}
    assert sidecar.rows == {"": len(found)}
    codecs = {"lz4": pa.Codec("lz4_raw"), "zstd1": pa.Codec("zstd", 1), "zstd3": pa.Codec("zstd", 3)}
    made = random.Random(5)
    expected = 0
    for i in range(600):
        page = made.randbytes(i % 100 * 40 + 1).ljust(4096, b"\0")
        key = xxhash.xxh64_intdigest(page)
        if key % one_in == 0:
            expected += 1
            sizes = {name: len(codec.compress(page)) for name, codec in codecs.items()}
            assert found[key] == {"hash": key, **sizes, "zeros": page.count(0)}
    assert 600 // one_in // 2 < expected <= len(found)
    assert all(key % one_in == 0 for key in found)


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


@pytest.mark.parametrize("kib", [64, 2048])
def test_huge_pages(zram: Path, limited: Path, tmp_path: Path, kib: int) -> None:
    witness = tmp_path / "witness"
    with only_folios_of(kib):
        trace, rows = recorded(tmp_path, limited, work(witness, "huge", device=zram), "--salt", "none")
    assert_counts(trace, rows)
    assert_pages(rows, witness, zram)
    out = rows["kind"] == Kind.SWAP_OUT
    large = np.flatnonzero(out & (rows["order"] > 0))
    assert set(rows["order"][large].tolist()) == {(kib // 4).bit_length() - 1}
    assert len(large) > PAGES // 4
    heads = large[rows["sub"][large] == 0]
    for head in heads[:32].tolist():  # the pages of a folio are neighbours in the trace, with one time
        pages = 1 << int(rows["order"][head])
        part = slice(head, head + pages)
        assert (rows["sub"][part] == np.arange(pages)).all()
        assert len(set(rows["ts"][part].tolist())) == 1
        assert (np.diff(rows["slot"][part]) == 1).all()
        assert (np.diff(rows["va"][part]) == 4096).all()
        assert (np.diff(rows["pfn"][part]) == 1).all()


def test_forks_and_shared_memory(zram: Path, limited: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    trace, rows = recorded(tmp_path, limited, [sys.executable, HERE / "forks.py", "2048", witness])
    assert_counts(trace, rows)
    assert count(rows, Kind.SWAP_IN, Backend.CACHE) >= 0
    parent, child = (np.loadtxt(path, np.int64, ndmin=2) for path in (witness, witness.with_suffix(".child")))
    processes = {int(parent[0, 0]), int(child[0, 0])}
    out = rows["kind"] == Kind.SWAP_OUT
    shmem = out & rows["shmem"]
    assert shmem.sum() >= 2048
    assert (rows["va"][shmem] < 4096 * 2048).all()  # an index, not an address
    private = out & ~rows["shmem"]
    page_of = dict(zip(rows["slot"][private].tolist(), rows["va"][private].tolist(), strict=True))
    for _, address, _, slot in (*parent.tolist(), *child.tolist()):
        assert page_of[slot] == address  # parent and child have it at the same address
    owners = set(rows["owner_tgid"][private].tolist())
    assert owners == processes
    copies = child[np.isin(child[:, 1], parent[:, 1]) & ~np.isin(child[:, 3], parent[:, 3])]
    assert len(copies) > 500  # the child wrote them: they are its own, in slots of its own
    owner_of = dict(zip(rows["slot"][private].tolist(), rows["owner_tgid"][private].tolist(), strict=True))
    assert {owner_of[slot] for slot in copies[:, 3].tolist()} == {int(child[0, 0])}


def test_loss_is_counted_exactly(zram: Path, limited: Path, tmp_path: Path) -> None:
    stopped = [sys.executable, "-c", STORM, str(PAGES)]
    trace, rows = recorded(tmp_path, limited, stopped, "--buffer", "4K")
    delta = {name: trace.meta.vmstat_after[name] - before for name, before in trace.meta.vmstat_before.items()}
    lost = trace.meta.lost
    assert lost.get("bpf.out", 0) > 0
    assert int((rows["kind"] == Kind.SWAP_OUT).sum()) + lost["bpf.out"] == delta["pswpout"] + delta["swpout_zero"]
    marks = rows["kind"] == Kind.LOST
    assert int(rows["csize"][marks].sum()) <= trace.meta.lost_total


STORM = """
import mmap, os, signal, sys
pages = int(sys.argv[1])
m = mmap.mmap(-1, pages * 4096, flags=34)
m.madvise(15)
m[:] = os.urandom(2048) * (2 * pages)
os.kill(os.getppid(), signal.SIGSTOP)  # the recorder cannot drain
m.madvise(21)
os.kill(os.getppid(), signal.SIGCONT)
"""


def test_a_killed_recorder_leaves_what_it_wrote(zram: Path, limited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "t.parquet"
    out.parent.mkdir()
    code = "import mmap, os, time; m = mmap.mmap(-1, 1 << 24, flags=34); m[:] = os.urandom(1 << 24); m.madvise(21)"
    command = [sys.executable, "-c", f"{code}; time.sleep(60)"]
    process = subprocess.Popen(
        [sys.executable, "-m", "swaptrace", "record", "-o", out, "--tier", "bpf", "--", *command]
    )
    try:
        deadline = time.monotonic() + 60  # of a busy machine
        while not (sizes := [p.stat().st_size for p in out.parent.glob(f".*/{RECORDS}")]) or sizes[0] < 4096 * 96:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # the places of the swap types are written once a second
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for pid in children:
        subprocess.run(["kill", "-9", pid], check=False)
    (raw,) = out.parent.glob(f".*/{RECORDS}")
    with raw.open("ab") as file:  # a chunk that was being written
        file.write(raw.read_bytes()[: 64 + 5 * RECORD.itemsize - 1])
    done = swaptrace("record", "--recover", raw.parent, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "no whole chunk" in done.stdout
    assert Trace(out).meta.interrupted
    assert not raw.parent.exists()
    rows = rows_of(Trace(out))
    assert count(rows, Kind.SWAP_OUT, Backend.DISK) >= 4096 - 64
    assert (rows["dev"][rows["slot"] >= 0] > 0).all()


def test_the_layout_of_a_record_is_that_of_the_object() -> None:
    with BpfObject(OBJECT) as program:
        members = program.members("record")
    ours = {name: where[1] - 8 for name, where in (RECORD.fields or {}).items() if name != "ring"}
    assert members == ours


def test_features_are_told_one_by_one() -> None:
    found = {feature.name: feature for feature in features()}
    assert found["load"].works
    assert found["content and faults"].works
    for feature in found.values():
        assert feature.works or feature.reason


def test_contents_and_faults_need_no_tracefs() -> None:
    """In a mount namespace where nobody has mounted it."""
    say = "from swaptrace.capture.bpf.refusal import features; print({f.name: f.works for f in features()})"
    line = f"umount -a -t tracefs,debugfs && ! test -d /sys/kernel/tracing/events && {sys.executable} -c '{say}'"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", line], capture_output=True, text=True, check=False)
    assert "'content and faults': True" in done.stdout, done.stderr
