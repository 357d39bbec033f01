"""Twin of `swaptrace.stages.ftl`: the translation layer fed with what the placement wrote."""

from __future__ import annotations

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.ftl import SlowFtl
from tests.oracle.stages.base import SlowStage, World, pages, share


class SlowFtlStage(SlowStage):
    placing = True

    def __init__(self, world: World, erase: str, op: str) -> None:
        block = pages(erase)
        self.ftl = SlowFtl(-(-round(world.device_pages * (1 + share(op)) * 1000) // (block * 1000)) + 3, block)
        self.done = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        for page in books.stream[self.done :]:
            self.ftl.step(page)
        self.done = len(books.stream)
        return [op]

    def figures(self, books: Books) -> dict[str, float]:
        return {"write.flash_bytes": PAGE * self.ftl.flash_pages, "write.erases": self.ftl.erases}
