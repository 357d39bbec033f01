"""What one page of an op takes besides its table walks: the parameters of the cost model that it pays, by backing.

Rule. A *swap-out* ends when its page frame can be used for something else, a *swap-in* when the page is mapped.

* What took the page, or answers it, costs the same whichever stage it was (:data:`_BY_BACKING`): the device writes or
  reads it, a pool or a RAM device compresses or decompresses it, a buffer copies it, a zero page is cleared at its
  swap-in; a content that is already held costs nothing more. Every swap-in costs a fault, too, a minor one where the
  swap cache answers. A free costs its walks only.
* What else a stage does to a page on its way down (the check for zeroes, the hash) is what its ``work`` says.

Writes that an op causes but does not wait for (a full buffer, a cleaner, a writeback) are device time, not latency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from swaptrace.model.ops import Backing, Op

__all__ = ["PRICED_OPS", "Worker", "work_of"]

PRICED_OPS = {"swap_out": Op.OUT, "swap_in": Op.IN, "cache_hit": Op.HIT, "free": Op.FREE}
"""The ops that have a modelled latency, by the name that it has in the figures."""

_BY_BACKING: dict[tuple[Op, Backing], tuple[str, ...]] = {
    (Op.OUT, Backing.ZERO): (),
    (Op.OUT, Backing.SAME): (),
    (Op.OUT, Backing.SHARED): (),
    (Op.OUT, Backing.BUFFER): ("copy_ns",),
    (Op.OUT, Backing.DISK): ("device_write_ns",),
    (Op.OUT, Backing.ZSWAP): ("{}_compress_ns",),
    (Op.OUT, Backing.ZSWAP_SHARED): (),
    (Op.OUT, Backing.RAM): ("{}_compress_ns",),
    (Op.IN, Backing.ZERO): ("fault_ns", "zero_fill_ns"),
    (Op.IN, Backing.SAME): ("fault_ns", "zero_fill_ns"),
    (Op.IN, Backing.BUFFER): ("fault_ns", "copy_ns"),
    (Op.IN, Backing.DISK): ("fault_ns", "device_read_ns"),
    (Op.IN, Backing.ZSWAP): ("fault_ns", "{}_decompress_ns"),
    (Op.IN, Backing.RAM): ("fault_ns", "{}_decompress_ns"),
    (Op.IN, Backing.CACHE): ("minor_fault_ns",),
    (Op.HIT, Backing.CACHE): ("minor_fault_ns",),
}


class Worker(Protocol):
    """What a stage says about the work that it does to pages."""

    @property
    def compressors(self) -> Mapping[Backing, str]:
        """What it compresses with the pages that it takes (``lz4`` or ``zstd``), by their backing."""

    def work(self, op: Op, backing: Backing) -> Iterable[str]:
        """Return the parameters that each page of this op and backing pays on its way through the stage; ``{}`` in
        a name stands for the compressor of its backing."""


def work_of(stages: Iterable[Worker], op: Op, backing: Backing) -> tuple[str, ...] | None:
    """Return the parameters that one page of ``op`` and ``backing`` pays in a path of ``stages``, each as often as it
    is paid; None where the rule does not know: that op has no latency then.
    """
    taken = () if op == Op.FREE else _BY_BACKING.get((op, backing))
    if taken is None:
        return None
    way: list[str] = []
    compressor = "lz4"
    for stage in stages:
        way += stage.work(op, backing)
        compressor = stage.compressors.get(backing, compressor)
    return tuple(name.format(compressor) for name in (*way, *taken))
