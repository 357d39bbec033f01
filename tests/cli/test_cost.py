"""``cost list``, ``cost show``, and ``--cost`` of replay, report and diff, as processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swaptrace.model.cost_files import load_cost, preset_names
from tests.cli.shell import lines, swaptrace
from tests.traces import story, write_trace

TWO = ("-p", "swap-table", "-p", "flash-vswap")
FILES = ("out/launch.swap-table.json", "out/launch.flash-vswap.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cost")
    write_trace(path / "launch.parquet", story(2000))
    assert swaptrace("replay", "launch.parquet", *TWO, "-o", "out", "-q", cwd=path).returncode == 0
    (path / "mine.toml").write_text(
        'summary = "our board"\nbase = "emmc51"\n[pe_cycles]\nlow = 500\ntypical = 700\nhigh = 900\nsource = "sheet"\n'
    )
    return path


def figures(text: str) -> list[Any]:
    return [{k: one[k] for k in ("metrics", "cost", "basis")} for one in map(json.loads, text.splitlines())]


def test_list_and_show_print_every_price_with_its_source() -> None:
    text = swaptrace("cost", "list").stdout
    assert [line.split()[0] for line in text.splitlines()[1:8]] == preset_names()
    result = swaptrace("cost", "show", "emmc51", "--cost-set", "line_ns=60..120")
    flat = " ".join(result.stdout.split())
    for name, price in load_cost("emmc51").prices.items():
        assert f"{name} " in flat
        assert name == "line_ns" or f"[{price.source}]" in flat
    assert "changed: line_ns=60..90..120" in flat
    document = json.loads(swaptrace("cost", "show", "emmc51", "--json").stdout)
    assert document["prices"]["device_read_ns"]["typical"] == 250_000
    assert [one["preset"] for one in json.loads(swaptrace("cost", "list", "--json").stdout)] == preset_names()


@pytest.mark.parametrize("cost", [("--cost", "ufs3"), ("--cost", "mine.toml", "--cost-set", "line_ns=60..120")])
def test_report_prices_anew_what_replay_would_have(folder: Path, cost: tuple[str, ...]) -> None:
    again = swaptrace("report", *FILES, *cost, "--format", "json", cwd=folder)
    assert (again.returncode, again.stderr) == (0, "")
    replayed = swaptrace("replay", "launch.parquet", *TWO, *cost, "--format", "json", "-q", cwd=folder)
    assert figures(again.stdout) == figures(replayed.stdout)
    one = figures(again.stdout)[0]
    assert one["cost"]["preset"] == cost[1]
    assert one["metrics"]["cost.swap_in_ns.p50"]["value"] > 100_000


def test_diff_of_saved_reports_is_the_diff_of_the_replay(folder: Path) -> None:
    cost = ("--cost", "mine.toml", "--cost-set", "device_read_ns=30us..80us")
    saved = swaptrace("diff", *FILES, *cost, "--format", "mail", cwd=folder)
    replayed = swaptrace("diff", "launch.parquet", *TWO, *cost, "--format", "mail", "-q", cwd=folder)
    assert saved.returncode == replayed.returncode == 0
    assert saved.stdout == replayed.stdout
    assert "cost    mine.toml  sha256:" in saved.stdout
    assert max(map(len, saved.stdout.splitlines())) <= 72
    command = saved.stdout.partition("reproduce:")[2].replace("\\\n", "").split()
    assert swaptrace(*command[1:], "--format", "mail", "-q", cwd=folder).stdout == saved.stdout


def test_without_cost_a_report_stays_as_it_was_priced(folder: Path) -> None:
    priced = swaptrace("replay", "launch.parquet", *TWO, "--cost", "pmem", "-o", "pmem", "-q", cwd=folder)
    assert priced.returncode == 0
    shown = swaptrace("report", "pmem/launch.swap-table.json", "--format", "json", cwd=folder).stdout
    assert shown == (folder / "pmem/launch.swap-table.json").read_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("replay", "launch.parquet", *TWO, "--cost", "emc51"), 2, "did you mean 'emmc51'?"),
        (("report", FILES[0], "--cost", "none.toml"), 3, "none.toml does not exist"),
        (("report", FILES[0], "--cost-set", "lines=3"), 2, "did you mean 'line_ns'?"),
        (("diff", *FILES, "--cost-set", "device_read_ns=3us"), 2, "not all"),
        (("cost", "show", "zrm"), 2, "did you mean 'zram'?"),
    ],
)
def test_what_cannot_be_meant_is_three_lines(folder: Path, words: tuple[str, ...], code: int, says: str) -> None:
    result = swaptrace(*words, cwd=folder)
    assert result.returncode == code
    assert says in "\n".join(lines(result))


def test_a_report_without_a_basis_says_so(folder: Path) -> None:
    old = json.loads((folder / FILES[0]).read_text())
    del old["basis"], old["cost"]["overrides"], old["cost"]["prices"]
    (folder / "old.json").write_text(json.dumps(old))
    assert swaptrace("report", "old.json", cwd=folder).returncode == 0
    result = swaptrace("report", "old.json", "--cost", "ufs3", cwd=folder)
    assert result.returncode == 3
    assert "cannot be priced again" in "\n".join(lines(result))
    broken = {**old, "basis": {"pages": {"out.moon.1.1": 3}}}
    (folder / "broken.json").write_text(json.dumps(broken))
    assert swaptrace("report", "broken.json", cwd=folder).returncode == 3
