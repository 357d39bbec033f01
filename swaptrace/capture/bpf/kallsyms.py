"""Where kernel functions are: text ranges from /proc/kallsyms."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["KernelText"]

PROC_KALLSYMS = Path("/proc/kallsyms")
_NOT_RUN = (".cold", "_init", "_exit")  # other sections: they would stretch a range over foreign text


class KernelText:
    """Functions of the kernel and their addresses; empty where kptr_restrict hides them."""

    def __init__(self, functions: Mapping[str, int], starts: Sequence[int]) -> None:
        self._functions = functions
        self._starts = starts

    @classmethod
    def read(cls, path: Path = PROC_KALLSYMS) -> KernelText:
        """Read the functions of the running kernel and its modules."""
        functions: dict[str, int] = {}
        starts = set()
        for line in path.read_text().splitlines():
            address, kind, name, *_ = line.split()
            if kind in "tTwW" and int(address, 16):
                starts.add(int(address, 16))
                functions[name] = int(address, 16)
        return cls(functions, sorted(starts))

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def of(self, name: str) -> tuple[int, int] | None:
        """Return start and end of a function, None where it does not exist (or was inlined)."""
        start = self._functions.get(name)
        return None if start is None else (start, self._end(start))

    def around(self, *names: str) -> tuple[int, int]:
        """Return the range that the functions ``names`` span; a name that ends with * stands for all that begin so.

        Functions of one source file are neighbours. (0, 0): there is none.
        """
        found = [
            address
            for name, address in self._functions.items()
            if any(name.startswith(n[:-1]) if n.endswith("*") else name == n for n in names)
            and not name.endswith(_NOT_RUN)
        ]
        return (min(found), self._end(max(found))) if found else (0, 0)

    def _end(self, start: int) -> int:
        at = bisect.bisect_right(self._starts, start)
        return self._starts[at] if at < len(self._starts) else start + 4096
