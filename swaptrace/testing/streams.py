"""Random event streams that visit every regime, what can be made of them, and traces that live in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from swaptrace.model.events import COLUMN_BY_NAME, Backend, EventBatch, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta
from swaptrace.model.ops import Ops
from swaptrace.model.trace import Trace
from swaptrace.replay.objects import NEEDED_COLUMNS, RARE_COLUMNS, Objects

__all__ = [
    "MemoryTrace",
    "all_freed",
    "all_zero",
    "nothing_to_do",
    "ops_of",
    "other_slots",
    "random_stream",
    "random_trace",
]

Arrays = dict[str, np.ndarray[Any, Any]]


class MemoryTrace:
    """What the engine needs of a trace, over arrays; batches can be cut anywhere.

    ``columns`` are trace columns by name, ``valid`` the masks of those that may be unknown (hash, fill).
    """

    def __init__(self, columns: Arrays, valid: Arrays, meta: TraceMeta, cuts: Sequence[int] = ()) -> None:
        self.columns, self.valid, self.meta = columns, valid, meta
        self.rows = len(columns["ts"])
        self.path = Path("memory.parquet")
        self.cuts = cuts

    def batches(
        self, names: Sequence[str], batch_rows: int = 1 << 16, *, rare: Sequence[str] = ()
    ) -> Iterator[EventBatch]:
        """Yield the columns ``names``, cut at ``cuts``, or every ``batch_rows`` events where there are none."""
        marks = [c for c in self.cuts if 0 < c < self.rows] or list(range(batch_rows, self.rows, batch_rows))
        bounds = [0, *sorted(set(marks)), self.rows]
        for a, b in pairwise(bounds):
            columns = {name: self._column(name)[a:b] for name in (*names, *rare)}
            valid = {n: self.valid.get(n, np.zeros(self.rows, bool))[a:b] for n in names if n in ("hash", "fill")}
            yield EventBatch(columns, a, valid)

    def _column(self, name: str) -> np.ndarray[Any, Any]:
        if name in self.columns:
            return self.columns[name]
        column = COLUMN_BY_NAME[name]
        return np.full(self.rows, column.null or 0, column.dtype)

    def cut(self, cuts: Sequence[int]) -> Trace:
        """Return the same trace with batches that end at the rows ``cuts``."""
        made = MemoryTrace(self.columns, self.valid, self.meta, cuts)
        made.path = self.path  # where its sidecars are
        return cast(Trace, made)


def random_trace(
    seed: int,
    events: int,
    slots: int = 4096,
    contents: int = 40,
    zero: float = 0.15,
    rewrites: float = 0.05,
    unhashed: float = 0.02,
    folios: float = 0.05,
    memcgs: int = 3,
    cpus: int = 4,
    live: int = 1500,
) -> MemoryTrace:
    """Return a trace that first fills up to about ``live`` objects, then churns around that number."""
    r = np.random.default_rng(seed)
    rows: list[
        tuple[int, ...]
    ] = []  # kind, backend, slot, owner page, cpu, memcg, hash, hash known, fill, fill known, sub
    alive: dict[int, int] = {}
    names: list[int] = []
    spare = list(range(1, slots))
    r.shuffle(spare)
    page = 1

    def content() -> tuple[int, int, int, int]:
        x = r.random()
        if x < zero:
            return 7, 1, 0, 1
        if x < zero + 0.05:
            return 11, 1, 0x5A5A, 1
        h = int(r.integers(1, contents)) if r.random() < 0.5 else int(r.integers(1, 2**62))
        return h * 0x9E3779B97F4A7C15 % 2**64, int(r.random() > unhashed), 0, 0

    while len(rows) < events:
        x, cpu, memcg = r.random(), int(r.integers(cpus)), int(r.integers(1, memcgs + 1))
        grow = 0.75 if len(alive) < live and len(rows) < events * 0.6 else 0.30
        if (x < grow and len(spare) > 8) or not alive:
            run = int(r.choice([4, 16])) if r.random() < folios else 1
            for sub in range(min(run, len(spare))):
                slot = spare.pop()
                alive[slot] = page
                names.append(slot)
                rows.append((Kind.SWAP_OUT, Backend.DISK, slot, page, cpu, memcg, *content(), sub))
                page += 1
            continue
        i = int(r.integers(len(names)))
        slot = names[i]
        if x < grow + rewrites:
            rows.append((Kind.SWAP_OUT, Backend.DISK, slot, alive[slot], cpu, memcg, *content(), 0))
        elif x < grow + rewrites + 0.02:  # proves an unseen free
            alive[slot] = page
            rows.append((Kind.SWAP_OUT, Backend.DISK, slot, page, cpu, memcg, *content(), 0))
            page += 1
        elif x < grow + rewrites + 0.02 + 0.45 * (1 - grow - rewrites):
            backend = Backend.CACHE if r.random() < 0.1 else Backend.DISK
            rows.append((Kind.SWAP_IN, backend, slot, 0, cpu, 0, 0, 0, 0, 0, 0))
        else:
            names[i] = names[-1]
            names.pop()
            del alive[slot]
            spare.insert(int(r.integers(len(spare) + 1)), slot)
            rows.append((Kind.SLOT_FREE, Backend.NONE, slot, 0, cpu, 0, 0, 0, 0, 0, 0))
    return _trace(rows, slots)


def random_stream(seed: int) -> MemoryTrace:
    """Return a trace of 2000 events: for even seeds of growing live state, for odd ones of a small one that churns."""
    return random_trace(seed, 2000) if seed % 2 == 0 else random_trace(seed, 2000, live=250, contents=20)


def ops_of(trace: MemoryTrace, columns: Sequence[str] = ()) -> Ops:
    """Return all ops of ``trace`` in one batch, with the trace columns ``columns``: what a twin steps through."""
    objects = Objects(extra=columns)
    events = next(trace.cut([]).batches((*NEEDED_COLUMNS, *columns), trace.rows, rare=RARE_COLUMNS))
    return next(objects.feed(events))


def all_freed(trace: MemoryTrace) -> MemoryTrace:
    """Return ``trace`` with a swapoff of its device behind it."""
    columns = {name: np.append(values, values[-1:]) for name, values in trace.columns.items()}
    columns["kind"][trace.rows] = Kind.SWAPOFF
    valid = {name: np.append(mask, False) for name, mask in trace.valid.items()}
    return MemoryTrace(columns, valid, dataclasses.replace(trace.meta, rows=trace.rows + 1))


def all_zero(trace: MemoryTrace, *, recorded: bool = False) -> MemoryTrace:
    """Return ``trace`` with nothing but zero pages; ``recorded``: the recording kernel stored none of them either."""
    fill = np.zeros_like(trace.columns["fill"])
    changed = _with(trace, {"fill": fill}, {"fill": np.ones(trace.rows, bool)})
    if recorded:
        changed.columns["backend"][trace.columns["backend"] == Backend.DISK] = Backend.ZERO
    return changed


def nothing_to_do(trace: MemoryTrace, seed: int) -> MemoryTrace:
    """Return ``trace`` with pages that are not filled with one word, do not compress, and have no equal."""
    columns = {
        "hash": np.random.default_rng(seed).permutation(trace.rows).astype("u8") + np.uint64(1),
        "csize": np.full(trace.rows, 4096, "u4"),
    }
    return _with(trace, columns, {"hash": np.ones(trace.rows, bool), "fill": np.zeros(trace.rows, bool)})


def other_slots(trace: MemoryTrace, seed: int) -> MemoryTrace:
    """Return ``trace`` as it would be if the kernel had handed out its slots in another order."""
    names = np.random.default_rng(seed).permutation(trace.meta.devices[0].pages)
    return _with(trace, {"slot": names[trace.columns["slot"]].astype("i8")}, {})


def _with(trace: MemoryTrace, columns: Arrays, valid: Arrays) -> MemoryTrace:
    copied = {name: values.copy() for name, values in trace.columns.items()}
    return MemoryTrace(copied | columns, trace.valid | valid, trace.meta)


def _trace(rows: list[tuple[int, ...]], slots: int) -> MemoryTrace:
    kind, backend, slot, owner_page, cpu, memcg, hashes, hashed, fill, filled, sub = (
        list(c) for c in zip(*rows, strict=True)
    )
    pages = np.array(owner_page, "i8")
    columns: Arrays = {
        "ts": np.arange(len(rows), dtype="i8") * 10,
        "kind": np.array(kind, "u1"),
        "backend": np.array(backend, "u1"),
        "slot": np.array(slot, "i8"),
        "va": np.where(pages > 0, pages << 12, -1),
        "owner_tgid": (pages > 0).astype("u4"),
        "swap_type": np.zeros(len(rows), "u1"),
        "cpu": np.array(cpu, "u2"),
        "memcg": np.array(memcg, "u8"),
        "hash": np.array(hashes, "u8"),
        "fill": np.array(fill, "u8"),
        "sub": np.array(sub, "u2"),
        "write": np.array(slot) % 3 == 0,
    }
    valid = {"hash": np.array(hashed, bool), "fill": np.array(filled, bool)}
    sizes = np.random.default_rng(len(rows) + sum(slot)).integers(-700, 5000, len(rows))  # some unknown, some huge
    columns["csize"] = np.where(columns["kind"] == Kind.SWAP_OUT, sizes.clip(0, 4096), 0).astype("u4")
    meta = TraceMeta(
        kernel="test",
        recorder="test",
        devices=(SwapDevice(0, 1, pages=slots),),
        capabilities=dict.fromkeys(Capability, Sight.OBSERVED),
        rows=len(rows),
        digest="0" * 64,
    )
    return MemoryTrace(columns, valid, meta)
