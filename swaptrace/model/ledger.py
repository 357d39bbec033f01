"""The ledger: the only output of stages and layouts. Counts, gauges over time, table walks, device traffic.

A gauge is sampled after each op, when everything that the op caused is done: its peak and its time-weighted mean
do not depend on where batches are cut. All sums are exact integers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.ops import Backing, Op

__all__ = ["DISCARDED", "ERASE_BLOCKS", "METADATA", "VIRTUAL", "Gauge", "Ledger", "PageStream"]

Ints = NDArray[np.int64]
METADATA = "indirection.metadata_bytes"
VIRTUAL = "slots.virtual"
DISCARDED, ERASE_BLOCKS = "basis.discarded_pages", "basis.erase_blocks"  # counts that only prices need
_WIDTH = 64  # walks and lines of one op are below this
_SPLIT = 24
_SAFE = 1 << 62


@dataclass
class Gauge:
    """A level that ops raise and lower: now, at its peak, and its integral over time."""

    now: int = 0
    peak: int = 0
    static: int = 0  # held from the beginning on, added to every figure but `now` and `peak`
    with_peak: int = 0  # value of slots.virtual at the first peak
    moment: int = 0  # sum of change x (time of change - first time)

    def average(self, span: int) -> float:
        """Return the mean over ``span`` ns, static part included."""
        return self.static + ((self.now * span - self.moment) / span if span > 0 else self.peak)


@dataclass
class PageStream:
    """Pages sent to or read from a device in order: how many, in how many requests, how sequential."""

    pages: int = 0
    follows: int = 0  # pages directly behind their predecessor
    last: int = -2

    def extend(self, page: NDArray[Any]) -> None:
        """Append device addresses in pages."""
        if len(page) == 0:
            return
        self.follows += int(np.count_nonzero(page[1:] == page[:-1] + 1)) + int(page[0] == self.last + 1)
        self.pages += len(page)
        self.last = int(page[-1])

    @property
    def requests(self) -> int:
        """Requests after merging pages that follow each other in place and order."""
        return self.pages - self.follows


@dataclass
class Ledger:
    """What one policy did with one trace."""

    counts: Counter[str] = field(default_factory=Counter)
    gauges: dict[str, Gauge] = field(default_factory=dict)
    written: PageStream = field(default_factory=PageStream)
    read: PageStream = field(default_factory=PageStream)
    first_ts: int = 0
    last_ts: int = 0

    def __post_init__(self) -> None:
        self._walks = np.zeros(len(Op) * len(Backing) * _WIDTH * _WIDTH, np.int64)
        self._ts: Ints = np.empty(0, np.int64)
        self._held: dict[str, list[tuple[NDArray[Any], int, Ints]]] = {}
        self._begun = False

    def begin(self, ts: Ints) -> None:
        """Start a batch whose ops have the times ``ts`` (ns, at least one)."""
        if not self._begun:
            self.first_ts, self._begun = int(ts[0]), True
        self._ts = ts
        self.last_ts = int(ts[-1])

    def stream(self, ts: Ints) -> None:
        """Go on with another stream of ops in the place of this batch's, at the times ``ts``: a stage reshaped it."""
        self._ts = ts

    def count(self, name: str, number: int) -> None:
        """Add ``number`` to the count ``name``."""
        self.counts[name] += int(number)

    def most(self, name: str, number: int) -> None:
        """Raise the count ``name`` to ``number`` if it is lower."""
        self.counts[name] = max(self.counts[name], int(number))

    def fix(self, gauge: str, amount: int) -> None:
        """Hold ``amount`` on ``gauge`` from the beginning on, whatever the ops do."""
        self.gauges.setdefault(gauge, Gauge()).static += int(amount)

    def hold(self, gauge: str, change: NDArray[Any], unit: int = 1) -> None:
        """Change ``gauge`` by ``unit * change[i]`` at op i of this batch, unit > 0; several calls add up.

        One gauge is held in one stream only: that which the stages have made of the batch by then.

        An array that several gauges are given is looked at once; small types are fastest.
        """
        self._held.setdefault(gauge, []).append((change, unit, self._ts))

    def walk(self, op: Ints, backing: Ints, walks: NDArray[Any], lines: NDArray[Any], pages: Ints) -> None:
        """Charge ``pages[i]`` ops of the code ``op[i]`` and its backing table walks and distinct lines (below 64)."""
        np.add.at(self._walks, ((op * len(Backing) + backing) * _WIDTH + walks) * _WIDTH + lines, pages)

    def end(self) -> None:
        """Finish the batch: settle the gauges."""
        tracks: dict[int, _Track] = {}
        for parts in self._held.values():
            for change, _, ts in parts:
                if id(change) not in tracks:
                    tracks[id(change)] = _track(change, ts, self.first_ts)
        virtual = self._settle(VIRTUAL, tracks, None) if VIRTUAL in self._held else None
        for name in self._held:
            if name != VIRTUAL:
                self._settle(name, tracks, virtual)
        self._held.clear()

    def _settle(self, name: str, tracks: dict[int, _Track], virtual: _Level | None) -> _Level:
        """Apply the changes of one gauge; return its levels in this batch."""
        gauge = self.gauges.setdefault(name, Gauge())
        parts = self._held[name]
        gauge.moment += sum(unit * tracks[id(change)].moment for change, unit, _ in parts)
        if len(parts) == 1:
            (change, unit, _) = parts[0]
            level = _Level(tracks[id(change)].at, tracks[id(change)].sum, unit, gauge.now)
        else:
            level = _Level(*_summed(parts), 1, gauge.now)
        if len(level.at):
            top = int(level.sum.argmax())
            if level.of(top) > gauge.peak:
                gauge.peak = level.of(top)
                gauge.with_peak = virtual.after(int(level.at[top])) if virtual else gauge.peak
            gauge.now = level.of(-1)
        return level

    @property
    def span(self) -> int:
        """Nanoseconds between the first and the last op."""
        return self.last_ts - self.first_ts

    def walked(self) -> NDArray[np.int64]:
        """Return the histogram ``[op, backing, walks, lines] -> pages`` as an int64 array."""
        return self._walks.reshape(len(Op), len(Backing), _WIDTH, _WIDTH)


@dataclass(frozen=True, slots=True)
class _Track:
    """One array of changes: where they are, their running sum, and the sum of change x (time - first time)."""

    at: Ints
    sum: Ints
    moment: int


@dataclass(frozen=True, slots=True)
class _Level:
    """A gauge in this batch: after the op ``at[i]`` it is ``before + unit * sum[i]``."""

    at: Ints
    sum: Ints
    unit: int
    before: int

    def of(self, index: int) -> int:
        """Return the level of entry ``index``."""
        return self.before + self.unit * int(self.sum[index])

    def after(self, op: int) -> int:
        """Return the level after op ``op`` of the batch."""
        index = int(np.searchsorted(self.at, op, side="right")) - 1
        return self.of(index) if index >= 0 else self.before


def _track(change: NDArray[Any], ts: Ints, first_ts: int) -> _Track:
    at = np.flatnonzero(change != 0)  # a mask is searched faster than numbers
    some = change[at].astype(np.int64)
    if len(at) == 0:
        return _Track(at, some, 0)
    start = int(ts[at[0]])
    offset = ts[at] - start
    total = np.cumsum(some)
    if int(offset[-1]) < _SAFE // (len(at) << 8 * change.itemsize - 1):  # as with small types and usual times
        moment = int(some @ offset)
    else:  # summed in two halves, so that int64 cannot overflow
        moment = int(some @ (offset & ((1 << _SPLIT) - 1))) + (int(some @ (offset >> _SPLIT)) << _SPLIT)
    return _Track(at, total, moment + (start - first_ts) * int(total[-1]))


def _summed(parts: list[tuple[NDArray[Any], int, Ints]]) -> tuple[Ints, Ints]:
    """Return where the sum of several changes is not 0, and its running sum."""
    change = sum(np.multiply(change, unit, dtype=np.int64) for change, unit, _ in parts)
    at = np.flatnonzero(change != 0)
    return at, np.cumsum(change[at])
