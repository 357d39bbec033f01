"""One flat array for all swap entries: 8 bytes each, allocated for the whole device at swapon.

Rule. An entry is an index; a walk reads one cache line of the array. Writeout: 2 walks (allocate, set the backing).
Read: 2 walks (look up, free the cached page). Swap-cache hit: 1. Free: 1. Writeback, or one page table entry more or
less: 1. Each op of a page touches one line.

Metadata: 8 B per slot of the device, static.
"""

import numpy as np

from swaptrace.layouts.charges import classes_of
from swaptrace.layouts.virtual_space import VirtualSpace
from swaptrace.model.component import Layout, Space, count_param
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import Op, Ops


class FlatMap(Layout):
    """Swap entries in one array."""

    name = "flat-map"
    summary = "one array with an 8-byte word per swap entry"
    direct = False  # physical slots are taken later, by the stage that places pages
    params = (count_param("word", "8", "bytes of an entry", least=1),)
    state_per_slot = (("array", "8 B per slot of the device, static"),)
    lookups = (("swap_out", "2", "1"), ("swap_in", "2", "1"), ("hit, free", "1", "1"))
    assumptions = ("The array never grows: there are as many entries as slots.",)
    references = ("docs/your-layout.md",)

    def __init__(self, word: int) -> None:
        """Take the parameters, parsed."""
        self._word = word
        self._walks = np.ones(len(Op), np.int64)  # by op
        self._walks[[Op.OUT, Op.IN]] = 2

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay on a device of ``space.slots`` slots."""
        self._ledger, self._entries = ledger, VirtualSpace()
        ledger.fix(METADATA, self._word * space.slots)

    def enter(self, ops: Ops) -> None:
        """Give each new object its swap entry: ``ops.entry``."""
        self._entries.enter(ops)

    def feed(self, ops: Ops) -> None:
        """Charge walks, cache lines and metadata by class of op."""
        self._ledger.hold(VIRTUAL, ops.lives)
        if ops.placement is not None:
            self._ledger.hold("slots.physical", ops.placement.slots)
        classes = classes_of(ops)
        classes.charge(self._ledger, self._walks[classes.op], np.ones(len(classes.op), np.int64))
