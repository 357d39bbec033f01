"""Writing and reading a trace: nothing is lost, nothing half-written stays, the digest is that of the content."""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from swaptrace.model.errors import InputError, PermissionDenied
from swaptrace.model.events import COLUMNS, SCHEMA_VERSION
from swaptrace.model.meta import Capability, HashInfo, Sight, SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from swaptrace.model.writer import META_KEY, ROW_GROUP, TraceWriter

Columns = dict[str, NDArray[Any]]
META = TraceMeta(
    kernel="6.18",
    devices=(SwapDevice(0, 253 << 20, "/swap", "file", 100, extents=((0, 8, 100),)),),
    lost={"perf": 3},
    hash=HashInfo("xxh64", True),
    capabilities={Capability.SLOT: Sight.OBSERVED},
)


def random_rows(rows: int, seed: int = 1) -> tuple[Columns, Columns, list[str]]:
    rng = np.random.default_rng(seed)
    columns, valid = {}, {}
    for column in COLUMNS:
        top = len(column.names) if column.names else 3 if column.text else 2 if column.dtype == "bool" else 100
        values = rng.integers(0, top, rows)
        if column.name == "ts":
            values = np.sort(values)
        columns[column.name] = values.astype(column.dtype)
        if column.nullable and column.null is not None:
            columns[column.name][rng.random(rows) < 0.3] = column.null
        if column.null is None:
            valid[column.name] = rng.random(rows) < 0.6
    return columns, valid, ["a", "b", "c"]


def write(path: Path, cuts: list[int], rows: int = 1000) -> TraceMeta:
    columns, valid, words = random_rows(rows)
    bounds = [0, *cuts, rows]
    with TraceWriter(path) as writer:
        for a, b in itertools.pairwise(bounds):
            writer.write({n: v[a:b] for n, v in columns.items()}, {n: v[a:b] for n, v in valid.items()}, words)
        return writer.finish(META)


def test_round_trip(tmp_path: Path) -> None:
    meta = write(tmp_path / "t.parquet", [10, 11, 500])
    columns, valid, words = random_rows(1000)
    trace = Trace(tmp_path / "t.parquet")
    assert trace.meta == meta == replace(META, rows=1000, digest=meta.digest)
    names = [c.name for c in COLUMNS if not c.text]
    for batch_rows in (7, 1000):
        batches = list(trace.batches(names, batch_rows))
        for name in names:
            got = np.concatenate([b[name] for b in batches])
            mask = valid.get(name, np.ones(1000, np.bool_))
            assert got.dtype == columns[name].dtype
            assert np.array_equal(got[mask], columns[name][mask]), name
            if name in valid:
                assert np.array_equal(np.concatenate([b.valid[name] for b in batches]), mask)
    comms = [[*w, None][c] for codes, w in trace.comms() for c in codes]
    assert comms == [[*words, None][c] for c in columns["comm"]]


def test_names_in_the_header_may_be_no_utf8(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t.parquet") as writer:
        writer.write(*random_rows(3))
        writer.finish(TraceMeta(sources=("perf\udcff.data", "déjà")))
    assert Trace(tmp_path / "t.parquet").meta.sources == ("perf?.data", "déjà")


def test_the_digest_does_not_depend_on_batches(tmp_path: Path) -> None:
    digests = {write(tmp_path / "t.parquet", cuts).digest for cuts in ([], [1], [10, 20, 999], [500])}
    assert len(digests) == 1


def test_the_digest_depends_on_every_column(tmp_path: Path) -> None:
    columns, valid, words = random_rows(50)
    seen = set()
    for change in [None, *(c.name for c in COLUMNS), "words", *(f"valid {n}" for n in valid)]:
        cols, masks = {n: v.copy() for n, v in columns.items()}, {n: v.copy() for n, v in valid.items()}
        if change in cols:
            if change in masks:
                masks[change][-1] = True
                cols[change][-1] = 12345
            else:
                last = cols[change][-1]
                cols[change][-1] = not last if last.dtype == bool else 101 if change == "ts" else (int(last) + 1) % 3
        elif change is not None and change.startswith("valid"):
            masks[change.split()[1]][0] ^= True
        with TraceWriter(tmp_path / "t.parquet") as writer:
            writer.write(cols, masks, ["a", "b", "x"] if change == "words" else words)
            seen.add(writer.finish(META).digest)
    assert len(seen) == 1 + len(COLUMNS) + 1 + len(valid)


def test_the_digest_follows_its_rule(tmp_path: Path) -> None:
    """The rule of model/digest.py, written again: three rows, two columns that are not required."""
    with TraceWriter(tmp_path / "t.parquet") as writer:
        ts, one = np.array([1, 2, 3]), np.ones(3, np.uint8)
        writer.write(
            {
                "ts": ts,
                "kind": one,
                "cpu": one.astype(np.uint16),
                "slot": np.array([5, -1, 6]),
                "comm": np.array([0, -1, 1]),
            },
            words=["x", "y"],
        )
        digest = writer.finish(META).digest
    first = [hashlib.sha256(w).digest()[:8] for w in (b"x", b"y")]
    given = {
        "ts": [ts.astype("<i8").tobytes()],
        "kind": [one.tobytes()],
        "cpu": [one.astype("<u2").tobytes()],
        "slot": [b"\1\0\1", np.array([5, 6], "<i8").tobytes()],
        "comm": [b"\1\0\1", b"".join(first)],
    }
    total = hashlib.sha256(f"swaptrace schema {SCHEMA_VERSION}\n".encode())
    for column in COLUMNS:
        parts = given.get(column.name, [b"\0\0\0", b""] if column.nullable else [b"\0\0\0"])
        total.update(f"{column.name}:{':'.join(hashlib.sha256(p).hexdigest() for p in parts)}\n".encode())
    assert digest == total.hexdigest()


def test_an_absent_column_is_one_of_nulls(tmp_path: Path) -> None:
    digests = []
    for explicit in (False, True):
        n = 70_000
        cols: Columns = {"ts": np.arange(n), "kind": np.zeros(n, np.uint8), "cpu": np.zeros(n, np.uint16)}
        masks = {}
        if explicit:
            for column in COLUMNS:
                if column.name not in cols:
                    cols[column.name] = np.full(n, column.null or 0, column.dtype)
                    if column.null is None:
                        masks[column.name] = np.zeros(n, np.bool_)
        with TraceWriter(tmp_path / "t.parquet") as writer:
            writer.write(cols, masks)
            digests.append(writer.finish(META).digest)
    assert digests[0] == digests[1]


def test_a_required_column_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cpu"), TraceWriter(tmp_path / "t.parquet") as writer:
        writer.write({"ts": np.arange(2), "kind": np.zeros(2, np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_row_groups(tmp_path: Path) -> None:
    n = ROW_GROUP + 10
    with TraceWriter(tmp_path / "t.parquet") as writer:
        for start in (0, n):
            cols: Columns = {"ts": np.arange(start, start + n)}
            cols |= {"kind": np.zeros(n, np.uint8), "cpu": np.zeros(n, np.uint16)}
            writer.write(cols)
        writer.finish(META)
    file = pq.ParquetFile(tmp_path / "t.parquet").metadata
    assert [file.row_group(i).num_rows for i in range(file.num_row_groups)] == [ROW_GROUP, ROW_GROUP, 20]


@pytest.mark.parametrize("second", [[3, 2], [0, 1]])
def test_unsorted_rows_are_refused_and_nothing_is_left(second: list[int], tmp_path: Path) -> None:
    def put(writer: TraceWriter, ts: list[int]) -> None:
        writer.write({"ts": np.array(ts), "kind": np.zeros(2, np.uint8), "cpu": np.zeros(2, np.uint16)})

    with TraceWriter(tmp_path / "t.parquet") as writer:
        put(writer, [1, 2])
        with pytest.raises(InputError, match="not sorted"):
            put(writer, second)
    assert list(tmp_path.iterdir()) == []


def test_an_old_trace_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    meta = write(tmp_path / "t.parquet", [])
    with pytest.raises(RuntimeError), TraceWriter(tmp_path / "t.parquet"):
        raise RuntimeError
    assert Trace(tmp_path / "t.parquet").meta.digest == meta.digest
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PermissionDenied, match="cannot write"):
        TraceWriter(tmp_path / "missing" / "t.parquet")


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -100])
def test_truncated_traces(keep: int, tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", [])
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data[:keep])
    with pytest.raises(InputError, match="is not a swaptrace trace"):
        Trace(tmp_path / "t.parquet")


def rewrite(path: Path, header: bytes | None, table: pa.Table | None = None) -> None:
    table = pq.read_table(path) if table is None else table
    pq.write_table(table.replace_schema_metadata({META_KEY: header} if header is not None else {}), path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", [])
    rewrite(tmp_path / "t.parquet", b'{"schema_version": 99, "tool": "swaptrace 9"}')
    with pytest.raises(InputError, match="schema version 99") as caught:
        Trace(tmp_path / "t.parquet")
    assert "swaptrace 9" in caught.value.why


@pytest.mark.parametrize(
    ("header", "words"), [(None, "not a swaptrace trace"), (b"{", "damaged"), (b"[]", "damaged"), (b"{}", "damaged")]
)
def test_headers_that_are_none(header: bytes | None, words: str, tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", [])
    rewrite(tmp_path / "t.parquet", header)
    with pytest.raises(InputError, match=words):
        Trace(tmp_path / "t.parquet")


def test_a_trace_that_goes_back_in_time(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", [])
    table = pq.read_table(tmp_path / "t.parquet")
    header = pq.ParquetFile(tmp_path / "t.parquet").metadata.metadata[META_KEY]
    rewrite(tmp_path / "t.parquet", header, table.take(list(range(999, -1, -1))))
    with pytest.raises(InputError, match="not sorted by time"):
        list(Trace(tmp_path / "t.parquet").batches(["ts"]))


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Trace(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="is a directory"):
        Trace(tmp_path)
    assert os.listdir(tmp_path) == []
