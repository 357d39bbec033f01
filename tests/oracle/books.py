"""What the twins pass around: one op, and the books that take the place of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

PAGE = 4096


@dataclass
class SlowOp:
    """One op: name is NEW, REWRITE, IN, HIT, FREE, WRITEBACK, DUP or PUT."""

    name: str
    obj: int
    ts: int
    cpu: int = 0
    sub: int = 0
    memcg: int = 0
    hash: int | None = None
    zero: bool = False
    same: bool = False
    csize: int = 0
    write: bool = False
    backing: str = ""
    store: bool = False
    fetch: bool = False
    inplace: bool = False
    block: Hashable = None
    drop: Hashable = None
    took: bool = False
    gave: bool = False
    device_walk: bool = False
    scans: list[tuple[int, list[tuple[int, Hashable]]]] = field(default_factory=list)
    """Per slot taken: the slot, and the slots in use that were passed over on the way to it, with their blocks."""
    entry_clusters: int | None = None  # in use, where the stage below hands out the slots that are swap entries
    mapped: bool = False  # its swap entry is a slot, under a layout that has virtual entries, too
    pool: frozenset[int] = frozenset()  # who is in a compressed pool after it

    @property
    def out(self) -> bool:
        return self.name in ("NEW", "REWRITE")


@dataclass
class Books:
    """The twin's ledger: counts, and gauges sampled after each op. ``meta`` is the layout's metadata, ``stage_meta``
    what stages add to it.
    """

    count: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    area: Counter[str] = field(default_factory=Counter)
    at_meta_peak: int = 0
    written: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    stream: list[int] = field(default_factory=list)
    last_ts: int | None = None
    first_ts: int = 0
    pending: list[dict[str, int]] = field(default_factory=list)  # levels of a pool after each op that a stage returned
    ns: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def begin(self, ts: int) -> None:
        if self.last_ts is None:
            self.first_ts = ts
        else:
            for gauge, level in self.now.items():
                self.area[gauge] += level * (ts - self.last_ts)
        self.last_ts = ts

    def end(self) -> None:
        self.now["all_meta"] = self.now["meta"] + self.now["stage_meta"]
        if self.now["all_meta"] > self.peak["all_meta"]:
            self.at_meta_peak = self.now["entries" if "entries" in self.now else "virtual"]
        for gauge, level in self.now.items():
            self.peak[gauge] = max(self.peak[gauge], level)
