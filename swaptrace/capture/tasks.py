"""Names and thread groups of tasks: the kernel's small caches of them, completed from /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["TaskNames"]


class TaskNames:
    """What is known of every task: its name (comm) and its process (tgid).

    saved_cmdlines of tracefs keeps 128 names by default; tasks that live at the start or at the end of the
    recording are in /proc as well.
    """

    def __init__(self) -> None:
        self.comm: dict[int, str] = {}
        self.tgid: dict[int, int] = {}

    def scan(self, proc: Path = Path("/proc")) -> None:
        """Add the tasks that live now; what is known already is replaced."""
        for process in proc.iterdir():
            if not process.name.isdigit():
                continue
            with contextlib.suppress(OSError):  # it ended meanwhile
                for task in (process / "task").iterdir():
                    self.comm[int(task.name)] = _text(task / "comm")[:-1]
                    self.tgid[int(task.name)] = int(process.name)

    def add_saved(self, tracefs: Path) -> None:
        """Add the kernel's own caches, which saw the tasks run."""
        with contextlib.suppress(OSError):  # saved_tgids fails where no instance ever asked for tgids
            for line in _text(tracefs / "saved_cmdlines").split("\n"):
                tid, _, comm = line.partition(" ")
                if tid.isdecimal():  # else the rest of a name that holds a line end
                    self.comm[int(tid)] = comm
        with contextlib.suppress(OSError):
            for line in (tracefs / "saved_tgids").read_text().splitlines():
                tid, tgid = line.split()
                self.tgid[int(tid)] = int(tgid)

    def save(self, target: Path) -> None:
        """Write ``saved_cmdlines`` and ``saved_tgids`` in the kernel's format, each whole or not at all."""
        for name, known in (("saved_cmdlines", self.comm), ("saved_tgids", self.tgid)):
            temporary = target / f"{name}.tmp"
            lines = (f"{tid} {said}".replace("\n", "?") + "\n" for tid, said in sorted(known.items()))
            temporary.write_text("".join(lines))
            os.replace(temporary, target / name)


def _text(file: Path) -> str:
    """Return a text with names, which may be any bytes: the kernel cuts them after 15, within a character, too."""
    with file.open(errors="replace", newline="\n") as stream:
        return stream.read()
