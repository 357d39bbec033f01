"""Policies side by side: the same reports as one after the other, and the first error wins."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest

from swaptrace.model.errors import SpaceError
from swaptrace.model.ops import Ops
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from swaptrace.replay.workers import Workers
from tests.streams import random_trace

SPECS = ("as-recorded", "swap-table", "vswap-v6+dedup", "flash-vswap+flash:buffer=96KiB,erase=64KiB+ftl:erase=64KiB")


def test_reports_do_not_depend_on_the_number_of_threads() -> None:
    trace = random_trace(11, 6000)
    policies = [resolve(spec) for spec in SPECS]
    serial = replay(trace.cut([]), policies, batch_rows=500, jobs=1)
    for jobs in (2, 4, 9):
        assert replay(trace.cut([]), policies, batch_rows=500, jobs=jobs) == serial


class Notes:
    """A policy that notes in which order and thread it is fed."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.threads: set[str] = set()

    def feed(self, ops: Ops) -> None:
        self.seen.append(int(ops.ts[0]))
        self.threads.add(threading.current_thread().name)
        ops.backing[:] = 9  # of its own copy


def batch(ts: int) -> Ops:
    one = np.zeros(1, np.int32)
    return Ops(
        np.array([ts]), one.astype("u1"), one.astype("u2"), one, one == 0, one - 2, one - 2, one.astype("u2"), {}
    )


def test_each_policy_gets_its_batches_in_order_and_as_its_own() -> None:
    runs = [Notes(), Notes()]
    with Workers(2, 2) as workers:
        for ts in range(50):
            ops = batch(ts)
            workers.feed(runs, ops)
        workers.wait()
    for run in runs:
        assert all(a < b for a, b in pairwise(run.seen))
        assert len(run.seen) == 50
        assert "MainThread" not in run.threads
    assert ops.backing.tolist() == [0]


def test_one_policy_needs_no_thread() -> None:
    run = Notes()
    with Workers(8, 1) as workers:
        workers.feed([run], batch(0))
    assert run.threads == {"MainThread"}


def test_the_error_of_a_policy_ends_the_replay() -> None:
    trace = random_trace(11, 3000)
    policies = [resolve("swap-table"), resolve("vswap-v6+slots:size=512")]
    with pytest.raises(SpaceError):
        replay(trace.cut([]), policies, batch_rows=300, jobs=2)
