"""``swaptrace synth`` as a user runs it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.shell import lines, swaptrace

SMALL = ("--events", "20000", "--set", "footprint=16MiB", "--set", "resident=8MiB")


def test_a_trace_is_written_validated_and_diffed(tmp_path: Path) -> None:
    made = swaptrace("synth", "zipf", "-o", tmp_path / "t.parquet", *SMALL)
    assert made.returncode == 0
    assert made.stderr == ""
    assert "20,000 events" in made.stdout
    assert swaptrace("validate", tmp_path / "t.parquet").returncode == 0
    assert "recipe zipf, footprint=16MiB" in swaptrace("info", tmp_path / "t.parquet").stdout
    compared = swaptrace("diff", tmp_path / "t.parquet", "-p", "swap-table", "-p", "vswap-v6+dedup")
    assert compared.returncode == 0


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    found = set()
    for name in ("a", "b"):
        assert swaptrace("synth", "thp-mix", "-o", tmp_path / name, *SMALL, "--seed", "9", "-q").stdout == ""
        found.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(found) == 1


def test_the_recipes_are_listed() -> None:
    listed = swaptrace("synth", "--list").stdout
    for word in ("launch-storm", "readahead", "256MiB", "share"):
        assert word in listed
    assert max(map(len, listed.splitlines())) <= 100
    one = swaptrace("synth", "hot-cold", "--list").stdout
    assert "Desnoyers" in one
    assert max(map(len, one.splitlines())) <= 100
    parsed = json.loads(swaptrace("synth", "--list", "--json").stdout)
    assert len(parsed) == 9
    assert {"name", "summary", "source", "rule", "params"} == set(parsed[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("synth",), "which recipe?"),
        (("synth", "zipf"), "where to?"),
        (("synth", "zip", "-o", "t"), "did you mean 'zipf'?"),
        (("synth", "zipf", "-o", "t", "--set", "alpha"), "no KEY=VALUE"),
        (("synth", "zipf", "-o", "t", "--set", "alpha=1", "--set", "alpha=2"), "given twice"),
        (("synth", "zipf", "-o", "t", "--set", "alfa=1"), "did you mean 'alpha'?"),
        (("synth", "zipf", "-o", "t", "--json"), "--json without --list"),
        (("synth", "zipf", "-o", "t", "--events", "10"), "end before zipf begins"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = swaptrace(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert said in "\n".join(lines(result))
    assert list(tmp_path.iterdir()) == []


def test_a_trace_is_never_overwritten_by_accident(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("mine")
    result = swaptrace("synth", "zipf", "-o", tmp_path / "t", *SMALL)
    assert result.returncode == 2
    assert (tmp_path / "t").read_text() == "mine"
