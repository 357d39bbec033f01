"""What the live tests of the BPF tier share: record with it, and compare each page with what the workload saw of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace
from tests.live import recording
from tests.live.recording import PAGES, Rows, count


def recorded(folder: Path, group: Path, command: Sequence[str | Path], *options: str) -> tuple[Trace, Rows]:
    return recording.recorded("bpf", folder, group, command, *options)


def assert_counts(trace: Trace, rows: Rows) -> dict[str, int]:
    """The counts are the kernel's, and no backend is unknown."""
    assert count(rows, Kind.SWAP_OUT, Backend.UNKNOWN) == 0
    return recording.assert_counts(trace, rows)


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
