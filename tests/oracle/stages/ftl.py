"""Twin of `swaptrace.stages.ftl`: the translation layer fed with what the placement wrote."""

from __future__ import annotations

from tests.oracle.books import PAGE, Books, SlowOp
from tests.oracle.ftl import SlowFtl, slow_blocks
from tests.oracle.stages.base import SlowStage, World, pages, share


class SlowFtlStage(SlowStage):
    placing = True

    def __init__(self, world: World, erase: str, op: str, gc: str, prog: str, streams: str) -> None:
        block, self.program = pages(erase), pages(prog)
        blocks = slow_blocks(world.device_pages, block, share(op), self.program, int(streams))
        self.ftl = SlowFtl(blocks, block, self.program, gc == "fifo", int(streams))
        self.done = 0

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        for page in books.stream[self.done :]:
            self.ftl.step(page)
        self.done = len(books.stream)
        return [op]

    def figures(self, books: Books) -> dict[str, float]:
        self.ftl.pad_request()
        out: dict[str, float] = {"write.flash_bytes": PAGE * self.ftl.flash_pages, "write.erases": self.ftl.erases}
        return out | ({"write.padding_bytes": PAGE * self.ftl.padded_pages} if self.program > 1 else {})
