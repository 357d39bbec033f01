"""The case studies of docs/cases print what the commands in them print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.case_studies import CASES, rerun


@pytest.mark.parametrize("page", CASES, ids=lambda page: page.stem)
def test_a_case_study_is_reproducible(page: Path) -> None:
    text = page.read_text()
    assert "```text" in text
    assert rerun(text) == text, "run: make docs, and read what the page says about the figures"
