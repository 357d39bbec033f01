"""Layouts and stages of others: a real package with entry points, good and broken ones, and classes in files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import lines, swaptrace

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "traces" / "redis_zram.parquet"
PACKAGE = ROOT / "tests" / "plugin_package"
MODULE = PACKAGE / "src" / "swaptrace_example" / "flat_map.py"
CONTRACT = PACKAGE / "tests" / "test_contract.py"
BROKEN = {
    "'a-number' of swaptrace-example 1.2": "it is not a class",
    "'broken-layout' of swaptrace-example 1.2": ("ModuleNotFoundError: No module named 'swaptrace_example.missing'"),
    "'forgets' of swaptrace-example 1.2": (
        "its constructor does not take its params (word): got an unexpected keyword argument 'word'"
    ),
    "'no-such-class' of swaptrace-example 1.2": (
        "AttributeError: module 'swaptrace_example.flat_map' has no attribute 'NoSuchClass'"
    ),
    "'of-tomorrow' of swaptrace-tomorrow 3": "it needs linux-swaptrace>=99, this is 0.1.0",
    "'vswap-v6' of swaptrace-example 1.2": "its name is taken",
    "'a-layout' of swaptrace-example 1.2": "it has no role (Role)",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the package is installed."""
    source, target = tmp_path_factory.mktemp("source") / "package", tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*command, "--target", str(target), str(source)], check=True, env=env)
    tomorrow = target / "swaptrace_tomorrow-3.dist-info"  # copied here by no installer that knows versions
    tomorrow.mkdir()
    (tomorrow / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: swaptrace-tomorrow\nVersion: 3\nRequires-Dist: linux-swaptrace>=99\n"
    )
    (tomorrow / "entry_points.txt").write_text("[swaptrace.layouts]\nof-tomorrow = none:None\n")
    return target


def metrics(*args: str) -> dict[str, float]:
    run = swaptrace("replay", TRACE, "-q", "--format", "json", *args)
    assert run.returncode == 0, run.stderr
    return {name: figure["value"] for name, figure in json.loads(run.stdout)["metrics"].items()}


def test_the_tutorial_is_the_package() -> None:
    page = (ROOT / "docs" / "your-layout.md").read_text()
    layout, contract = re.findall(r"```python\n(.*?)```", page, re.S)
    assert layout == MODULE.read_text()
    assert len(layout.splitlines()) <= 60
    assert contract == CONTRACT.read_text()


def test_the_package_passes_its_own_tests(site: Path, tmp_path: Path) -> None:
    """Its tests call policy_contract, on what is installed."""
    tests = shutil.copytree(PACKAGE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tests)]
    env = {**os.environ, "PYTHONPATH": str(site)}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 passed" in run.stdout


def test_an_installed_layout_and_stage_are_used_by_name(site: Path) -> None:
    run = swaptrace("replay", TRACE, "-q", "--format", "json", "-p", "flat-map:word=16+look-on", PYTHONPATH=str(site))
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["policy"]["origin"] == "flat-map: swaptrace-example 1.2; look-on: swaptrace-example 1.2"
    assert report["policy"]["spec"].startswith("flat-map:word=16+zero:same=off,ro=off+look-on+slots:")
    assert report["metrics"]["indirection.metadata_bytes.static"]["value"] == 16 * 524288


def test_the_list_marks_plugins_and_names_the_broken_ones(site: Path) -> None:
    run = swaptrace("policies", "list", PYTHONPATH=str(site))
    assert run.returncode == 0
    assert "one array with an 8-byte word per swap entry [swaptrace-example 1.2]" in run.stdout
    assert "passes everything on [swaptrace-example 1.2]" in run.stdout
    assert run.stderr.splitlines() == [
        f"swaptrace: warning: plugin {name} cannot be used: {why}" for name, why in BROKEN.items()
    ]


def test_a_broken_plugin_hurts_only_who_asks_for_it(site: Path) -> None:
    good = swaptrace("replay", TRACE, "-q", "-p", "swap-table", PYTHONPATH=str(site))
    assert (good.returncode, good.stderr) == (0, "")
    bad = swaptrace("replay", TRACE, "-p", "broken-layout", PYTHONPATH=str(site))
    assert bad.returncode == 2
    assert lines(bad)[0] == "swaptrace: swaptrace-example 1.2: plugin 'broken-layout' cannot be used."
    old = swaptrace("replay", TRACE, "-p", "of-tomorrow", PYTHONPATH=str(site))
    assert lines(old)[1] == "  it needs linux-swaptrace>=99, this is 0.1.0"


def test_a_class_in_a_file_is_a_layout(tmp_path: Path) -> None:
    (tmp_path / "flat_map.py").write_text(MODULE.read_text())
    own = f"{tmp_path}/flat_map.py:FlatMap"
    assert metrics("-p", f"{own}:word=16")["indirection.metadata_bytes.static"] == 16 * 524288
    near = swaptrace("replay", TRACE, "-q", "-p", "./flat_map.py:FlatMap", cwd=tmp_path)
    assert near.returncode == 0, near.stderr
    explained = swaptrace("policies", "explain", own)
    assert "origin  flat-map: flat_map.py sha256:" in explained.stdout
    assert "One flat array for all swap entries" in explained.stdout


def test_a_class_in_a_file_is_held_to_the_contract(tmp_path: Path) -> None:
    """As the tutorial says, without any test framework."""
    (tmp_path / "flat_map.py").write_text(MODULE.read_text())
    script = (
        "import sys; from swaptrace.testing import policy_contract; "
        "policy_contract('./flat_map.py:FlatMap', seeds=[0]); "
        "sys.exit(bool({'pytest', 'hypothesis'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_class_in_a_file_is_a_stage(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text((MODULE.parent / "look_on.py").read_text())
    mine, plain = metrics("-p", f"vswap-v6+{tmp_path}/mine.py:Nothing"), metrics("-p", "vswap-v6")
    assert mine == plain


@pytest.mark.parametrize(
    ("text", "asked", "says"),
    [
        ("x = 1\n", "Mine", "has no class 'Mine'"),
        ("raise OSError('no')\n", "Mine", "cannot be imported"),
        ("raise SystemExit('no')\n", "Mine", "cannot be imported"),
        ("class Mine: ...\n", "Mine", "it has no name (str)"),
        ("Mine = 3\n", "Mine", "it is not a class"),
        ("class Mine:\n    name = 'm'; summary = 's'; direct = True\n", "Mine", "does not inherit from"),
        (
            "from swaptrace.model.component import Layout as L\n"
            "class Mine(L):\n    name = 'm'; summary = 's'; direct = True\n",
            "Mine",
            "it has no method start()",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, asked: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    run = swaptrace("replay", TRACE, "-p", f"{tmp_path}/mine.py:{asked}")
    assert run.returncode == 2
    assert says in "\n".join(lines(run))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    run = swaptrace("policies", "explain", f"{tmp_path}/none.py:Mine")
    assert run.returncode == 2
    assert "does not exist" in lines(run)[0]
