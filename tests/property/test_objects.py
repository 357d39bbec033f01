"""Objects equal their event-at-a-time twin, however the stream is cut, and never look at slot numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.model.events import Backend, Cause, EventBatch, Kind
from swaptrace.model.ops import CARRIED, NOTHING, Op, Ops
from swaptrace.replay.objects import Objects
from tests.engines import ENGINES
from tests.oracle.objects import Event, resolve

events = st.builds(
    Event,
    ts=st.integers(0, 3),
    kind=st.sampled_from([Kind.SWAP_OUT] * 4 + [Kind.SWAP_IN] * 3 + [Kind.SLOT_FREE] * 2 + [Kind.SWAPOFF]),
    cause=st.sampled_from([Cause.NONE, Cause.FAULT]),
    backend=st.sampled_from([Backend.DISK, Backend.DISK, Backend.ZERO, Backend.CACHE, Backend.FREED]),
    tgid=st.integers(1, 2),
    owner=st.integers(0, 2),
    swap_type=st.integers(0, 1),
    slot=st.sampled_from([-1, 0, 1, 2, 600]),
    va=st.sampled_from([-1, 4096, 8192]),
)


def batch_of(rows: list[Event], first: int = 0) -> EventBatch:
    def column(name: str, dtype: str) -> np.ndarray:
        return np.array([getattr(e, name) for e in rows], dtype)

    return EventBatch(
        {
            "ts": column("ts", "i8"),
            "kind": column("kind", "u1"),
            "cause": column("cause", "u1"),
            "backend": column("backend", "u1"),
            "tgid": column("tgid", "u4"),
            "owner_tgid": column("owner", "u4"),
            "swap_type": column("swap_type", "u1"),
            "dev": np.zeros(len(rows), "u4"),
            "slot": column("slot", "i8"),
            "va": column("va", "i8"),
            "sub": np.zeros(len(rows), "u2"),
            "cpu": np.zeros(len(rows), "u2"),
        },
        first,
    )


class Follower:
    """Turns handles, prev and birth back into object numbers, and checks them against each other."""

    def __init__(self) -> None:
        self.objects = 0
        self.by_handle: dict[int, int] = {}
        self.ops: list[tuple[str, int, int]] = []

    def follow(self, ops: Ops) -> None:
        number_at: list[int] = []
        outs: dict[int, tuple[int, int]] = {}  # handle -> (latest OUT, birth) in this batch
        for i in range(len(ops)):
            handle, op = int(ops.handle[i]), Op(ops.op[i])
            expected = outs.get(handle, (CARRIED, CARRIED))
            if ops.new[i]:
                assert handle not in self.by_handle
                assert (ops.prev[i], ops.birth[i]) == (NOTHING, NOTHING)
                self.by_handle[handle] = self.objects
                self.objects += 1
                outs[handle] = (i, i)
            else:
                assert (ops.prev[i], ops.birth[i]) == expected, i
                if op == Op.OUT:
                    outs[handle] = (i, expected[1])
            number = self.by_handle[handle]
            number_at.append(number)
            name = op.name if op != Op.OUT else ("NEW" if ops.new[i] else "REWRITE")
            self.ops.append((name, number, int(ops.ts[i])))
            if op == Op.FREE:
                del self.by_handle[handle]
                outs.pop(handle, None)


def run(rows: list[Event], cuts: list[int], free_inference: str) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    bounds = [0, *sorted({c for c in cuts if c < len(rows)} - {0}), len(rows)]
    batches = [batch_of(rows[a:b], a) for a, b in itertools.pairwise(bounds) if b > a]
    bitmap = None
    if free_inference == "earliest":
        bitmap = Objects().find_last_accesses(iter(batches), len(rows))
    objects, follower = Objects(last_access=bitmap), Follower()
    for batch in batches:
        for ops in objects.feed(batch):
            follower.follow(ops)
    return follower.ops, vars(objects.counts)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("free_inference", ["latest", "earliest"])
@settings(deadline=None)  # the first run compiles
@given(rows=st.lists(events, max_size=60), cuts=st.lists(st.integers(1, 60), max_size=5))
def test_objects_equal_their_twin_wherever_batches_are_cut(
    engine: Engine, rows: list[Event], cuts: list[int], free_inference: str
) -> None:
    for i, row in enumerate(rows):
        row.ts = i
    with using_engine(engine):
        seen, counts = run(rows, cuts, free_inference)
    expected, expected_counts = resolve(rows, free_inference)
    assert seen == expected
    assert {k: counts[k] for k in expected_counts} == expected_counts


@settings(deadline=None)
@given(rows=st.lists(events, max_size=60), renamed=st.permutations([0, 1, 2, 600]))
def test_slot_numbers_are_names_only(rows: list[Event], renamed: list[int]) -> None:
    rows = [e for e in rows if e.kind != Kind.SWAPOFF]  # a swapoff frees in slot order
    name = dict(zip([0, 1, 2, 600], renamed, strict=True))
    before = run(rows, [], "latest")
    for row in rows:
        row.slot = name.get(row.slot, row.slot)
    assert run(rows, [], "latest") == before
