"""How many virtual clusters and cache lines it takes to look at the entries of runs, each counted once per run.

Rule. An entry is cluster << 9 | position. Of each distinct cluster in a run: the nodes on the way to it (``levels`` of
the run), ``fixed_lines``, one more if the highest position looked at is ``second_line_from`` or above, and the distinct
lines of 64 B of its entries' bytes: ``used_bytes`` (0: all) from ``first_byte`` + position x ``entry_bytes`` on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER
from swaptrace.kernels.loop import engine_name, loop
from swaptrace.kernels.tables import Bytes, Ints, readable

__all__ = ["ENTRY_BITS", "EntryLines", "touched"]

ENTRY_BITS = 9  # an entry is cluster key << 9 | position
_PART = 1 << 15  # entries that are looked at together: few enough for short keys


@dataclass(frozen=True)
class EntryLines:
    """Where in its cluster what is looked at of an entry lies, in bytes from the beginning of a cache line."""

    fixed_lines: int
    entry_bytes: int
    first_byte: int = 0
    used_bytes: int = 0
    second_line_from: int = CLUSTER


def touched(lengths: Ints, entry: Ints, levels: Bytes, shape: EntryLines) -> tuple[int, int]:
    """Return how many clusters and how many lines the runs touch, summed over them.

    Args:
        lengths: int64[k], how many entries each run has.
        entry: int64[n], at least one; those of a run behind those of the run before.
        levels: uint8[k].
        shape: what is looked at.
    """
    used = shape.used_bytes or shape.entry_bytes
    if engine_name() != "numba":
        return _in_vectors(lengths, entry, levels, shape, used)
    size = 1 << (8 * int(lengths.max())).bit_length()
    found = np.zeros(2, np.int64)
    _touch(
        readable(lengths, np.int64), readable(entry, np.int64), readable(levels, np.uint8), shape.fixed_lines,
        shape.entry_bytes, shape.first_byte, used, shape.second_line_from, np.full(size, -1, np.int64),
        np.zeros(size, np.int64), found,
    )  # fmt: skip
    return int(found[0]), int(found[1])


def _in_vectors(lengths: Ints, entry: Ints, levels: Bytes, shape: EntryLines, used: int) -> tuple[int, int]:
    # What a position means, in ascending order: its first line, how many more it has, whether the header has two.
    position = np.arange(CLUSTER)
    begin = position * shape.entry_bytes + shape.first_byte
    first_line, last_line = begin >> 6, (begin + used - 1) >> 6
    more_bits = int((last_line - first_line).max()).bit_length()
    means = ((first_line << more_bits) + last_line - first_line) << 1 | (position >= shape.second_line_from)
    ends = np.cumsum(lengths)
    clusters = lines = start = first = 0
    while first < len(entry):
        least, most = np.searchsorted(ends, [first, first + _PART], side="right").tolist()
        stop = max(least + 1, most)
        part, first = slice(first, int(ends[stop - 1])), int(ends[stop - 1])
        count, more = _in_part(lengths[start:stop], entry[part], levels[start:stop], means, more_bits)
        clusters, lines, start = clusters + count, lines + more, stop
    return clusters, lines + clusters * shape.fixed_lines


def _in_part(lengths: Ints, entry: Ints, levels: Bytes, means: Ints, more_bits: int) -> tuple[int, int]:
    """Return how many clusters some runs touch, and how many lines but for the fixed ones."""
    low, own = int(entry.min()) >> ENTRY_BITS, int(means[-1]).bit_length()
    bits = ((int(entry.max()) >> ENTRY_BITS) - low).bit_length() + own
    kind = np.uint32 if bits + len(lengths).bit_length() <= 32 else np.uint64  # the shorter, the faster to sort
    entry = (entry - (low << ENTRY_BITS)).astype(kind)
    key: NDArray[Any] = np.repeat((np.arange(len(lengths)) << bits).astype(kind), lengths)
    key += entry >> kind(ENTRY_BITS) << kind(own)
    key += means.astype(kind)[entry & kind(CLUSTER - 1)]
    key = _without_repeats(key)  # entries of a run may lie in the line of the one before: fewer are left to sort
    key.sort()
    key = _without_repeats(key)

    new = np.ones(len(key), np.bool_)  # the first of its cluster in its run
    np.not_equal(key[1:] >> kind(own), key[:-1] >> kind(own), out=new[1:])
    meaning = key & kind((1 << own) - 1)
    first_line, more = meaning >> kind(more_bits + 1), (meaning >> kind(1)) & kind((1 << more_bits) - 1)
    fresh = new.copy()  # its first line is not the last line of the one before
    fresh[1:] |= first_line[1:] != first_line[:-1] + more[:-1]
    news = np.flatnonzero(new)
    highest = meaning[np.append(news[1:] - 1, len(key) - 1)]  # of each cluster
    lines = int(np.count_nonzero(fresh)) + int(more.sum()) + int((highest & kind(1)).sum())
    return len(news), lines + int(levels[key[news] >> kind(bits)].sum(dtype=np.int64))


def _without_repeats(key: NDArray[Any]) -> NDArray[Any]:
    other = np.ones(len(key), np.bool_)
    np.not_equal(key[1:], key[:-1], out=other[1:])
    return key[other]


@loop
def _touch(
    lengths: Ints, entry: Ints, levels: Bytes, fixed_lines: int, entry_bytes: int, first_byte: int, used: int,
    second_line_from: int, seen_in: Ints, seen: Ints, found: Ints,
) -> Any:  # fmt: skip
    """Fill ``found``. ``seen`` is a hash set that a new run finds empty: a place is taken if ``seen_in`` is the run.

    In it a cluster has 512 numbers: its lines, and two more for its header. What the entry before has put there is
    not looked up again.
    """
    mask = len(seen) - 1
    clusters = 0
    lines = 0
    n = 0
    for r in range(len(lengths)):
        latest = -1
        latest_base = -1
        for i in range(n, n + lengths[r]):
            position = entry[i] & 511
            base = (entry[i] >> 9) * 512
            begin = position * entry_bytes + first_byte
            for what in range(4):
                if what == 0:
                    key = base + (begin >> 6)
                    if key == latest:
                        continue
                elif what == 1:
                    key = base + ((begin + used - 1) >> 6)
                    same = key == base + (begin >> 6)
                    latest = key
                    if same:
                        continue
                elif what == 2:
                    key = base + 510
                    if base == latest_base:
                        continue
                    latest_base = base
                else:
                    key = base + 511
                    if position < second_line_from:
                        continue
                h = (key * 40503 >> 7) & mask
                while seen_in[h] == r and seen[h] != key:
                    h = (h + 1) & mask
                if seen_in[h] != r:
                    seen_in[h] = r
                    seen[h] = key
                    lines += 1
                    if what == 2:
                        clusters += 1
                        lines += fixed_lines - 1 + levels[r]
        n += lengths[r]
    found[0] = clusters
    found[1] = lines
    return clusters
