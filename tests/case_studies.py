"""The case studies of docs/cases: pages whose commands are run, and whose output is what they print.

A fence of ``sh`` is run by the shell, in a folder where ``traces`` are the sample traces; if a fence of ``text``
follows it, that is its output. All commands of a page run in one folder, in order. `make docs` writes the output
again, tests/cli/test_case_studies.py compares it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["CASES", "rerun"]

ROOT = Path(__file__).parents[1]
CASES = tuple(sorted((ROOT / "docs" / "cases").glob("*.md")))
_STEP = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n?^```text\n(?P<output>.*?)^```\n)?", re.M | re.S)
# Both engines give the same bits: a page does not depend on which one wrote it.
_ENGINE = re.compile(r"(?<=engine )\w+")


def rerun(page: str) -> str:
    """Return ``page`` with the output that its commands print now."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "traces").symlink_to(ROOT / "traces")

        def step(found: re.Match[str]) -> str:
            printed = _shell(found["commands"], folder)
            if found["output"] is None:
                return found[0]
            head = found[0][: found.start("output") - found.start()]
            return f"{head}{_ENGINE.sub('numba', printed)}```\n"

        return _STEP.sub(step, page)


def _shell(commands: str, folder: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-eu", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{commands}\n{run.stdout}{run.stderr}")
    return run.stdout
