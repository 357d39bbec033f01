"""Size classes of zsmalloc against the list that the running kernel publishes, and those known for 4 KiB pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.kernels.zsmalloc import classes, occupied

LARGEST = [
    (4096, 1, 1), (3632, 8, 9), (3584, 7, 8), (3504, 6, 7), (3408, 5, 6), (3264, 4, 5), (3184, 7, 9), (3072, 3, 4),
    (2976, 8, 11), (2912, 5, 7), (2864, 7, 10), (2720, 2, 3), (2592, 7, 11), (2560, 5, 8),
]  # fmt: skip


def test_the_classes_are_those_of_linux_6_18() -> None:
    assert [tuple(c) for c in classes()[: len(LARGEST)]] == LARGEST
    assert len(classes()) == 119


def test_the_running_kernel_has_the_same_classes() -> None:
    files = list(Path("/sys/kernel/debug/zsmalloc").glob("*/classes"))
    if not files:
        pytest.skip("no zsmalloc pool, or debugfs is not readable")
    rows = [line.split() for line in files[0].read_text().splitlines()]
    head = rows[0]
    size, pages = head.index("size"), head.index("pages_per_zspage")
    shown = {(int(row[size]), int(row[pages])) for row in rows[1:] if len(row) == len(head) and row[0].isdigit()}
    assert shown
    assert shown <= {(c.size, c.pages) for c in classes()}


@pytest.mark.parametrize(("size", "bytes_"), [(0, 32), (24, 32), (25, 48), (3624, 3640), (3625, 4096), (4096, 4096)])
def test_what_a_compressed_page_occupies(size: int, bytes_: int) -> None:
    assert occupied(np.array([size])).tolist() == [bytes_]
