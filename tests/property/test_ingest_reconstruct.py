"""Reconstruction equals its event-at-a-time twin, whatever the chunks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swaptrace.ingest.devices import SlotMap
from swaptrace.ingest.raw import FIELDS, Findings, RawChunk, RawKind
from swaptrace.ingest.reconstruct import Reconstruction
from swaptrace.model.events import COLUMNS, Backend, Cause, Kind
from swaptrace.model.meta import SwapChange, SwapDevice
from tests.oracle.ingest import move_major_faults, reconstruct

DEVICES = (SwapDevice(0, 7 << 20, kind="zram", pages=64), SwapDevice(1, 8 << 20, start_sector=2048, pages=4096))
ORACLE_DEVICES = [
    {"dev": d.dev, "swap_type": d.swap_type, "start": d.start_sector, "pages": d.pages, "zram": d.kind == "zram"}
    for d in DEVICES
]
NAMES = ("pgpgin", "pgpgout", "pswpin", "pswpout", "other", "swpin_zero", "swpout_zero", "zswpin", "zswpout", "zswpwb")
VMSTAT = {"nr_free_pages": 0, **dict.fromkeys(NAMES, 0)}
ITEMS = {number: name for number, name in enumerate(NAMES) if number >= 2 and name != "other"}
ENUMS = {"kind": Kind, "cause": Cause, "backend": Backend}

BIOS = (RawKind.BIO_WRITE, RawKind.BIO_WRITE, RawKind.BIO_READ, RawKind.BIO_DISCARD)
PLAIN = (RawKind.WRITE_FOLIO, RawKind.WRITE_FOLIO, RawKind.PAGE_ALLOC)
step = st.sampled_from([0, 1, 1, 1000, 1000, 1000, 400_000_000, 1_000_000_000, 1_000_000_001])
place = st.sampled_from([(7 << 20, 0), (7 << 20, 8), (7 << 20, 80), (7 << 20, 500), (8 << 20, 2048 + 64), (9 << 20, 8)])
event = st.one_of(
    st.tuples(st.sampled_from(BIOS), place, st.sampled_from([8, 8, 8, 32, 12, 24])).map(
        lambda t: {"kind": t[0], "dev": t[1][0], "value": t[1][1], "count": t[2]}
    ),
    st.tuples(st.sampled_from(PLAIN), st.integers(1, 3)).map(lambda t: {"kind": t[0], "value": t[1]}),
    st.tuples(st.integers(0x1000, 0x5000), st.integers(0, 1)).map(
        lambda t: {"kind": RawKind.FAULT, "value": t[0] * 16, "count": t[1]}
    ),
    st.tuples(st.integers(0, 9), st.integers(1, 2), st.integers(1, 5)).map(
        lambda t: {"kind": RawKind.MEMCG_EVENT, "value": t[0], "count": t[1], "extra": t[2]}
    ),
    st.sampled_from([RawKind.EXEC, RawKind.EXIT, RawKind.LOST, RawKind.MAJOR_FAULT]).map(
        lambda kind: {"kind": kind, "value": 5}
    ),
)
write = st.just({"kind": RawKind.BIO_WRITE, "dev": 7 << 20, "value": 80, "count": 8})
item = st.tuples(st.sampled_from([3, 6, 8, 9]), st.sampled_from([1, 1, 4, 16])).map(
    lambda t: {"kind": RawKind.MEMCG_EVENT, "value": t[0], "count": t[1], "extra": t[0]}
)
out = st.just({"kind": RawKind.WRITE_FOLIO, "value": 1})
handle = st.tuples(
    st.sampled_from([RawKind.HANDLE_ALLOC, RawKind.HANDLE_ALLOC, RawKind.HANDLE_FREE]), st.integers(1, 3)
).map(lambda t: {"kind": t[0], "value": (1 << 63) + t[1]})
# Bios, items and write_folio decide together, so they come often, and most often in the same task.
streams = st.lists(
    st.tuples(st.one_of(event, write, item, out, handle), step, st.sampled_from([1, 1, 1, 2, 3])), max_size=40
)


def complete(stream: list[tuple[dict[str, int], int, int]]) -> list[dict[str, int]]:
    out, now = [], 100
    for fields, delay, tid in stream:
        now += delay
        out.append(
            {**dict.fromkeys(FIELDS, 0), "ts": now, "tid": tid, "tgid": tid * 10, "cpu": tid % 2, "comm": -1, **fields}
        )
    return out


def chunk(events: list[dict[str, int]]) -> RawChunk:
    return RawChunk(**{n: np.array([e[n] for e in events], dtype) for n, dtype in FIELDS.items()})


def vectorised(
    events: list[dict[str, int]], cuts: list[int], faults: bool, slots: SlotMap | None = None, majors: bool = False
) -> list[dict[str, Any]]:
    built = Reconstruction(slots or SlotMap(DEVICES), VMSTAT, Findings(), faults=faults, majors=majors)
    bounds = [0, *sorted(min(c, len(events)) for c in cuts), len(events)]
    parts = [built.feed(chunk(events[a:b])) for a, b in pairwise(bounds)] + [built.finish()]
    rows: list[dict[str, Any]] = []
    for part in parts:
        for i in range(len(part)):
            row: dict[str, Any] = {"owner_tgid": 0}
            for name, values in part.columns.items():
                row[name] = ENUMS[name](int(values[i])).name.lower() if name in ENUMS else int(values[i])
            rows.append(row)
    return rows


def null_free(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is missing, so that rows compare whatever columns exist."""
    nulls = {c.name: (c.null if c.null is not None else 0) for c in COLUMNS if not c.required}
    kept = {}
    for name, value in row.items():
        plain = int(value) if isinstance(value, bool) else value
        if name in ("cause", "backend"):
            plain = None if plain == "none" else plain
        elif name in nulls and plain == nulls[name]:
            plain = None
        if plain is not None:
            kept[name] = plain
    return kept


@settings(max_examples=600, deadline=None)
@given(streams, st.lists(st.integers(0, 40), max_size=4), st.booleans())
def test_equals_the_oracle(stream: list[tuple[dict[str, int], int, int]], cuts: list[int], faults: bool) -> None:
    events = complete(stream)
    expected = [null_free(row) for row in reconstruct(events, ORACLE_DEVICES, ITEMS, faults)]
    assert [null_free(row) for row in vectorised(events, cuts, faults)] == expected


major = st.integers(0x1000, 0x5000).map(lambda a: {"kind": RawKind.MAJOR_FAULT, "value": a * 16})
read = st.sampled_from([80, 88, 500]).map(lambda s: {"kind": RawKind.BIO_READ, "dev": 7 << 20, "value": s, "count": 8})
zero = st.sampled_from([5, 7, 3]).map(lambda n: {"kind": RawKind.MEMCG_EVENT, "value": n, "count": 1, "extra": 4})
leave = st.just({"kind": RawKind.EXIT})
ends = st.lists(
    st.tuples(st.one_of(major, major, read, read, zero, item, out, leave), step, st.sampled_from([1, 1, 1, 2])),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(ends, st.lists(st.integers(0, 40), max_size=4))
def test_major_faults_equal_the_oracle(stream: list[tuple[dict[str, int], int, int]], cuts: list[int]) -> None:
    events = complete(stream)
    moved = move_major_faults(events, ORACLE_DEVICES, ITEMS)
    expected = [null_free(row) for row in reconstruct(moved, ORACLE_DEVICES, ITEMS, True, exact=False)]
    for parts in (cuts, list(range(len(events)))):
        assert [null_free(row) for row in vectorised(events, parts, False, majors=True)] == expected


@settings(max_examples=200, deadline=None)
@given(streams, st.lists(st.integers(0, 40), max_size=4), st.integers(0, 40), st.integers(0, 40))
@example(  # a read of the second area of the same type
    stream=[
        ({"kind": RawKind.BIO_WRITE, "dev": 7 << 20, "value": 80, "count": 8}, 1000, 1),
        ({"kind": RawKind.WRITE_FOLIO, "value": 1}, 1000, 1),
        ({"kind": RawKind.FAULT, "value": 16093 * 16, "count": 0}, 1, 1),
        ({"kind": RawKind.BIO_READ, "dev": 7 << 20, "value": 8, "count": 8}, 1000, 1),
    ],
    cuts=[],
    off=0,
    on=0,
)
def test_swapon_and_swapoff_equal_the_oracle(
    stream: list[tuple[dict[str, int], int, int]], cuts: list[int], off: int, on: int
) -> None:
    """The first area is disabled, and its place enabled again as another, somewhere in the stream."""
    off, on = sorted((min(off, len(stream)), min(on, len(stream))))
    area = {"tid": 0}
    stream = [
        *stream[:off],
        ({"kind": RawKind.SWAPOFF, "value": 0, **area}, 1, 9),
        *stream[off:on],
        ({"kind": RawKind.SWAPON, "value": 2, **area}, 1, 9),
        *stream[on:],
    ]
    events = complete(stream)
    off_ts, on_ts = events[off]["ts"], events[on + 1]["ts"]
    devices = (*DEVICES, SwapDevice(0, 7 << 20, pages=60))
    changes = (SwapChange(off_ts, False, 0), SwapChange(on_ts, True, 2))
    plain = [*ORACLE_DEVICES, {"dev": 7 << 20, "swap_type": 0, "start": 0, "pages": 60, "zram": False, "since": on_ts}]
    plain[0] = {**plain[0], "until": off_ts}
    expected = [null_free(row) for row in reconstruct(events, plain, ITEMS, True)]
    assert [null_free(row) for row in vectorised(events, cuts, True, SlotMap(devices, changes))] == expected


# A store on zram, in one task: bio, handle, write_folio; sometimes the allocation is repeated, the page is one word, or
# the folio is large.
store = st.sampled_from(
    [
        ["write", "alloc", "out"],
        ["write", "alloc", "out"],
        ["write", "alloc", "free", "alloc", "out"],
        ["write", "out"],
        ["free"],
        ["free"],
        ["large", "alloc", "alloc", "alloc", "alloc", "out"],
        ["large", "alloc", "out"],
        ["write", "alloc", "exit"],
        ["write", "alloc", "write", "out"],
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(store, st.integers(1, 3), st.integers(0, 9), st.integers(1, 3)), max_size=12),
    st.permutations(range(60)),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_handles_equal_the_oracle(
    wishes: list[tuple[list[str], int, int, int]], mix: list[int], cuts: list[int]
) -> None:
    queues: dict[int, list[dict[str, int]]] = {}
    for words, tid, slot, number in wishes:
        for i, word in enumerate(words):
            fields: dict[str, dict[str, int]] = {
                "write": {"kind": RawKind.BIO_WRITE, "dev": 7 << 20, "value": 80 + 8 * slot, "count": 8},
                "large": {"kind": RawKind.BIO_WRITE, "dev": 7 << 20, "value": 256, "count": 32},
                "alloc": {"kind": RawKind.HANDLE_ALLOC, "value": (1 << 63) + number + words[:i].count("alloc")},
                "free": {"kind": RawKind.HANDLE_FREE, "value": (1 << 63) + number},
                "out": {"kind": RawKind.WRITE_FOLIO, "value": 5},
                "exit": {"kind": RawKind.EXIT},
            }
            queues.setdefault(tid, []).append({**fields[word], "tid": tid})
    stream = []
    for turn in mix:  # the tasks take turns
        tids = sorted(queues)
        if tids:
            tid = tids[turn % len(tids)]
            stream.append((queues[tid].pop(0), 1, tid))
            if not queues[tid]:
                del queues[tid]
    events = complete(stream)
    expected = [null_free(row) for row in reconstruct(events, ORACLE_DEVICES, ITEMS, False)]
    assert [null_free(row) for row in vectorised(events, cuts, False)] == expected
    assert [null_free(row) for row in vectorised(events, list(range(len(events))), False)] == expected


# The life of a page: allocated in a fault, written, and read back by a fault of its own or of a neighbour.
life = st.sampled_from(
    [
        ["fault", "page", "write", "out"],
        ["fault", "page", "write", "out"],
        ["fault", "page", "large", "out"],
        ["write", "out"],
        ["fault", "read"],
        ["fault", "read", "read2"],
        ["fault", "read2", "read"],
        ["read"],
        ["fault", "readlarge"],
        ["exit"],
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(life, st.integers(1, 2), st.integers(0, 3)), max_size=16),
    st.booleans(),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_pages_in_slots_equal_the_oracle(wishes: list[tuple[list[str], int, int]], disk: bool, cuts: list[int]) -> None:
    dev, start = (8 << 20, 2048 + 256) if disk else (7 << 20, 256)
    stream = []
    for words, tid, page in wishes:
        fields: dict[str, dict[str, int]] = {
            "fault": {"kind": RawKind.FAULT, "value": 0x40000 + 0x1000 * page + 5, "count": page % 2},
            "page": {"kind": RawKind.PAGE_ALLOC, "value": 100 + page},
            "write": {"kind": RawKind.BIO_WRITE, "dev": dev, "value": start + 8 * page, "count": 8},
            "large": {"kind": RawKind.BIO_WRITE, "dev": dev, "value": start, "count": 32},
            "out": {"kind": RawKind.WRITE_FOLIO, "value": 100 + page},
            "read": {"kind": RawKind.BIO_READ, "dev": dev, "value": start + 8 * page, "count": 8},
            "read2": {"kind": RawKind.BIO_READ, "dev": dev, "value": start + 8 * (page ^ 1), "count": 8},
            "readlarge": {"kind": RawKind.BIO_READ, "dev": dev, "value": start, "count": 32},
            "exit": {"kind": RawKind.EXIT},
        }
        stream += [(fields[word], 1, tid) for word in words]
    events = complete(stream)
    expected = [null_free(row) for row in reconstruct(events, ORACLE_DEVICES, ITEMS, True)]
    assert [null_free(row) for row in vectorised(events, cuts, True)] == expected
    assert [null_free(row) for row in vectorised(events, list(range(len(events))), True)] == expected


@settings(max_examples=100, deadline=None)
@given(streams, st.lists(st.integers(0, 40), max_size=8))
def test_chunks_make_no_difference(stream: list[tuple[dict[str, int], int, int]], cuts: list[int]) -> None:
    events = complete(stream)
    whole = [null_free(row) for row in vectorised(events, [], True)]
    assert [null_free(row) for row in vectorised(events, cuts, True)] == whole
    assert [null_free(row) for row in vectorised(events, list(range(len(events))), True)] == whole
