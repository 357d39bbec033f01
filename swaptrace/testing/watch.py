"""A replay that is watched: after every batch the books must balance, and what goes down must make sense.

*Gauges*: no level is negative after any op.

*Stream*, as the layout and the placement see it, op by op: an entry begins at an OUT that is new, once, and ends at a
FREE; every other op is of an entry that lives. A block begins at a store that is not in place; a store in place, a
fetch and a drop are of a block that lives. A drop comes before the store of the same op.

*Accounts*: writeouts = what the stages kept + pages written to the device - what they wrote besides
(:class:`swaptrace.model.component.Account`).

*Entries*: the entries that live are those that the layout counts; with the objects that stages keep without an entry
they are the objects that live.

*Slots*: blocks that live are in slots or wait in a buffer, for placements that hand out slots (entries beside the
virtual ones have a slot, whether their content is there or not); there are not more of them than entries, but for
blocks that a stage keeps although no object has them, and a virtual layout has not more physical slots than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swaptrace.model.component import Account, Layout, Role, Space, Stage
from swaptrace.model.ledger import VIRTUAL, Gauge, Ledger
from swaptrace.model.ops import NOTHING, Op, Ops
from swaptrace.replay.engine import Run

__all__ = ["LawBroken", "Watched"]


class LawBroken(AssertionError):
    """``law`` does not hold: ``how`` names the figure or the op, and both values."""

    def __init__(self, law: str, how: str) -> None:
        super().__init__(f"{law}: {how}")
        self.law, self.how = law, how


class _Levels(Ledger):
    """A ledger that refuses levels below zero."""

    def end(self) -> None:
        """Finish the batch."""
        changes: dict[str, dict[int, int]] = {}
        for name, parts in self._held.items():
            steps = changes.setdefault(name, {})
            for change, unit, ts in parts:
                if len(change) != len(ts):
                    raise LawBroken("gauges", f"{name} is given {len(change)} changes in a batch of {len(ts)} ops")
                for at in np.flatnonzero(change).tolist():
                    steps[at] = steps.get(at, 0) + unit * int(change[at])
        for name, steps in changes.items():
            level = self.gauges[name].now if name in self.gauges else 0
            for at in sorted(steps):
                level += steps[at]
                if level < 0:
                    raise LawBroken("gauges", f"{name} is {level} after op {at} of a batch")
        super().end()


class _Stream(Stage):
    """Stands before the placement, and follows the lives of entries and blocks."""

    name = "watch"
    summary = "checks the stream of ops"
    role = Role.PLACEMENT

    def __init__(self) -> None:
        self.entries: set[int] = set()
        self.blocks: set[int] = set()
        self.shared = False  # some stage has renamed the blocks
        self.seen: Ops | None = None  # the batch as it went by

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""

    def feed(self, ops: Ops) -> Ops:
        """Check one batch."""
        self.seen, self.shared = ops, self.shared or ops.shared
        rows = zip(
            ops.op.tolist(),
            ops.new.tolist(),
            ops.handle.tolist(),
            ops.drop.tolist(),
            ops.store.tolist(),
            ops.inplace.tolist(),
            ops.fetch.tolist(),
            ops.block.tolist(),
            strict=True,
        )
        for i, (op, new, handle, drop, store, inplace, fetch, block) in enumerate(rows):
            if wrong := self._entry(op, new, handle) or self._block(drop, store, inplace, fetch, block):
                raise LawBroken("stream", f"op {i} of a batch, {Op(op).name} at {int(ops.ts[i])} ns: {wrong}")
        return ops

    def _entry(self, op: int, new: bool, handle: int) -> str:
        if new and op != Op.OUT:
            return "it is new, but no writeout"
        if new == (handle in self.entries):
            return f"its entry {handle} {'lives already' if new else 'does not live'}"
        if new:
            self.entries.add(handle)
        elif op == Op.FREE:
            self.entries.remove(handle)
        return ""

    def _block(self, drop: int, store: bool, inplace: bool, fetch: bool, block: int) -> str:
        if drop != NOTHING:
            if drop not in self.blocks:
                return f"it drops block {drop}, which does not live"
            self.blocks.remove(drop)
        if inplace and not store:
            return "it is in place, but stores nothing"
        if (fetch or inplace) and block not in self.blocks:
            return f"it {'reads' if fetch else 'stores in place'} block {block}, which does not live"
        if store and not inplace:
            if block in self.blocks:
                return f"it stores block {block} anew, which lives already"
            self.blocks.add(block)
        return ""


@dataclass
class Watched(Run):
    """A policy in the middle of a replay, checked after every batch."""

    ledger: Ledger = field(default_factory=_Levels)
    stream: _Stream = field(default_factory=_Stream)
    writeouts: int = 0
    objects: int = 0  # that live
    placed: int = 0  # blocks in slots or in a buffer, where a placement hands out slots
    busy: set[int] = field(default_factory=set)  # stages, by place in the path, that had anything to do so far

    def start(self, space: Space) -> None:
        """Begin."""
        super().start(space)
        self._placing.insert(0, self.stream)

    def feed(self, ops: Ops) -> None:
        """Run one batch and balance the books."""
        self.writeouts += int(np.count_nonzero(ops.op == Op.OUT))
        self.objects += int(ops.lives.sum())
        self.stream.seen = None
        super().feed(ops)
        accounts = [stage.account() for stage in self.stages]
        self.busy.update(at for at, stage in enumerate(self.stages) if not stage.idle())
        self._balance(accounts)
        self._count_entries(sum(each.entryless for each in accounts))
        self._count_slots(sum(each.stale for each in accounts))

    def now(self, gauge: str) -> int:
        """Return the level of ``gauge``."""
        return self.ledger.gauges.get(gauge, Gauge()).now

    def _balance(self, accounts: list[Account]) -> None:
        kept, added = sum(each.kept for each in accounts), sum(each.added for each in accounts)
        written = self.ledger.written.pages
        if self.writeouts != kept + written - added:
            names = ", ".join(f"{s.name} {a.kept}" for s, a in zip(self.stages, accounts, strict=True) if a.kept)
            raise LawBroken(
                "accounts",
                f"{self.writeouts} pages were written out, {kept} kept ({names or 'by no stage'}), and {written} "
                f"written to the device, {added} of these besides",
            )

    def _count_entries(self, entryless: int) -> None:
        entries = len(self.stream.entries)
        counted = self.now(VIRTUAL) + self.layout.beside()
        if VIRTUAL in self.ledger.gauges and counted != entries:
            raise LawBroken("entries", f"{VIRTUAL} and what is beside it are {counted}, and {entries} entries live")
        if entries + entryless != self.objects:
            raise LawBroken("entries", f"{self.objects} objects live: {entries} entries, {entryless} without one")

    def _count_slots(self, stale: int) -> None:
        blocks = len(self.stream.blocks)
        placement = None if self.stream.seen is None else self.stream.seen.placement
        if placement is not None:
            self.placed += int(placement.slots.sum(dtype=np.int64))
            if placement.buffered is not None:
                self.placed += int(placement.buffered.sum(dtype=np.int64))
            if not blocks <= self.placed <= blocks + self.layout.beside():
                raise LawBroken("slots", f"{self.placed} blocks in slots or a buffer, and {blocks} live")
        most = len(self.stream.entries) + stale
        if blocks > most:
            raise LawBroken("slots", f"{blocks} blocks live, for {most} entries and stale contents")
        physical = self.now("slots.physical")
        if not self.layout.direct and physical > most:
            raise LawBroken("slots", f"slots.physical is {physical}, with {most} entries and stale contents")
