"""The figures of the sample traces change only on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import FOLDER, TRACES, golden_files


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_reports_of_the_sample_traces_are_the_golden_ones(trace: Path) -> None:
    for path, text in golden_files(trace).items():
        assert path.exists(), f"{path.name} is new: look at it, then run: make golden"
        assert text == path.read_text(), f"{path.name} changed: look at the difference; if it is meant: make golden"


def test_every_golden_file_belongs_to_a_policy() -> None:
    expected = {path for trace in TRACES for path in golden_files(trace)}
    assert set(FOLDER.glob("*")) == expected
