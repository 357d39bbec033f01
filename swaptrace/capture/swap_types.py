"""Which swap area of a trace has a type that the kernel names: the two number areas differently after a swapoff."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["possible_types"]


def possible_types(seen: Collection[int], numbers: Sequence[int]) -> dict[int, list[int]]:
    """Return which types of a trace each of the kernel's types in ``seen`` can be; ``numbers`` are all of the trace.

    A trace numbers the lines of /proc/swaps, which are in the order of the types; after a swapoff of a lower type the
    kernel's numbers have a hole that /proc does not tell (capture/swaps.py), so that its types are higher. The order
    and the counts still leave one choice for a single area, for type 0, and where pages went to every area.

    >>> possible_types({3}, [0]), possible_types({0}, [0, 1]), possible_types({1}, [0, 1])
    ({3: [0]}, {0: [0]}, {1: [0, 1]})
    """
    ordered, kinds = sorted(numbers), sorted(seen)
    spare = len(ordered) - len(kinds)
    return {kind: ordered[rank : min(kind, spare + rank) + 1] for rank, kind in enumerate(kinds)}
