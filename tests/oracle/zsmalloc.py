"""What a compressed page occupies in zsmalloc, searched for anew at each call."""

from __future__ import annotations


def footprint(size: int) -> int:
    """Return the bytes: the share of a chain of the merged class that the object and its handle fit."""
    needed = min(size + 8, 4096)
    best = own = (0, 0)
    for step in range(4096, 31, -16):
        pages = min(range(1, 9), key=lambda k: (k * 4096 % step, k))
        made = (pages, pages * 4096 // step)
        if made != own:
            own = made
            if step >= needed:
                best = made
    return best[0] * 4096 // best[1]
