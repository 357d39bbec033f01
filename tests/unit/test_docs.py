"""The generated pages say what the code says, and the README's commands are the ones that exist."""

from __future__ import annotations

import re
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


def test_every_file_that_the_pages_name_exists() -> None:
    for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:swaptrace|tests|docs|traces|reports)/[\w./-]*)`", (ROOT / page).read_text()):
            assert (ROOT / name).exists(), f"{page}: {name}"
