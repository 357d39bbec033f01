"""The traces in the repository are the ones that their manifest describes, small, valid and readable."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from swaptrace.model.invariants import validate
from swaptrace.model.trace import Trace

FOLDER = Path(__file__).parents[2] / "traces"
MANIFEST = tomllib.loads((FOLDER / "MANIFEST.toml").read_text())


def test_every_trace_is_in_the_manifest() -> None:
    assert {p.name for p in FOLDER.glob("*.parquet")} == set(MANIFEST)


@pytest.mark.parametrize("name", MANIFEST)
def test_a_trace_is_what_its_manifest_says(name: str) -> None:
    path, entry = FOLDER / name, MANIFEST[name]
    assert path.stat().st_size <= 1 << 20
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["file_sha256"]
    trace = Trace(path)
    assert (trace.rows, trace.meta.digest, trace.meta.kernel) == (
        entry["events"],
        entry["content_sha256"],
        entry["kernel"],
    )
    assert validate(trace).violations == []
