"""The generated pages say what the code says, and the README's commands are the ones that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_generated_page_is_current(path: Path) -> None:
    assert path.read_text() == pages()[path], "run: make docs"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.M))


def test_the_demo_prints_what_the_readme_shows() -> None:
    demo = re.search(r"^demo:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert demo is not None
    command = demo[1].replace("$(BIN)", str(Path(sys.executable).parent)).split()
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shown = re.findall(r"^(?:indirection|write)\..*$", (ROOT / "README.md").read_text(), re.M)
    assert len(shown) == 4
    lines = [line.split() for line in printed.splitlines()]
    assert [row for row in shown if row.split() not in lines] == []


def test_every_file_that_the_pages_name_exists() -> None:
    for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:swaptrace|tests|docs|traces|reports)/[\w./-]*)`", (ROOT / page).read_text()):
            assert (ROOT / name).exists(), f"{page}: {name}"
