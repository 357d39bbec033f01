"""Damaged recordings: imported or refused, in bounded time and memory; ``make fuzz`` does the same with far more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.child import FORMATS, variant
from tests.fuzz.runner import fuzz

VARIANTS = int(os.environ.get("SWAPTRACE_FUZZ", "500"))


def test_every_format_is_fuzzed() -> None:
    from swaptrace.ingest.detect import FORMATS as KNOWN

    assert set(FORMATS) == set(KNOWN)


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_recordings(form: str) -> None:
    tally = fuzz(form, 0, VARIANTS)
    assert tally.variants == VARIANTS
    assert tally.imported + tally.refused == VARIANTS
    assert tally.imported >= VARIANTS // 50, "the damage must leave something to import"
    assert tally.refused >= VARIANTS // 200, "the damage must be seen"


def test_a_variant_is_the_same_every_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        variant("trace-dat", 77, tmp_path / folder)
    assert (tmp_path / "a" / "trace.dat").read_bytes() == (tmp_path / "b" / "trace.dat").read_bytes()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise KeyError('x')", "KeyError"),
        ("import time; time.sleep(60)", "too long"),
        ("import numpy; numpy.ones(1 << 28)", "Memory"),
        ("import warnings; warnings.warn('w')", "UserWarning"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit -11"),
    ],
)
def test_what_must_not_happen_is_found(fault: str, words: str) -> None:
    """The same with an importer that does it, at variant 25."""
    with pytest.raises(AssertionError, match=f"(?s)trace-dat variant 25.*{words}"):
        fuzz("trace-dat", 0, 40, fault)
