"""Where functions of the kernel are in memory: to filter events by their caller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["called_from", "ranges"]

PROC_KALLSYMS = Path("/proc/kallsyms")
_LONGEST = 1 << 16  # of a function, where the symbol behind it is that of something else


def ranges(prefixes: Sequence[str], kallsyms: Path | None = None) -> tuple[tuple[int, int], ...]:
    """Return ``(start, end)`` of the functions whose name begins with one of ``prefixes``, neighbours merged.

    A function ends where the next symbol begins. Empty where the kernel hides its addresses (kptr_restrict) or has
    no such function.
    """
    symbols: dict[int, bool] = {}
    try:
        with (kallsyms or PROC_KALLSYMS).open() as stream:
            for line in stream:
                address, _, name = line.split(maxsplit=2)
                start = int(address, 16)
                symbols[start] = symbols.get(start, False) or name.startswith(tuple(prefixes))
    except OSError:
        return ()
    symbols.pop(0, None)
    places = sorted(symbols)
    found: list[tuple[int, int]] = []
    for i, start in enumerate(places):
        if not symbols[start]:
            continue
        end = min(places[i + 1] if i + 1 < len(places) else start + _LONGEST, start + _LONGEST)
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def called_from(*prefixes: str) -> str | None:
    """Return a filter on ``call_site``: calls out of those functions; None where their places are unknown.

    ``call_site`` is a return address, so it lies behind the start of its function and may be its end.
    """
    places = ranges(prefixes)
    return " || ".join(f"(call_site > {start:#x} && call_site <= {end:#x})" for start, end in places) or None
