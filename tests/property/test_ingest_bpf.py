"""Records of the BPF tier -> rows: equal to the slow rules, however the recording is cut."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from swaptrace.ingest.bpf.known import LastKnown
from swaptrace.ingest.bpf.records import RECORD, Chunk, RawInfo, RecordBackend, RecordFlag, RecordKind
from swaptrace.ingest.bpf.rows import BpfRows
from swaptrace.ingest.bpf.window import LOST, SPAN_NS, windows
from swaptrace.model.events import COLUMNS, Backend, Cause, Confidence
from tests.oracle.bpf import Record, rows_of

NAMES = [column.name for column in COLUMNS if not column.text]
DEVS = {0: 253 << 20 | 1, 1: 7 << 20}
OFTEN = (
    RecordKind.OUT,
    RecordKind.HANDLE_FREE,
    RecordKind.FAULT,
    RecordKind.FAULT,
    RecordKind.READ,
    RecordKind.READ,
    RecordKind.ZERO_IN,
)
KINDS = [*(kind for kind in RecordKind if kind is not RecordKind.COMM), *OFTEN]


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, int]]:
    """Records in the order of the ring, of few tasks, slots and handles, so that everything meets everything."""
    out: list[dict[str, int]] = []
    ts = 2 * SPAN_NS
    for _ in range(draw(st.integers(8, 24))):
        ts += draw(st.sampled_from([0, 1, 5, 5, 1000, 1000, SPAN_NS // 2, SPAN_NS, SPAN_NS + 1]))
        kind = draw(st.sampled_from(KINDS))
        slot = draw(st.integers(1, 4))
        record = {
            "ts": ts,
            "kind": int(kind),
            "swp": draw(st.sampled_from([0, 0, 0, 1])) << 58 | slot,
            "va": draw(st.integers(0, 3)) << 16 | slot << 12 | draw(st.sampled_from([0, 8])),
            "pfn": draw(st.integers(0, 5)),
            "memcg": draw(st.integers(0, 2)),
            "tgid": 7,
            "tid": draw(st.sampled_from([1, 1, 2])),
            "cpu": draw(st.integers(0, 1)),
            "pages": draw(st.sampled_from([1, 1, 2, 4])),
            "csize": draw(st.sampled_from([0, 100, 4096])),
        }
        if kind is RecordKind.HANDLE_FREE:
            record |= {"aux": draw(st.integers(1, 2)), "pages": draw(st.integers(0, 2)), "pfn": 0}
        if kind is RecordKind.FAULT:
            record |= {"flags": draw(st.sampled_from([0, int(RecordFlag.WRITE)]))}
        if kind is RecordKind.ZERO_IN:
            record |= {"swp": 0}
        if kind is RecordKind.OUT:
            out += outs(draw, record)
            ts = out[-1]["ts"]
        else:
            out.append(record)
    return [{name: record.get(name, 0) for name in RECORD.names or ()} for record in out]


def outs(draw: st.DrawFn, record: dict[str, int]) -> list[dict[str, int]]:
    backend = draw(st.sampled_from(list(RecordBackend)[1:]))
    flags = (draw(st.integers(0, 127)) | draw(st.sampled_from([0, int(RecordFlag.HANDLE)]))) & ~RecordFlag.WRITE
    pages = record["pages"]
    return [
        record
        | {
            "ts": record["ts"] + sub * draw(st.sampled_from([0, 3, SPAN_NS])),
            "swp": record["swp"] + sub,
            "pfn": record["pfn"] + sub,
            "sub": sub,
            "order": pages.bit_length() - 1,
            "backend": int(backend),
            "flags": int(flags),
            "hash": draw(st.integers(0, 1 << 64)) % (1 << 64),
            "aux": draw(st.integers(0, 2)),
            "owner": draw(st.integers(0, 9)),
        }
        for sub in range(pages)
    ]


def packed(found: list[dict[str, int]]) -> NDArray[Any]:
    out = np.zeros(len(found), RECORD)
    for name in RECORD.names or ():
        out[name] = [record[name] for record in found]
    return out


def chunks_of(array: NDArray[Any], cuts: list[int], lazy: bool) -> list[Chunk]:
    """Cut at ``cuts``; each watermark is as high as it may be, or that of an earlier cut."""
    bounds = sorted({0, len(array), *(cut for cut in cuts if cut < len(array))})
    chunks: list[Chunk] = []
    watermark = 0
    for start, end in itertools.pairwise(bounds):
        if not lazy or not chunks:
            watermark = int(array["ts"][end:].min()) if end < len(array) else watermark
        chunks.append(Chunk(array[start:end], watermark, 0))
    return chunks


def converted(
    chunks: list[Chunk],
    zero_events: bool,
    batch: int,
    bypassed: tuple[int, ...] = (),
    synchronous: tuple[int, ...] = (),
) -> dict[str, NDArray[Any]]:
    rows = BpfRows(RawInfo(zero_events=zero_events, bypassed=bypassed), DEVS, synchronous)
    parts = []
    for window in windows(chunks, batch):
        columns, masks = rows.feed(window, np.full(len(window.records), -1, np.int32))
        n = len(columns["ts"])
        part = {name: columns.get(name, nulls(name, n)) for name in NAMES}
        parts.append(part | {f"has_{name}": masks.get(name, np.zeros(n, np.bool_)) for name in ("hash", "fill")})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def nulls(name: str, rows: int) -> NDArray[Any]:
    column = next(c for c in COLUMNS if c.name == name)
    return np.full(rows, column.null or 0, column.dtype)


@settings(max_examples=120, deadline=None)
@given(
    found=records(),
    shuffle=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(1, 60), max_size=30),
    batch=st.sampled_from([1, 1, 2, 3, 30]),
    zero_events=st.booleans(),
    lazy=st.sampled_from([False, False, False, True]),
    bypassed=st.sampled_from([(), (), (0,), (1,)]),
    synchronous=st.sampled_from([(), (0,), (0, 1)]),
)
def test_rows_are_those_of_the_rules(
    found: list[dict[str, int]],
    shuffle: Any,
    cuts: list[int],
    batch: int,
    zero_events: bool,
    lazy: bool,
    bypassed: tuple[int, ...],
    synchronous: tuple[int, ...],
) -> None:
    for at in range(len(found) - 1):  # neighbours in the ring may be out of order
        if shuffle.random() < 0.3:
            found[at], found[at + 1] = found[at + 1], found[at]
    got = converted(chunks_of(packed(found), cuts, lazy), zero_events, batch, bypassed, synchronous)
    want = rows_of(found, DEVS, zero_events, bypassed, synchronous)
    assert len(got["ts"]) == len(want)
    assert bool((np.diff(got["ts"]) >= 0).all())
    for name in (*NAMES, "has_hash", "has_fill"):
        expected = [row[name] for row in want]
        assert got[name].tolist() == expected, name


def test_an_access_belongs_to_a_fault_of_an_earlier_window() -> None:
    """The fault is decided in one window; what came in by it must not count again in the next."""
    zero = {name: 0 for name in RECORD.names or ()}
    start = 5 * SPAN_NS
    fault = zero | {"kind": int(RecordKind.FAULT), "tid": 3, "swp": 5, "ts": start}
    read = zero | {"kind": int(RecordKind.READ), "tid": 3, "swp": 5, "pages": 1, "ts": start + SPAN_NS - 1}
    mark = zero | {"kind": int(RecordKind.EXEC), "tid": 9}
    found = [fault, read, mark | {"ts": start + SPAN_NS + 2}, mark | {"ts": start + 3 * SPAN_NS}]
    got = converted(chunks_of(packed(found), [1, 2, 3], lazy=False), True, 1)
    want = rows_of(found, DEVS, True)
    assert got["ts"].tolist() == [row["ts"] for row in want]
    assert got["kind"].tolist() == [row["kind"] for row in want]
    assert len(want) == 3


@pytest.mark.parametrize(
    ("synchronous", "between", "backend"),
    [
        ((1,), [], Backend.ZSWAP),
        ((), [], Backend.CACHE),  # on a disk zswap gives up its entry at a load, and shows it
        ((1,), [RecordKind.ZSWAP_IN], Backend.CACHE),  # it went into the swap cache
        ((1,), [RecordKind.WRITEBACK], Backend.CACHE),
    ],
)
def test_in_front_of_zram_zswap_keeps_its_entry_at_a_load(
    synchronous: tuple[int, ...], between: list[RecordKind], backend: Backend
) -> None:
    page = {name: 0 for name in RECORD.names or ()} | {"swp": 1 << 58 | 7, "tid": 1, "pages": 1}
    found = [page | {"kind": int(RecordKind.OUT), "ts": 1, "backend": int(RecordBackend.ZSWAP)}]
    found += [page | {"kind": int(kind), "ts": 2, "tid": 2} for kind in between]
    found += [page | {"kind": int(RecordKind.FAULT), "ts": 3}, page | {"kind": int(RecordKind.ZSWAP_FREE), "ts": 4}]
    got = converted([Chunk(packed(found), 9, 0)], True, 1, (), synchronous)
    hit = got["cause"] == Cause.FAULT
    assert got["backend"][hit].tolist() == [backend]
    assert got["conf"][hit].tolist() == [Confidence.BACKEND if backend is Backend.ZSWAP else 0]


def test_an_overwritten_object_is_no_free_slot() -> None:
    zero = {name: 0 for name in RECORD.names or ()}
    out = zero | {"kind": int(RecordKind.OUT), "backend": 1, "flags": int(RecordFlag.HANDLE), "swp": 5, "pages": 1}
    free = zero | {"kind": int(RecordKind.HANDLE_FREE)}
    found = [
        out | {"ts": 1, "aux": 70},
        free | {"ts": 2, "aux": 70, "swp": 5, "pages": 1},  # while the same slot is written again
        out | {"ts": 3, "aux": 80},
        free | {"ts": 4, "aux": 80},
        free | {"ts": 5, "aux": 70},  # the handle of another device by now
    ]
    got = converted([Chunk(packed(found), 9, 0)], True, 1)
    assert got["ts"].tolist() == [1, 3, 4]
    assert got["slot"].tolist() == [5, 5, 5]
    assert [row["ts"] for row in rows_of(found, DEVS, True)] == [1, 3, 4]


def test_lost_records_get_a_row_where_they_were_lost() -> None:
    one = {name: 0 for name in RECORD.names or ()} | {"kind": int(RecordKind.EXEC), "tid": 5}
    chunks = [
        Chunk(packed([one | {"ts": 10}]), 20, 0),
        Chunk(packed([one | {"ts": 30}]), 40, 7),
        Chunk(packed([one | {"ts": 50}]), 60, 7),
    ]
    got = converted(chunks, True, 1)
    assert got["ts"].tolist() == [10, 30, 30, 50]
    assert got["csize"].tolist() == [0, 7, 0, 0]
    want: list[Record] = [one | {"ts": 10}, one | {"ts": 30, "kind": LOST, "aux": 7, "tid": 0}, one | {"ts": 30}]
    assert [row["kind"] for row in rows_of(want, DEVS, True)] == got["kind"].tolist()[:3]


@settings(max_examples=200, deadline=None)
@given(
    operations=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_last_known_is_a_dictionary(operations: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    known, plain = LastKnown(), dict[int, int]()
    bounds = sorted({0, len(operations), *(cut for cut in cuts if cut < len(operations))})
    for start, end in itertools.pairwise(bounds):
        part = operations[start:end]
        key, value, writes = (np.array([o[i] for o in part]) for i in range(3))
        got = known.step(key.astype(np.uint64), value.astype(np.uint64), writes.astype(np.bool_))
        for (k, v, write), answer in zip(part, got.tolist(), strict=True):
            assert answer == plain.get(k, 0)
            if write:
                plain[k] = v
    assert len(known) == sum(1 for v in plain.values() if v)
