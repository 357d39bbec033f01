"""Run the command as a user does: a process with its own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["lines", "shell", "swaptrace"]


def swaptrace(*args: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``swaptrace ARGS`` and return what it printed; ``env`` is added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "swaptrace", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
    )


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a pipeline in bash with ``swaptrace`` as a function; its status is that of the failing part."""
    start = f'set -o pipefail; swaptrace() {{ "{sys.executable}" -m swaptrace "$@"; }}; '
    return subprocess.run(
        ["bash", "-c", start + command], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )


def lines(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of an error: at most three, the first says who, none is a traceback."""
    found = result.stderr.splitlines()
    assert 1 <= len(found) <= 3, result.stderr
    assert found[0].startswith("swaptrace: ")
    assert all(line.startswith("  ") for line in found[1:])
    assert result.stdout == ""
    return found
