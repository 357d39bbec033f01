"""``swaptrace record``: telling files from a command, and what is refused before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from swaptrace.capture import session
from swaptrace.cli import record
from swaptrace.ingest import convert as importer
from swaptrace.model.errors import PermissionDenied, SwaptraceError
from swaptrace.model.meta import TraceMeta


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the command would have done: nothing is recorded or imported."""
    seen: list[tuple[str, Any]] = []

    def live(out: Path, **wish: Any) -> TraceMeta:
        seen.append(("live", wish))
        return TraceMeta(interrupted=wish["duration"] == 7)

    def convert(inputs: list[Path], out: Path, **wish: Any) -> TraceMeta:
        seen.append(("import", {"inputs": inputs, **wish}))
        return TraceMeta()

    monkeypatch.setattr(session, "record_live", live)
    monkeypatch.setattr(importer, "convert", convert)
    monkeypatch.setattr(record, "_summary", lambda output, meta: ["done"])
    return seen


def run(*words: str | Path) -> int:
    """Run the command inside an app of two commands, as in the real one; return the exit code."""
    app = typer.Typer()
    app.command("other")(lambda: None)
    record.register(app)
    result = CliRunner().invoke(app, ["record", *(str(word) for word in words)])
    if isinstance(result.exception, SwaptraceError):
        return result.exception.exit_code
    return result.exit_code


def test_words_behind_the_dashes_are_the_command(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    assert run("-o", tmp_path / "t", "--duration", "5min", "--", "make", "-j", "2", "--", "-o", "x") == 0
    ((kind, wish),) = calls
    assert kind == "live"
    assert wish["command"] == ["make", "-j", "2", "--", "-o", "x"]
    assert wish["duration"] == 300


def test_a_command_named_like_an_existing_file_is_a_command(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "perf.data").write_bytes(b"")
    assert run("-o", tmp_path / "t", "--", tmp_path / "perf.data") == 0
    assert [kind for kind, _ in calls] == ["live"]


def test_words_before_the_dashes_are_files(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    files = [tmp_path / "a.data", tmp_path / "b.data"]
    for file in files:
        file.write_bytes(b"")
    assert run(*files, "-o", tmp_path / "t", "--from", "perf-data", "--device", "253,1") == 0
    ((kind, wish),) = calls
    assert kind == "import"
    assert wish["inputs"] == files
    assert wish["fmt"] == "perf-data"
    assert wish["devices"][0].dev == 253 << 20 | 1


def test_no_words_record_until_ctrl_c(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    assert run("-o", tmp_path / "t", "--buffer", "8MiB", "--owner") == 0
    ((kind, wish),) = calls
    assert (kind, wish["command"], wish["duration"]) == ("live", [], None)
    assert (wish["buffer_kb"], wish["owner"]) == (8192, True)


def test_a_recording_cut_short_exits_with_130(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    assert run("-o", tmp_path / "t", "--duration", "7") == 130


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["FILE", "-o", "OUT", "--", "true"], 2),  # both
        (["-o", "OUT", "--"], 2),  # a command is missing
        (["FILE"], 2),  # where to?
        (["FILE", "-o", "FILE"], 2),  # would overwrite
        (["FILE", "--dry-run"], 2),
        (["missing.data", "-o", "OUT"], 3),
        (["FILE", "-o", "OUT", "--device", "zram0"], 2),
        (["FILE", "-o", "OUT", "--vmstat", "FILE"], 3),
        (["-o", "OUT", "--duration", "soon"], 2),
        (["-o", "OUT", "--buffer", "0"], 2),
        (["FILE", "--recover", "FILE", "-o", "OUT"], 2),
        # what would do nothing
        (["-o", "OUT", "--map", "ts=time"], 2),
        (["-o", "OUT", "--from", "csv", "--", "true"], 2),
        (["-o", "OUT", "--device", "253,0", "--", "true"], 2),
        (["-o", "OUT", "--errors", "stop", "--dry-run"], 2),
        (["FILE", "-o", "OUT", "--duration", "3"], 2),
        (["FILE", "-o", "OUT", "--tier", "bpf"], 2),
        (["FILE", "-o", "OUT", "--owner"], 2),
        (["FILE", "-o", "OUT", "--salt", "auto"], 2),
        (["--recover", "FILE", "-o", "OUT", "--cgroup", "/"], 2),
        (["--dry-run", "--content", "4"], 2),
        (["-o", "OUT", "--tier", "tracepoint", "--content", "4"], 2),
        (["-o", "OUT", "--backend", "perf", "--salt", "none"], 2),
    ],
)
def test_what_is_refused(calls: list[tuple[str, Any]], tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "file").write_bytes(b"text\n")
    places = {"FILE": tmp_path / "file", "OUT": tmp_path / "out"}
    assert run(*(places.get(word, word) for word in words)) == code
    assert calls == []
    assert not (tmp_path / "out").exists()


def test_force_overwrites(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"")
    assert run("-o", tmp_path / "t", "--force", "--", "true") == 0
    assert len(calls) == 1


@pytest.mark.parametrize("output", [".", "fifo", "nowhere/t.parquet", "file/t.parquet", os.fsdecode(b"\xff.parquet")])
def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(
    calls: list[tuple[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("file").write_text("")
    assert run("-o", output, "--force", "--duration", "1") == PermissionDenied.exit_code
    assert calls == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "file"]


def test_a_dash_is_standard_input(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    assert run("-", "-o", tmp_path / "t.parquet") == 0
    assert calls[0][1]["inputs"] == [Path("-")]


def test_contents_are_hashed_under_a_new_salt_each_time(calls: list[tuple[str, Any]], tmp_path: Path) -> None:
    for _ in range(2):
        assert run("-o", tmp_path / "t", "--", "true") == 0
    first, second = (wish["content"] for _, wish in calls)
    assert first.hash
    assert len(first.salt) == len(second.salt) == 16
    assert first.salt != second.salt


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (("--salt", "none"), (True, None)),
        (("--salt", "00ff" * 8), (True, b"\0\xff" * 8)),
        (("--hash", "none", "--salt", "none"), (False, None)),
    ],
)
def test_the_user_decides_on_salt_and_hash(
    calls: list[tuple[str, Any]], tmp_path: Path, words: tuple[str, ...], content: tuple[bool, bytes | None]
) -> None:
    assert run("-o", tmp_path / "t", *words, "--", "true") == 0
    ((_, wish),) = calls
    assert (wish["content"].hash, wish["content"].salt) == content


@pytest.mark.parametrize(
    "words",
    [
        ("--salt", "00ff"),
        ("--salt", "yes"),
        ("--hash", "md5"),
        ("--content", "3"),
        ("--content", "0"),
        ("--content", "2", "--hash", "none"),
    ],
)
def test_a_wrong_salt_or_hash_is_refused(calls: list[tuple[str, Any]], tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("-o", tmp_path / "t", *words, "--", "true") == 2
    assert calls == []
