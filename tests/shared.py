"""The shared recordings, which lie beside the repository and are not part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["shared"]

_ROOT = Path(__file__).resolve().parents[2] / "shared"


def shared(path: str) -> Path:
    """Return ``../shared/path``; skip the test where it is absent."""
    found = _ROOT / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not on this machine: the recordings are kept beside the repository")
    return found
