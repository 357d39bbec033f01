"""Twin of `swaptrace.stages.ksm`."""

from __future__ import annotations

import dataclasses

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.stages.base import SlowStage, World, duration


class SlowKsm(SlowStage):
    def __init__(self, world: World, lag: str, item: str, node: str) -> None:
        self.lag, self.item, self.node = duration(lag), int(item), int(node)
        self.owners: dict[int, dict[int, bool]] = {}  # entry -> object -> it read since its writeout
        self.entry: dict[int, int] = {}  # object -> entry
        self.nodes: dict[int, tuple[int, int]] = {}  # content -> entry, since
        self.read: set[int] = set()
        self.stable: set[int] = set()
        self.lost: dict[str, int] = {}
        self.entries = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        name = "OUT" if op.out else op.name
        if op.sub == 0:
            self.lost[name] = 0
        op.sub = max(0, op.sub - self.lost.get(name, 0))
        seen = self._out(op, books) if op.out else [self._other(op, books)]
        last = seen[-1]
        if last.name != name and not last.out:
            last.sub = 0
            self.lost[name] = self.lost.get(name, 0) + 1
        merged = sum(len(owners) - 1 for owners in self.owners.values())
        books.now["ksm.merged"], books.now["ksm.live"] = merged, len(self.entry)
        books.now["ksm.metadata"] = self.item * len(self.entry) + self.node * len(self.stable)
        return seen

    def _out(self, op: SlowOp, books: Books) -> list[SlowOp]:
        old = self.entry.get(op.obj)
        alone = old is not None and len(self.owners[old]) == 1
        node, since = self.nodes.get(op.hash, (None, 0)) if op.hash is not None else (None, 0)
        merge = node is not None and not (alone and node == old) and op.ts - since >= self.lag
        left: list[SlowOp] = []
        if old is not None and (merge or not alone):
            left = [self._leave(op, old, "FREE" if alone else "PUT")]
        if merge:
            assert node is not None
            books.count["ksm.merged_pages"] += 1
            op.name, op.store, op.inplace = "DUP", False, False
            self.stable.add(node)
            mine = node
        elif alone:
            assert old is not None
            mine = old
            if op.hash is None or self.nodes.get(op.hash, (None, 0))[0] != mine:
                self._forget(mine)
        else:
            self.entries += 1
            mine = self.entries
            op.name, op.inplace = "NEW", False
        self.owners.setdefault(mine, {})[op.obj] = False
        self.entry[op.obj] = mine
        self.read.discard(mine)
        if op.hash is not None:
            self.nodes.setdefault(op.hash, (mine, op.ts))
        op.obj = op.block = mine
        return [*left, op]

    def _other(self, op: SlowOp, books: Books) -> SlowOp:
        entry = self.entry[op.obj]
        if op.name == "IN":
            if not self.owners[entry][op.obj] and entry in self.read:
                op.name, op.fetch, op.backing = "HIT", False, "CACHE"
                books.count["ksm.copies"] += 1
            self.owners[entry][op.obj] = True
            self.read.add(entry)
        elif op.name == "FREE":
            del self.entry[op.obj]
            if len(self.owners[entry]) > 1:
                op.name, op.drop = "PUT", None
                del self.owners[entry][op.obj]
            else:
                op.drop = entry
                del self.owners[entry]
                self._forget(entry)
        op.obj = op.block = entry
        return op

    def _leave(self, op: SlowOp, entry: int, name: str) -> SlowOp:
        del self.owners[entry][op.obj]
        left = dataclasses.replace(op, name=name, obj=entry, block=entry, sub=0, store=False, inplace=False, scans=[])
        if name == "FREE":
            del self.owners[entry]
            self._forget(entry)
            left.drop = entry
        return left

    def _forget(self, entry: int) -> None:
        self.stable.discard(entry)
        self.nodes = {content: node for content, node in self.nodes.items() if node[0] != entry}

    def figures(self, books: Books) -> dict[str, float]:
        span = (books.last_ts or 0) - books.first_ts
        saved, candidates = (books.area[name] / span for name in ("ksm.merged", "ksm.live"))
        return {
            "ksm.merged_pages": books.count["ksm.merged_pages"],
            "ksm.copies": books.count["ksm.copies"],
            "ksm.merged_peak": books.peak["ksm.merged"],
            "ksm.metadata_bytes_peak": books.peak["ksm.metadata"],
            "ksm.profit_bytes_avg": PAGE * saved - self.item * candidates,
        }
