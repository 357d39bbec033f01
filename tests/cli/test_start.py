"""How the command starts: fast, quiet, with all versions, and with numpy's sort set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swaptrace.cli.machine import prefer_avx2_sort
from tests.cli.shell import lines, shell, swaptrace
from tests.traces import story, write_trace

HEAVY = {"numpy", "polars", "pyarrow", "pydantic", "tqdm", "tabulate", "numba"}
ZEN4 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fpu avx2 avx512f avx512_vbmi2\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['swaptrace', '--help']\nfrom swaptrace.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as e:\n    assert e.code == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr.strip() == "[]"
    assert "Usage: swaptrace" in result.stdout


def test_every_command_has_a_whole_line_in_the_help() -> None:
    result = swaptrace("--help")
    commands = result.stdout.partition("Commands:")[2]
    assert "..." not in commands
    assert "..." not in swaptrace("policies", "--help").stdout.partition("Commands:")[2]
    for name in ("record", "doctor", "synth", "info", "validate", "replay", "report", "diff", "schema", "policies"):
        assert f"\n  {name} " in commands


def test_version_names_what_a_bug_report_needs() -> None:
    result = swaptrace("--version")
    assert result.returncode == 0
    for word in (
        "swaptrace ",
        "trace schema 1",
        "swaptrace.report/1",
        "python ",
        "numpy ",
        "pyarrow ",
        "polars ",
        "engine ",
    ):
        assert word in result.stdout


@pytest.mark.parametrize("words", [("dif",), ("diff", "--nope"), ("replay",), ("info", "--owners", "x", "t")])
def test_usage_errors_exit_2_without_a_traceback(words: tuple[str, ...]) -> None:
    result = swaptrace(*words)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_debug_adds_the_traceback_wherever_it_stands() -> None:
    for words in (("--debug", "info", "nowhere"), ("info", "nowhere", "--debug")):
        result = swaptrace(*words)
        assert result.returncode == 3
        assert "Traceback (most recent call last)" in result.stderr
        assert result.stderr.splitlines()[-2] == "swaptrace: nowhere does not exist."
    assert lines(swaptrace("info", "nowhere"))


@pytest.mark.parametrize(
    ("cpuinfo", "before", "after"),
    [
        (ZEN4, {}, True),
        (ZEN4, {"NPY_DISABLE_CPU_FEATURES": "SSE3"}, False),
        (ZEN4.replace("25", "23"), {}, False),
        (ZEN4.replace("AuthenticAMD", "GenuineIntel"), {}, False),
        (ZEN4.replace("avx512_vbmi2", ""), {}, False),
        ("", {}, False),
    ],
)
def test_avx512_sort_is_turned_off_on_zen_4_only(
    tmp_path: Path, cpuinfo: str, before: dict[str, str], after: bool
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    environ = dict(before)
    prefer_avx2_sort(environ, path)
    assert (environ != before) is after
    prefer_avx2_sort(environ, tmp_path / "missing")


def test_the_names_of_the_cpu_features_are_right_for_this_numpy() -> None:
    code = (
        "import warnings\nfrom swaptrace.cli.machine import prefer_avx2_sort\n"
        "prefer_avx2_sort()\nwarnings.simplefilter('error')\nimport numpy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", ["info t.parquet", "--help", "--version", "schema metrics"])
def test_a_full_disk_is_an_error_and_no_traceback(tmp_path: Path, command: str) -> None:
    write_trace(tmp_path / "t.parquet", story(5))
    result = shell(f"swaptrace {command} > /dev/full", tmp_path)
    assert result.returncode == 5
    assert lines(result)[0] == "swaptrace: cannot write the result."


def test_closed_streams_do_not_matter(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", story(5))
    result = shell("swaptrace info t.parquet <&- >&- && swaptrace info t.parquet <&- >&- 2>&-", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_terminal_that_is_not_utf8_shows_what_it_can(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", story(5))
    result = swaptrace("info", "t.parquet", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.isascii()


def test_a_file_name_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", story(5))
    result = shell("cp t.parquet $'t\\xff.parquet'; swaptrace info $'t\\xff.parquet'", tmp_path)
    assert result.returncode == 3
    assert "not UTF-8" in lines(result)[0]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_terminated_import_ends_as_with_ctrl_c(tmp_path: Path, name: str) -> None:
    code = (
        "import os, signal, sys, threading, time\nfrom swaptrace.cli.main import run\n"
        "sys.argv = ['swaptrace', 'record', '-', '-o', 't.parquet']\n"
        "def send():\n"
        "    while 'swaptrace.ingest.convert' not in sys.modules: time.sleep(0.01)\n"
        f"    time.sleep(0.3); os.kill(os.getpid(), signal.{name})\n"
        "threading.Thread(target=send).start()\nrun()\n"
    )
    reading, writing = os.pipe()  # standard input that never ends
    try:
        result = subprocess.run(
            [sys.executable, "-c", code],
            stdin=reading, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert (result.returncode, len(lines(result))) == (130, 1)
    assert "interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("info",), ("validate",), ("report",), ("diff", "t.parquet"), ("replay", "-p", "swap-table"), ("record",)]
)
def test_the_parser_leaves_unreadable_files_to_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    from swaptrace.cli.main import app

    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    output = ["-o", "out.parquet"] if words == ("record",) else []
    with pytest.raises(SystemExit) as caught:
        app([*words, "t.parquet", *output], prog_name="swaptrace")
    assert caught.value.code == (5 if output else 3)  # empty input; the folder of the output is not writable
