"""``replay``, ``report`` and ``diff`` with the real engine, as processes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from swaptrace.model.meta import Capability, Sight
from tests.cli.shell import lines, shell, swaptrace
from tests.traces import META, story, write_trace

THREE = ("-p", "swap-table", "-p", "vswap-v6", "-p", "flash-vswap")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay")
    write_trace(path / "launch.parquet", story(2000))
    blind = {**META.capabilities, Capability.HASH: Sight.ABSENT}
    rows = [{key: value for key, value in row.items() if key != "hash"} for row in story(50)]
    write_trace(path / "blind.parquet", rows, capabilities=blind)
    return path


@pytest.fixture(scope="module")
def mail(folder: Path) -> str:
    result = swaptrace("diff", "launch.parquet", *THREE, "--format", "mail", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_a_mail_has_72_columns_of_ascii_and_both_pairs(mail: str) -> None:
    assert mail.isascii()
    assert max(map(len, mail.splitlines())) <= 72
    assert mail.count("\nindirection.lookups ") == 2


def test_the_reproduce_command_prints_the_same_again(mail: str, folder: Path) -> None:
    command = mail.partition("reproduce:")[2].replace("\\\n", "")
    words = shlex.split(command)
    assert swaptrace(*words[1:], "--format", "mail", cwd=folder).stdout == mail


def test_saved_reports_differ_as_the_replay_did(mail: str, folder: Path) -> None:
    assert swaptrace("replay", "launch.parquet", *THREE, "-o", "out", "-q", cwd=folder).stderr == ""
    files = [f"out/launch.{name}.json" for name in ("swap-table", "vswap-v6", "flash-vswap")]
    again = swaptrace("diff", *files, "--format", "mail", cwd=folder)
    assert (again.returncode, again.stdout) == (0, mail)
    tripped = swaptrace("diff", *files[:2], "--fail-on", "indirection.lookups_per_event:+2%", cwd=folder)
    assert tripped.returncode == 1
    assert "indirection.lookups_per_event:+2% tripped by vswap-v6" in tripped.stderr
    shown = swaptrace("report", *files, "--format", "json", cwd=folder).stdout
    assert [json.loads(line)["policy"]["name"] for line in shown.splitlines()] == [
        "swap-table",
        "vswap-v6",
        "flash-vswap",
    ]
    text = (folder / "out" / "launch.vswap-v6.txt").read_text()
    assert "reproduce: swaptrace replay launch.parquet -p vswap-v6" in text


def test_a_missing_capability_is_exit_4_and_writes_nothing(folder: Path) -> None:
    result = swaptrace("replay", "blind.parquet", "-p", "swap-table+dedup", "-o", "none", cwd=folder)
    assert result.returncode == 4
    assert "HASH" in "\n".join(lines(result))
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    "spec", ["swap-tabel", "swap-table+dedupe", "swap-table+dedup:scop=device", "flash-vswap:buffer=4MB"]
)
def test_a_misspelt_spec_is_exit_2_with_a_hint(folder: Path, spec: str) -> None:
    result = swaptrace("replay", "launch.parquet", "-p", spec, cwd=folder)
    assert result.returncode == 2
    assert len(lines(result)) >= 2


def test_free_inference_is_in_the_command_that_reproduces(folder: Path) -> None:
    result = swaptrace("diff", "launch.parquet", *THREE[:4], "--free-inference", "earliest", cwd=folder)
    assert result.returncode == 0
    assert "--free-inference earliest" in result.stdout.partition("reproduce:")[2]


def test_head_ends_a_replay_quietly(folder: Path) -> None:
    result = shell("swaptrace diff launch.parquet -p swap-table -p vswap-v6 | head -n 3", folder)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 3


def test_the_same_input_prints_the_same_bytes(folder: Path) -> None:
    one, two = (swaptrace("replay", "launch.parquet", *THREE, "--format", "json", cwd=folder).stdout for _ in range(2))
    assert one == two
