"""Twin of `swaptrace.stages.ftl`: the translation layer fed with what the placement wrote."""

from __future__ import annotations

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.ftl import SlowFtl, slow_blocks
from tests.oracle.stages.base import SlowStage, World, pages, share


class SlowFtlStage(SlowStage):
    placing = True

    def __init__(self, world: World, erase: str, op: str, gc: str, prog: str, streams: str) -> None:
        block, self.program = pages(erase), pages(prog)
        self.areas = world.several or [(0, world.device_pages, 0)]
        self.ftls = [
            SlowFtl(slow_blocks(size, block, share(op), self.program, int(streams)), block, self.program, gc == "fifo",
                    int(streams))
            for _, size, _ in self.areas
        ]  # fmt: skip
        self.done = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        for page in books.stream[self.done :]:
            place = page if page >= 0 else ~page
            for (first, size, _), ftl in zip(self.areas, self.ftls, strict=True):
                if place in range(first, first + size):
                    ftl.step(place - first if page >= 0 else ~(place - first))
        self.done = len(books.stream)
        return [op]

    def figures(self, books: Books) -> dict[str, float]:
        for ftl in self.ftls:
            ftl.pad_request()
        out: dict[str, float] = {
            "write.flash_bytes": PAGE * sum(ftl.flash_pages for ftl in self.ftls),
            "write.erases": sum(ftl.erases for ftl in self.ftls),
        }
        if self.program > 1:
            out["write.padding_bytes"] = PAGE * sum(ftl.padded_pages for ftl in self.ftls)
        return out
