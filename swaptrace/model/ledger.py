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

from swaptrace.model.ops import Op

__all__ = ["METADATA", "VIRTUAL", "Gauge", "Ledger", "PageStream"]

Ints = NDArray[np.int64]
METADATA = "indirection.metadata_bytes"
VIRTUAL = "slots.virtual"
_WIDTH = 64  # walks and lines of one op are below this
_SPLIT = 24  # time offsets are summed in two halves, so that int64 cannot overflow


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
        self._walks = np.zeros(len(Op) * _WIDTH * _WIDTH, np.int64)
        self._ts: Ints = np.empty(0, np.int64)
        self._held: dict[str, list[NDArray[Any]]] = {}
        self._begun = False

    def begin(self, ts: Ints) -> None:
        """Start a batch whose ops have the times ``ts`` (ns, at least one)."""
        if not self._begun:
            self.first_ts, self._begun = int(ts[0]), True
        self._ts = ts
        self.last_ts = int(ts[-1])

    def count(self, name: str, number: int) -> None:
        """Add ``number`` to the count ``name``."""
        self.counts[name] += int(number)

    def most(self, name: str, number: int) -> None:
        """Raise the count ``name`` to ``number`` if it is lower."""
        self.counts[name] = max(self.counts[name], int(number))

    def fix(self, gauge: str, amount: int) -> None:
        """Hold ``amount`` on ``gauge`` from the beginning on, whatever the ops do."""
        self.gauges.setdefault(gauge, Gauge()).static += int(amount)

    def hold(self, gauge: str, change: NDArray[Any]) -> None:
        """Change ``gauge`` by ``change[i]`` at op i of this batch; several calls in one batch add up."""
        self._held.setdefault(gauge, []).append(change)

    def walk(self, op: NDArray[np.uint8], walks: NDArray[Any], lines: NDArray[Any]) -> None:
        """Charge each op its table walks and distinct dependent cache lines (both below 64)."""
        code = op.astype(np.int32) * (_WIDTH * _WIDTH)
        code += walks.astype(np.int32) * _WIDTH
        code += lines
        self._walks += np.bincount(code, minlength=len(self._walks))

    def end(self) -> None:
        """Finish the batch: settle the gauges."""
        virtual = self._settle(VIRTUAL, None) if VIRTUAL in self._held else None
        for name in [n for n in self._held if n != VIRTUAL]:
            self._settle(name, virtual)
        self._held.clear()

    def _settle(self, name: str, virtual: tuple[Ints, Ints, int] | None) -> tuple[Ints, Ints, int]:
        """Apply the changes of one gauge; return where it changed, the levels there, and the level before."""
        gauge = self.gauges.setdefault(name, Gauge())
        changes = self._held[name]
        total = changes[0] if len(changes) == 1 else np.sum(np.stack(changes, dtype=np.int64), axis=0)
        at = np.flatnonzero(total)
        change = total[at].astype(np.int64)
        level = np.cumsum(change) + gauge.now
        before = gauge.now
        if len(at):
            offset = self._ts[at] - self.first_ts
            high, low = offset >> _SPLIT, offset & ((1 << _SPLIT) - 1)
            gauge.moment += (int(change @ high) << _SPLIT) + int(change @ low)
            top = int(level.argmax())
            if int(level[top]) > gauge.peak:
                gauge.peak = int(level[top])
                gauge.with_peak = _level_at(virtual, int(at[top])) if virtual else gauge.peak
            gauge.now = int(level[-1])
        return at, level, before

    @property
    def span(self) -> int:
        """Nanoseconds between the first and the last op."""
        return self.last_ts - self.first_ts

    def walks_by_op(self) -> NDArray[np.int64]:
        """Return the histogram ``[op, walks, lines] -> pages`` as an int64 array."""
        return self._walks.reshape(len(Op), _WIDTH, _WIDTH)


def _level_at(track: tuple[Ints, Ints, int], op: int) -> int:
    """Return a gauge's level after op ``op``, from where and to what it changed in this batch."""
    at, level, before = track
    index = int(np.searchsorted(at, op, side="right")) - 1
    return int(level[index]) if index >= 0 else before
