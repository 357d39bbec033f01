"""The self-test of doctor without swapping: the places that it compares, and where it cannot run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from swaptrace.capture.doctor.root import State
from swaptrace.capture.doctor.selftest import _parent, _seen_places, run_selftest
from swaptrace.capture.swap_types import possible_types
from swaptrace.model.events import Kind
from swaptrace.model.meta import SwapDevice
from tests.traces import write_trace
from tests.unit.doctor_machine import SWAPS, machine, unprivileged


@pytest.mark.parametrize(
    ("seen", "numbers", "possible"),
    [
        ([0], [0], {0: [0]}),
        ([7], [0], {7: [0]}),  # the only area: any number is its
        ([1, 2], [0, 1], {1: [0], 2: [1]}),  # pages went to all areas: their order tells
        ([1], [0, 1], {1: [0, 1]}),  # type 0 may be a hole or the other area
        ([0, 5], [0, 1, 2], {0: [0], 5: [1, 2]}),
        ([3], [3], {3: [3]}),  # a recorder that knows the kernel's types
    ],
)
def test_a_type_is_one_of_those_that_the_order_leaves(
    seen: list[int], numbers: list[int], possible: dict[int, list[int]]
) -> None:
    assert {kind: set(choices) for kind, choices in possible_types(seen, numbers).items()} == {
        kind: set(choices) for kind, choices in possible.items()
    }


@pytest.mark.parametrize("on", list(itertools.combinations(range(5), 2)) + list(itertools.combinations(range(5), 3)))
def test_the_true_type_is_always_possible(on: tuple[int, ...]) -> None:
    """Whatever areas are on, whichever of them took pages: the line of each is among its choices."""
    for count in range(1, len(on) + 1):
        for seen in itertools.combinations(on, count):
            choices = possible_types(seen, range(len(on)))
            assert all(on.index(kind) in choices[kind] for kind in seen)


def test_a_wrong_type_in_the_trace_is_seen(tmp_path: Path) -> None:
    common = {"ts": 0, "cpu": 0, "tid": 7, "comm": "x"}
    moves = ((Kind.SWAP_OUT, 0, 5), (Kind.SWAP_OUT, 0, 6), (Kind.SWAP_IN, 0, 5), (Kind.SWAP_IN, 1, 6))
    rows = [{**common, "kind": kind, "swap_type": number, "slot": slot} for kind, number, slot in moves]
    areas = tuple(SwapDevice(number, 1 << 20 | number) for number in (0, 1))
    trace = write_trace(tmp_path / "t.parquet", rows, devices=areas)
    assert _seen_places(trace, {(0, 5), (0, 6)}) == (2, 1)  # slot 6 came in from another area
    assert _seen_places(trace, {(1, 5), (1, 6)}) == (2, 1)  # after a swapoff the first area may have type 1, not both
    assert _seen_places(trace, {(0, 5), (1, 6)}) == (1, 2)
    assert _seen_places(trace, {(0, 7)}) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"/proc/swaps": SWAPS.splitlines()[0]}, "no swap area"),
        ({"/proc/swaps": SWAPS.replace(" 0 -2", " 1048000 -2")}, "the swap areas have less than 16 MiB free"),
        ({"/proc/sys/kernel/osrelease": "5.3.0"}, "Linux 5.3.0 has no MADV_PAGEOUT"),
        ({"/sys/fs/cgroup/cgroup.subtree_control": "cpu"}, "no cgroup"),
        ({"/proc/self/mounts": "proc /proc proc rw 0 0\n"}, "no cgroup"),
    ],
)
def test_the_self_test_says_why_it_does_not_run(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    test = run_selftest(machine(tmp_path, changes))
    assert test.check.state is State.WARN
    assert test.check.what.startswith(f"not run: {words}")
    assert not test.expected_out


def test_the_child_is_made_where_its_limit_acts(tmp_path: Path) -> None:
    root = machine(tmp_path)
    assert _parent(root) == tmp_path / "sys/fs/cgroup"
    deeper = machine(
        tmp_path, {"/sys/fs/cgroup/user/cgroup.subtree_control": "memory", "/sys/fs/cgroup/user/cgroup.procs": ""}
    )
    assert _parent(deeper) == tmp_path / "sys/fs/cgroup/user"
    assert _parent(replace(deeper, access=unprivileged)) is None
    v1 = machine(
        tmp_path / "v1",
        {
            "/proc/self/mounts": "c /m cgroup rw,memory 0 0\n",
            "/proc/self/cgroup": "3:cpu:/\n2:memory:/a/b\n",
            "/m/a/b/cgroup.procs": "",
        },
    )
    assert _parent(v1) == tmp_path / "v1/m/a/b"
