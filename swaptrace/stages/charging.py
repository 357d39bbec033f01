"""What each memory cgroup pays for content that several share: first touch, split, or all.

Rule. A content occupies some bytes from its first reference to its last. References have an owner, a memory cgroup.

* **first**: the cgroup of the content's first reference pays all of it until the last reference is given back, even if
  it has none left itself (a page stays charged to whoever was charged first).
* **split**: each cgroup pays the content's bytes times its share of the references, at every moment.
* **all**: each cgroup that has a reference pays the content's full bytes.

Under *first* a content is *stranded* while the cgroup that pays has no reference to it any more.

Charges are sampled after each change. ``first`` and ``split`` add up to the bytes held; ``all`` is at least that. Split
charges are kept in double precision: a cgroup's is exact to about one part in 10**10 of the bytes held, and is
rounded to a whole number of bytes, halves up.

Source: the three answers to "who is charged for a shared page", linux-mm 2026-04 (docs/policies.md); first touch is
what memcg does with shared anonymous and file pages (Documentation/admin-guide/cgroup-v2.rst, "Memory Ownership").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.loop import loop
from swaptrace.kernels.tables import Ints, grown, readable

__all__ = ["Charges", "Charging"]

_RULES = 3  # first, split, all
_MISSED = 2.0**-20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Charges:
    """Bytes charged to each memory cgroup under one rule: now, and at each cgroup's own peak."""

    now: dict[int, int]
    peak: dict[int, int]


class Charging:
    """Charges of contents by memory cgroup, carried from batch to batch.

    Contents are dense numbers that may be used again after their last reference is given back; cgroups are any ids.
    """

    def __init__(self) -> None:
        self._memcgs: NDArray[np.uint64] = np.empty(0, np.uint64)  # ids, sorted
        self._place: Ints = np.empty(0, np.int64)  # of each sorted id: its row in the tables below
        self._refs: Ints = np.zeros(0, np.int64)  # by content: references
        self._bytes: Ints = np.zeros(0, np.int64)  # by content
        self._first: Ints = np.zeros(0, np.int64)  # by content: the cgroup that touched it first
        self._head: Ints = np.zeros(0, np.int64)  # by content: its first share, -1 none
        self._share_next: Ints = np.zeros(0, np.int64)  # by share, a (content, cgroup) with references
        self._share_memcg: Ints = np.zeros(0, np.int64)
        self._share_refs: Ints = np.zeros(0, np.int64)
        self._free = np.full(1, -1, np.int64)  # first share to be used again
        self._used = np.zeros(1, np.int64)  # shares ever used
        self._now: Floats = np.zeros(0)  # [cgroup * 3 + rule]
        self._peak: Floats = np.zeros(0)
        self._stranded: Ints = np.zeros(2, np.int64)  # bytes now, and at their peak

    def feed(self, content: Ints, memcg: NDArray[np.uint64], change: Ints, size: Ints) -> None:
        """Apply reference changes in order.

        ``change[i]`` is +1 or -1, a reference of ``memcg[i]`` to ``content[i]``, or 0: all references to it are given
        back at once. ``size[i]`` is the content's bytes, looked at where the content has no reference yet. A reference
        is given back by the cgroup that took it.
        """
        if len(content) == 0:
            return
        row = self._rows(memcg)
        contents = int(content.max()) + 1
        self._refs, self._bytes = grown(self._refs, contents, 0), grown(self._bytes, contents, 0)
        self._first, self._head = grown(self._first, contents, 0), grown(self._head, contents, -1)
        shares = int(self._used[0]) + len(content)
        self._share_next, self._share_memcg = grown(self._share_next, shares, -1), grown(self._share_memcg, shares, 0)
        self._share_refs = grown(self._share_refs, shares, 0)
        _walk(
            readable(content, np.int64), readable(row, np.int64), readable(change, np.int64),
            readable(size, np.int64), self._refs, self._bytes, self._first, self._head,
            self._share_next, self._share_memcg, self._share_refs, self._free, self._used, self._now, self._peak,
            self._stranded,
        )  # fmt: skip

    def first(self) -> Charges:
        """Return the charges if the first to touch a content pays for it."""
        return self._charges(0)

    def split(self) -> Charges:
        """Return the charges if all who share a content pay their part."""
        return self._charges(1)

    def all(self) -> Charges:
        """Return the charges if everyone who shares a content pays all of it."""
        return self._charges(2)

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield how many cgroups there are, and by rule the largest charge of one, and what all pay at the end."""
        yield "dedup.charges.memcgs", len(self._memcgs)
        for name, charges in (("first", self.first()), ("split", self.split()), ("all", self.all())):
            yield f"dedup.charges.{name}_bytes_peak", max(charges.peak.values(), default=0)
            if name != "split":  # its sum is that of first
                yield f"dedup.charges.{name}_total_bytes_end", sum(charges.now.values())
        yield "dedup.charges.stranded_bytes_peak", int(self._stranded[1])

    def _charges(self, rule: int) -> Charges:
        ids, rows = self._memcgs.tolist(), (self._place * _RULES + rule).tolist()
        now = {memcg: _whole(self._now[row]) for memcg, row in zip(ids, rows, strict=True)}
        peak = {memcg: _whole(self._peak[row]) for memcg, row in zip(ids, rows, strict=True)}
        return Charges(now, peak)

    def _rows(self, memcg: NDArray[np.uint64]) -> Ints:
        """Return the table rows of cgroups; new ones get the next rows."""
        seen = np.unique(memcg)
        fresh = np.setdiff1d(seen, self._memcgs, assume_unique=True)
        if len(fresh):
            rows = len(self._memcgs) + np.arange(len(fresh))
            ids = np.concatenate([self._memcgs, fresh])
            order = np.argsort(ids, kind="stable")
            self._memcgs, self._place = ids[order], np.concatenate([self._place, rows])[order]
            self._now = np.append(self._now, np.zeros(_RULES * len(fresh)))
            self._peak = np.append(self._peak, np.zeros(_RULES * len(fresh)))
        return self._place[np.searchsorted(self._memcgs, memcg)]


def _whole(charge: np.floating[Any]) -> int:
    """Return whole bytes. Thirds and sixths add up to halves, which sums in doubles may miss by a little."""
    return floor(float(charge) + 0.5 + _MISSED)


@loop
def _walk(
    contents: Ints, rows: Ints, changes: Ints, sizes: Ints, refs: Ints, held: Ints, first: Ints, head: Ints,
    share_next: Ints, share_memcg: Ints, share_refs: Ints, free: Ints, used: Ints, now: Floats, peak: Floats,
    stranded: Ints,
) -> int:  # fmt: skip
    """Apply the changes; return how many there were. A content's shares are a list: most contents have one or two."""
    for i in range(len(contents)):
        c = contents[i]
        row = rows[i]
        before = refs[c]
        if changes[i] == 0:
            now[3 * first[c]] -= held[c]
            missing = held[c]  # under first, while the one who pays has no share
            each = head[c]
            head[c] = -1
            while each >= 0:
                r = share_memcg[each]
                now[3 * r + 1] -= held[c] * share_refs[each] / before
                now[3 * r + 2] -= held[c]
                if r == first[c]:
                    missing = 0
                behind = share_next[each]
                share_next[each] = free[0]
                free[0] = each
                each = behind
            stranded[0] -= missing
            refs[c] = 0
            continue
        after = before + changes[i]
        if before == 0:
            held[c] = sizes[i]
            first[c] = row
            now[3 * row] += sizes[i]
        elif after == 0:
            now[3 * first[c]] -= held[c]
            if first[c] != row:
                stranded[0] -= held[c]
        refs[c] = after
        share = head[c]
        last = -1
        while share >= 0 and share_memcg[share] != row:
            last = share
            share = share_next[share]
        if share < 0:  # this cgroup's first reference
            share = free[0]
            if share >= 0:
                free[0] = share_next[share]
            else:
                share = used[0]
                used[0] += 1
            share_memcg[share] = row
            share_refs[share] = 0
            share_next[share] = -1
            if last < 0:
                head[c] = share
            else:
                share_next[last] = share
            now[3 * row + 2] += held[c]
            if before > 0 and first[c] == row:
                stranded[0] -= held[c]
        share_refs[share] += changes[i]
        each = head[c]
        while each >= 0:
            r = share_memcg[each]
            mine = share_refs[each]
            old = mine - changes[i] if r == row else mine
            if before > 0:
                now[3 * r + 1] -= held[c] * old / before
            if after > 0:
                now[3 * r + 1] += held[c] * mine / after
            for k in range(3 * r, 3 * r + 3):
                peak[k] = max(peak[k], now[k])
            each = share_next[each]
        if before == 0:
            peak[3 * row] = max(peak[3 * row], now[3 * row])
        if share_refs[share] == 0:
            now[3 * row + 2] -= held[c]
            if after > 0 and first[c] == row:
                stranded[0] += held[c]
                stranded[1] = max(stranded[1], stranded[0])
            if last < 0:
                head[c] = share_next[share]
            else:
                share_next[last] = share_next[share]
            share_next[share] = free[0]
            free[0] = share
    return len(contents)
