"""Twin of `swaptrace.stages.zero`."""

from __future__ import annotations

from tests.oracle.books import Books, SlowOp
from tests.oracle.stages.base import SlowStage, World


class SlowZero(SlowStage):
    def __init__(self, world: World, same: str = "off") -> None:
        self.same = same == "on"
        self.elided: dict[int, str] = {}

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
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

    def figures(self, books: Books) -> dict[str, float]:
        return {f"dedup.{name}": books.count[f"dedup.{name}"] for name in ("zero_pages", "same_filled_pages")}
