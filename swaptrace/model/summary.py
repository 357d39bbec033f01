"""A trace at a glance: counts, lifetimes, owners; memory bounded by live slots and processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import Backend, Kind
from swaptrace.model.trace import Trace

__all__ = ["QUANTILES", "LogHistogram", "Summary", "Timeline", "summarize"]

QUANTILES = (0.10, 0.50, 0.90, 0.99)
_COLUMNS = ("ts", "kind", "backend", "owner_tgid", "memcg", "swap_type", "slot", "shmem", "order")
_TYPE_SHIFT = 48  # a key is swap_type << 48 | slot
_I64 = NDArray[np.int64]


class LogHistogram:
    """Counts of nanosecond values in bins of 1/32 octave: a quantile is right within 2.2 %."""

    STEP = 32

    def __init__(self) -> None:
        self._bins = np.zeros(64 * self.STEP, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Count ``values`` (ns, not negative)."""
        index = np.floor(np.log2(np.maximum(values, 1)) * self.STEP).astype(np.int64)
        self._bins += np.bincount(index, minlength=len(self._bins))

    @property
    def count(self) -> int:
        """Number of values."""
        return int(self._bins.sum())

    def quantile(self, q: float) -> float:
        """Return the middle of the bin that holds quantile ``q``, in ns; 0 if there are no values."""
        if self.count == 0:
            return 0.0
        bin_ = int(np.searchsorted(np.cumsum(self._bins), q * self.count, side="left"))
        return float(2 ** ((bin_ + 0.5) / self.STEP))


class Timeline:
    """Events over time in at most ``limit`` bins: when time runs past the last bin, pairs of bins merge."""

    def __init__(self, limit: int = 64) -> None:
        self.bin_ns = 1_000_000
        self._start: int | None = None
        self._counts = np.zeros(limit, np.int64)

    def add(self, ts: _I64) -> None:
        """Count events at ``ts`` (ns, sorted, never before the first ones)."""
        if len(ts) == 0:
            return
        if self._start is None:
            self._start = int(ts[0])
        while (int(ts[-1]) - self._start) // self.bin_ns >= len(self._counts):
            half = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([half, np.zeros_like(half)])
            self.bin_ns *= 2
        since = (ts - self._start).view(np.uint64)  # unsigned: a span of more than 292 years wraps in int64
        self._counts += np.bincount((since // np.uint64(self.bin_ns)).astype(np.int64), minlength=len(self._counts))

    def bins(self) -> list[int]:
        """Return the counts up to the last bin with an event."""
        used = np.flatnonzero(self._counts)
        return [int(count) for count in self._counts[: used[-1] + 1]] if len(used) else []


@dataclass
class Summary:
    """What one pass over a trace finds; times in ns, ``counts`` by (kind, backend or '')."""

    events: int = 0
    first_ts: int = 0
    last_ts: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    owners: Counter[int] = field(default_factory=Counter)  # pages swapped out by owner_tgid
    memcgs: Counter[int] = field(default_factory=Counter)  # pages swapped out by memcg
    comms: Counter[str] = field(default_factory=Counter)  # events by the name of the task that ran them
    orders: Counter[int] = field(default_factory=Counter)  # pages swapped out by folio order
    shmem: int = 0  # shmem pages swapped out
    until_read: LogHistogram = field(default_factory=LogHistogram)  # swap-out to the first swap-in of the slot
    lifetime: LogHistogram = field(default_factory=LogHistogram)  # swap-out to the free, rewrite or swapoff of the slot
    timeline: Timeline = field(default_factory=Timeline)  # swap-outs
    live_end: int = 0  # slots written and not freed at the end, of areas that are still on

    @property
    def span_ns(self) -> int:
        """Time from the first event to the last."""
        return self.last_ts - self.first_ts


def summarize(trace: Trace) -> Summary:
    """Read ``trace`` and return its :class:`Summary`; raises what :meth:`Trace.batches` raises."""
    out = Summary(events=trace.rows)
    since = _Since()
    for batch in trace.batches(_COLUMNS):
        ts, kind = batch["ts"], batch["kind"]
        if len(batch) == 0:
            continue
        if batch.first == 0:
            out.first_ts = int(ts[0])
        out.last_ts = int(ts[-1])
        _count(out.counts, kind.astype(np.int64) << 8 | batch["backend"])
        written = kind == Kind.SWAP_OUT
        _count_words(out.owners, batch["owner_tgid"][written])
        _count_words(out.memcgs, batch["memcg"][written])
        orders, pages = np.unique(batch["order"][written], return_counts=True)
        out.orders.update(dict(zip(orders.tolist(), pages.tolist(), strict=True)))
        out.shmem += int(batch["shmem"][written].sum())
        out.timeline.add(ts[written])
        slot = batch["slot"]
        keyed = (slot >= 0) & (written | (kind == Kind.SWAP_IN) | (kind == Kind.SLOT_FREE))
        key = batch["swap_type"].astype(np.int64) << _TYPE_SHIFT | slot
        begin = 0
        for at in np.flatnonzero(kind == Kind.SWAPOFF).tolist():  # a handful in any recording
            part = begin + np.flatnonzero(keyed[begin:at])
            since.feed(key[part], ts[part], kind[part], out)
            since.swapoff(int(batch["swap_type"][at]), int(ts[at]), out)
            begin = at
        part = begin + np.flatnonzero(keyed[begin:])
        since.feed(key[part], ts[part], kind[part], out)
    for codes, words in trace.comms():
        named, events = np.unique(codes[codes >= 0], return_counts=True)
        out.comms.update({words[code]: count for code, count in zip(named.tolist(), events.tolist(), strict=True)})
    out.live_end = since.live
    return out


def _count(into: Counter[tuple[str, str]], codes: _I64) -> None:
    for code, count in zip(*(a.tolist() for a in np.unique(codes, return_counts=True)), strict=True):
        backend = Backend(code & 255)
        into[Kind(code >> 8).name.lower(), "" if backend is Backend.NONE else backend.name.lower()] += count


def _count_words(into: Counter[int], values: NDArray[Any]) -> None:
    words, counts = np.unique(values[values != 0], return_counts=True)
    into.update(dict(zip(words.tolist(), counts.tolist(), strict=True)))


class _Since:
    """Time since the last swap-out of each live slot, carried as sorted arrays of live slots."""

    def __init__(self) -> None:
        self._key = np.empty(0, np.int64)
        self._ts = np.empty(0, np.int64)
        self._read = np.empty(0, np.bool_)  # already read since its swap-out

    @property
    def live(self) -> int:
        return len(self._key)

    def swapoff(self, swap_type: int, now: int, out: Summary) -> None:
        """End the lifetime of every live slot of ``swap_type``."""
        gone = self._key >> _TYPE_SHIFT == swap_type
        out.lifetime.add(now - self._ts[gone])
        self._key, self._ts, self._read = self._key[~gone], self._ts[~gone], self._read[~gone]

    def feed(self, key: _I64, ts: _I64, kind: NDArray[np.uint8], out: Summary) -> None:
        """Add the intervals that end in this batch to the histograms of ``out``."""
        key = np.concatenate([self._key, key])
        ts = np.concatenate([self._ts, ts])
        kind = np.concatenate([np.full(len(self._key), Kind.SWAP_OUT, np.uint8), kind])
        read = np.concatenate([self._read, np.zeros(len(key) - len(self._key), np.bool_)])
        if len(key) == 0:
            return
        order = np.argsort(key, kind="stable")  # by slot, then by time
        key, ts, kind, read = key[order], ts[order], kind[order], read[order]
        at = np.arange(len(key))
        new_slot = np.ones(len(key), np.bool_)
        new_slot[1:] = key[1:] != key[:-1]
        # The swap-out that each event follows: the last one at or before it, if no free came in between.
        boundary = (kind == Kind.SWAP_OUT) | (kind == Kind.SLOT_FREE) | new_slot
        last = np.maximum.accumulate(np.where(boundary, at, 0))
        before = np.where(boundary, np.concatenate([[0], last[:-1]]), last)
        follows = (kind[before] == Kind.SWAP_OUT) & (key[before] == key) & (before != at)
        ends = follows & ((kind == Kind.SWAP_OUT) | (kind == Kind.SLOT_FREE))
        out.lifetime.add(ts[ends] - ts[before[ends]])
        reads = follows & (kind == Kind.SWAP_IN)
        reads[reads] = ~read[before[reads]]
        firsts = np.unique(before[reads], return_index=True)[1]
        first_reads = at[reads][firsts]
        out.until_read.add(ts[first_reads] - ts[before[first_reads]])
        read[before[reads]] = True
        # What stays: the last swap-out or free of each slot, if it is a swap-out.
        tail = np.append(np.flatnonzero(new_slot)[1:], len(key)) - 1
        final = last[tail]
        keep = final[kind[final] == Kind.SWAP_OUT]
        self._key, self._ts, self._read = key[keep], ts[keep], read[keep]
