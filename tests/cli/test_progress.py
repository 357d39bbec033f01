"""The progress bar: on a terminal only, on stderr only, and not with -q."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.traces import story, write_trace


def on_terminal(trace: Path, *more: str) -> tuple[str, str]:
    """Replay with stderr on a terminal of 90 columns; return what stdout and the terminal got."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    words = [sys.executable, "-m", "swaptrace", "replay", str(trace), "-p", "swap-table", *more]
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=end, text=True, timeout=60, check=True)
    os.set_blocking(terminal, False)
    try:
        shown = os.read(terminal, 1 << 16).decode()
    except BlockingIOError:
        shown = ""
    os.close(end)
    os.close(terminal)
    return result.stdout, shown


@pytest.mark.parametrize("quiet", [False, True])
def test_the_bar_is_for_terminals(tmp_path: Path, quiet: bool) -> None:
    trace = write_trace(tmp_path / "launch.parquet", story(500))
    out, shown = on_terminal(trace, *(["-q"] if quiet else []))
    assert ("ev/s" in shown) is not quiet
    assert "ev/s" not in out
    assert out.startswith("trace   launch.parquet")
