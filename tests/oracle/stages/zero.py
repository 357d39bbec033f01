"""Twin of `swaptrace.stages.zero`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.stages.base import SlowStage, World


class SlowZero(SlowStage):
    def __init__(self, world: World, same: str = "off", ro: str = "off") -> None:
        self.same, self.ro = same == "on", ro == "on"
        self.mapped: dict[int, set[str]] = {}  # object -> how its mapping was faulted
        self.folio: dict[str, int] = {}  # op -> pages that its folio has lost
        self.walked = False
        self.elided: dict[int, str] = {}

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        if self.ro and not self.map(op, books):
            return []
        was = self.elided.get(op.obj, "") if op.name != "NEW" else ""
        if op.out:
            now = "ZERO" if op.zero else ("SAME" if self.same and op.same else "")
            self.elided[op.obj] = now
            if now:
                books.count["dedup.zero_pages" if now == "ZERO" else "dedup.same_filled_pages"] += 1
                op.store, op.backing = False, now
                if op.name == "REWRITE" and not was:
                    op.drop = op.block
            op.inplace = op.name == "REWRITE" and not was and not now
        elif was:
            op.backing, op.fetch, op.drop = was, False, None
        return [op]

    def map(self, op: SlowOp, books: Books) -> bool:
        """Apply the rule of mapped_zero; return whether anything is left of the op."""
        name = "OUT" if op.out else op.name
        place = op.sub
        if place == 0:
            self.folio[name] = 0
            self.walked = self.walked and not op.out
        op.sub = max(0, place - self.folio.get(name, 0))
        was = op.name != "NEW" and op.obj in self.mapped
        left = True
        if op.out and op.zero:
            books.count["dedup.zero_pages"] += 1
            books.count["zero.mapped_pages"] += 1
            books.count["zero.rmap_walks"] += not self.walked
            self.walked = True
            left = op.name == "REWRITE" and not was
            self.folio[name] = self.folio.get(name, 0) + 1
            self.mapped[op.obj] = set()
            if left:
                op.name, op.store, op.inplace, op.drop, op.sub = "FREE", False, False, op.obj, 0
        elif op.out:
            self.mapped.pop(op.obj, None)
            if was:
                op.name, op.inplace = "NEW", False
        elif was:
            left = False
            self.folio[name] = self.folio.get(name, 0) + 1
            if op.name in ("IN", "HIT"):
                faulted = self.mapped[op.obj]
                books.count["zero.minor_faults"] += "any" not in faulted
                faulted.add("any")
                if op.write:
                    books.count["zero.minor_faults_least"] += "write" not in faulted
                    faulted.add("write")
            elif op.name == "FREE":
                del self.mapped[op.obj]
        books.now["mapped"] = len(self.mapped)
        return left

    def figures(self, books: Books) -> dict[str, float]:
        names = ["dedup.zero_pages", "dedup.same_filled_pages"]
        if not self.ro:
            return {name: books.count[name] for name in names}
        names += [f"zero.{name}" for name in ("mapped_pages", "rmap_walks", "minor_faults", "minor_faults_least")]
        ends = {"zero.mapped_peak": books.peak["mapped"], "zero.mapped_end": books.now["mapped"]}
        return {**{name: books.count[name] for name in names}, **ends}
