"""What the BPF tier tells of a page: the folio it is part of, whose it is, its hash, its compressed size."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from swaptrace.model.events import Backend, Kind
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace
from tests.live.bpf_tier import assert_counts, assert_pages, recorded
from tests.live.conftest import only_folios_of
from tests.live.recording import HERE, PAGES, count, swaptrace, work
from tests.oracle.siphash import siphash24

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("bpf")]


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
