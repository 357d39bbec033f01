"""Runs children that fuzz, and says which variant ended one that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.child import Tally

__all__ = ["fuzz"]


def fuzz(form: str, first: int, count: int, fault: str = "") -> Tally:
    """Import ``count`` damaged variants of a format in a process of its own; ``fault`` is a statement that variant 25
    executes, to test this.

    Raises :class:`AssertionError`, with how to see the variant again, if one did anything but import or be refused.
    """
    with tempfile.NamedTemporaryFile("r") as notes:
        command = [sys.executable, "-m", "tests.fuzz.child", form, str(first), str(count), notes.name, fault]
        env = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=_ROOT)
        if done.returncode == 0:
            return Tally(**json.loads(done.stdout.splitlines()[-1]))
        number = notes.read() or str(first)
        why = "it took too long" if done.returncode == -14 else f"exit {done.returncode}"
        raise AssertionError(
            f"{form} variant {number}: {why}\n{done.stderr[-3000:]}\nagain: python -m tests.fuzz {form} --only {number}"
        )


_ROOT = Path(__file__).resolve().parents[2]
