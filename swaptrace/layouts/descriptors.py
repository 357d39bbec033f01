"""What vswap v3 to v6 share: every entry is virtual and has a 24-byte descriptor in a cluster made on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.touched import EntryLines
from swaptrace.layouts.charges import Classes, classes_of
from swaptrace.layouts.moves import charge_moves
from swaptrace.layouts.mru import LookupCache
from swaptrace.layouts.scans import charge_scan, charge_table_scan
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.component import Layout, Space
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import Backing, Op, Ops

__all__ = ["DESCRIPTOR", "HEADER", "DescriptorLayout", "Version", "published"]

DESCRIPTOR = 24
HEADER = 104
"""Bytes of a cluster object before its descriptors (v3 to v5) or the pointer to them (v6): lock 4 (+ 4), list or
rcu_head 16, id 8, count and flags 4, refcnt 4, bitmap 64."""
published = 512 * DESCRIPTOR + 512 // 8
"""Bytes of a cluster as the covers count them: 24.125 per slot."""
_RAM = [Backing.SHARED, Backing.BUFFER, Backing.ZSWAP, Backing.ZSWAP_SHARED]
_DEVICE = [Backing.DISK, Backing.RAM]


@dataclass(frozen=True)
class Version:
    """Virtual walks of one version, by op: of a page that is elided (zero, same-filled), held in RAM, on the device."""

    out: tuple[int, int, int]
    read: tuple[int, int, int]
    hit: int
    free: int
    writeback: int
    pte: int  # one more page table entry: 1; one less: this
    begins: int = 0  # more at the writeout that begins an object
    kept: int = 0  # fewer at a writeout to the slot that the page has already
    gives: int = 0  # more where a physical slot is given back
    frees_on: int | None = None  # of each further page of a folio at its free; None: as batched as other ops
    bypass: tuple[int, int] = (0, 0)  # those of a read and of a swap-cache hit that never ask a lookup cache

    def walks(self) -> NDArray[np.int64]:
        """Return them by op and backing."""
        walks = np.zeros((len(Op), len(Backing)), np.int64)
        for op, (elided, in_ram, on_device) in ((Op.OUT, self.out), (Op.IN, self.read)):
            walks[op], walks[op, _RAM], walks[op, _DEVICE] = elided, in_ram, on_device
        walks[Op.HIT], walks[Op.FREE], walks[Op.WRITEBACK] = self.hit, self.free, self.writeback
        walks[Op.WRITEBACK, Backing.SHARED] = 1  # a further owner of the page is pointed to its slot
        walks[Op.DUP], walks[Op.PUT] = 1, self.pte
        return walks


class DescriptorLayout(Layout):
    """Entries, charges and metadata; a version says how often it walks and where in a cluster its descriptors lie."""

    direct = False
    version: ClassVar[Version]
    shape: ClassVar[EntryLines]  # of an entry whose descriptor is read and written
    asked: ClassVar[EntryLines]  # of one that the allocator's scan asks, if it does

    def __init__(self, cluster_bytes: int, mru: bool = False) -> None:
        self._cluster_bytes = cluster_bytes
        self._space = VirtualSpace()
        self._cache = LookupCache() if mru else None
        self._walks = self.version.walks()
        self._bypass = np.zeros(len(Op), np.int64)
        self._bypass[[Op.IN, Op.HIT]] = self.version.bypass
        shape, position = self.shape, np.arange(512)
        begin = shape.first_byte + DESCRIPTOR * position
        # by position in the cluster: lines of its objects besides the header's first ones and one of the descriptor
        self._more = (begin + DESCRIPTOR - 1) // 64 - begin // 64 + (position >= shape.second_line_from)
        self._more_bits = int(self._more.max()).bit_length()

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""
        self._ledger = ledger
        ledger.fix(METADATA, space.slots // 4)

    def cached(self) -> Mapping[str, int]:
        """A CPU's cluster stays allocated when it is empty."""
        return {METADATA: self._cluster_bytes}

    def enter(self, ops: Ops) -> None:
        """Give new objects their virtual entry."""
        self._space.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, lines and metadata."""
        assert ops.entry is not None
        ledger, space, placement = self._ledger, self._space, ops.placement
        ledger.hold(VIRTUAL, ops.lives)
        ledger.hold(METADATA, space.change, self._cluster_bytes)
        own: list[tuple[NDArray[Any], int]] = [(space.levels, 3), (self._more[ops.entry & 511], self._more_bits)]
        if placement is not None:
            ledger.hold("slots.physical", placement.slots)
            ledger.hold(METADATA, placement.clusters, 8 * placement.cluster_slots)
            own += [(placement.took, 1), (placement.gave, 1)]
        else:
            own += [(np.zeros(len(ops), np.bool_), 1)] * 2
        if self._cache is not None:
            own.append((self._cache.hits(ops), 1))
        self._charge(classes_of(ops, own), placement is not None)
        charge_moves(ledger, ops, space, self.shape)
        if self.scan_asks_owners:
            charge_scan(ledger, ops, space, self.asked)
        elif placement is not None:
            charge_table_scan(ledger, placement.scan)

    def _charge(self, classes: Classes, placed: bool) -> None:
        """Price the classes of a batch; ``placed`` says whether a stage hands out physical slots."""
        version, op, backing, new = self.version, classes.op, classes.backing, classes.new
        levels, more, took, gave, cached = classes.own((3, self._more_bits, 1, 1, 1))
        on_device = (backing == Backing.DISK) | (backing == Backing.RAM)
        written, read = (took == 1) & on_device, (op == Op.IN) & on_device & placed
        rewritten = (op == Op.OUT) & (new == 0) & (took == 0) & on_device
        walks = self._walks[op, backing] + version.begins * new - version.kept * rewritten + version.gives * gave
        if self._cache is not None:
            self._count_hits(classes, walks - self._bypass[op], cached == 1)
        nodes = np.where((cached == 1) & (self._bypass[op] == 0), 0, levels)
        physical = written | (gave == 1) | read
        lines = nodes + self.shape.fixed_lines + 1 + more + 2 * physical
        further = 0 if version.frees_on is None else (op == Op.FREE) * (version.frees_on + (version.gives + 1) * gave)
        classes.charge(self._ledger, walks + 2 * written + gave + read, lines, further)

    def _count_hits(self, classes: Classes, asking: NDArray[np.int64], cached: NDArray[np.bool_]) -> None:
        """Count the walks that ask the lookup cache: of each page the first one hits or not, the others hit."""
        heads = classes.heads
        asked = int(asking @ heads)
        self._ledger.count("indirection.mru_asked", asked)
        self._ledger.count("indirection.mru_hits", asked - int(heads[~cached].sum()))
