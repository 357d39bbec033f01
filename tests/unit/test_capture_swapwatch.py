"""Swap areas that come and go: their types, and the thread that notices."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.capture import swapwatch
from swaptrace.capture.swapwatch import SwapTypes, SwapWatch
from swaptrace.model.meta import SwapChange, SwapDevice

A, B, C = (SwapDevice(0, number << 20, f"/dev/{name}", pages=8) for number, name in ((7, "a"), (8, "b"), (9, "c")))


def lines(*devices: SwapDevice) -> list[SwapDevice]:
    """The areas as /proc/swaps lists them: numbered by line."""
    return [replace(device, swap_type=i) for i, device in enumerate(devices)]


def test_a_new_area_gets_the_lowest_free_type() -> None:
    types = SwapTypes(lines(A, B))
    types.update(lines(B), 10)  # type 0 is free; B keeps 1 though it is the first line now
    types.update(lines(C, B), 20)
    types.update(lines(C, B, A), 30)
    types.update([], 40)
    assert [(d.path, d.swap_type) for d in types.devices] == [
        ("/dev/a", 0),
        ("/dev/b", 1),
        ("/dev/c", 0),
        ("/dev/a", 2),
    ]
    assert types.changes == (
        SwapChange(10, False, 0),
        SwapChange(20, True, 2),
        SwapChange(30, True, 3),
        SwapChange(40, False, 1),
        SwapChange(40, False, 2),
        SwapChange(40, False, 3),
    )


@given(st.lists(st.integers(0, 2), max_size=20))
def test_types_are_those_of_a_table(toggles: list[int]) -> None:
    """The kernel's own table: the first free entry on swapon; /proc/swaps lists it in order."""
    table: list[SwapDevice | None] = [A, None, None]
    types = SwapTypes([A])
    for ts, number in enumerate(toggles):
        device = (A, B, C)[number]
        paths = [d.path if d else "" for d in table]
        if device.path in paths:
            table[paths.index(device.path)] = None
        else:
            table[paths.index("")] = device
        types.update(lines(*(d for d in table if d)), ts)
        assert {t: types.devices[i].path for t, i in types.active.items()} == {
            t: d.path for t, d in enumerate(table) if d
        }


def test_the_watch_widens_before_it_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now: list[SwapDevice] = lines(A)
    monkeypatch.setattr(swapwatch, "read_swaps", lambda path: (tuple(now), (f"{C.path}: no extents",)))
    done: list[object] = []

    def widen(devices: Sequence[SwapDevice]) -> bool:
        done.append([d.path for d in devices])
        return devices[-1].path != C.path

    (tmp_path / "swaps").write_text("")
    with SwapWatch(now, widen, lambda types: done.append(len(types.changes)), tmp_path / "swaps") as watch:
        now[:] = lines(A, B)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        watch.look()
        now[:] = lines(A, B, C)
        watch.look()
        watch.look()
    assert done == [["/dev/a", "/dev/b"], 1, ["/dev/a", "/dev/b", "/dev/c"], 2]
    assert watch.types.changes[0].ts >= before
    assert watch.notes == [
        "/dev/c was enabled during the recording: this recorder does not see its slots",
        "/dev/c: no extents",
    ]
    watch.check()


def test_an_error_of_the_thread_is_raised_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ValueError("no /proc/swaps")

    (tmp_path / "swaps").write_text("")
    monkeypatch.setattr(swapwatch, "read_swaps", lambda path: ((A,), ()))
    monkeypatch.setattr(select, "POLLPRI", select.POLLIN)  # a regular file is always ready: the thread looks at once
    with SwapWatch([A], lambda devices: True, lambda types: None, tmp_path / "swaps") as watch:
        watch.check()
        monkeypatch.setattr(swapwatch, "read_swaps", broken)
        for _ in range(500):
            if watch.error is not None:
                break
            time.sleep(0.01)
        with pytest.raises(ValueError, match="no /proc/swaps"):
            watch.check()
