"""Triple indirection minus flash inside vswap is one map, and nothing else: the exact price of the third level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.model.component import Space
from swaptrace.model.cost_files import load_cost
from swaptrace.model.ledger import METADATA
from swaptrace.model.ops import NOTHING, Op, Ops
from swaptrace.model.report import Report
from swaptrace.policies.registry import resolve
from swaptrace.replay import engine
from swaptrace.replay.engine import Run
from swaptrace.stages.flash import Flash
from swaptrace.stages.slots import Slots
from tests.conformance.test_twins import SMALL_FLASH
from tests.streams import random_trace

MAP = 8  # bytes per slot, and again per page on the device
SLOTS = 4096
# what a walk and a line more may change; `indirection.metadata_bytes_per_slot` may peak at another time
DERIVED = ("indirection.lookups", "indirection.cachelines", "indirection.ns", "indirection.metadata_bytes", "cost.")
PATHS: dict[str, tuple[str, type[Flash] | type[Slots]]] = {
    f"{SMALL_FLASH}+ftl:erase=64KiB": ("vswap-v6", Flash),
    f"dedup+{SMALL_FLASH}+ftl:erase=64KiB": ("vswap-v6", Flash),
    f"{SMALL_FLASH}": ("vswap-table", Flash),
    f"{SMALL_FLASH},buffered=tombstone,gc=cost-benefit,timer=1us": ("vswap-v6", Flash),
    "flash:buffer=256KiB,erase=64KiB,low=25%,pressure=8/120ns,gc=fifo": ("vswap-table", Flash),
    "slots:discard=on+ftl:erase=64KiB": ("vswap-table", Slots),
    f"zswap:pool=128KiB+{SMALL_FLASH}": ("vswap-v6", Flash),
}


class Reached:
    """What arrived at the placement, seen from outside: walks and lines of one map, by op."""

    def __init__(self) -> None:
        self.walks, self.lines = np.zeros(len(Op), int), 0

    def see(self, ops: Ops) -> None:
        reach = ops.store | ops.fetch | (ops.drop != NOTHING)
        self.walks += np.bincount(ops.op[reach & (ops.sub == 0)], minlength=len(Op))
        self.lines += int(np.count_nonzero(reach & (ops.sub % 8 == 0)))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_third_level_is_one_map_and_nothing_else(path: str, seed: int) -> None:
    upper, placing = PATHS[path]
    reached, ledgers = Reached(), []
    feed: Callable[[Any, Ops], Ops] = placing.feed
    start = Run.start

    def watched(self: Any, ops: Ops) -> Ops:
        reached.see(ops)
        return feed(self, ops)

    def kept(self: Run, space: Space) -> None:
        ledgers.append(self.ledger)
        start(self, space)

    with pytest.MonkeyPatch.context() as patch:
        trace = random_trace(seed, 4000, slots=SLOTS).cut([1500])
        patch.setattr(Run, "start", kept)
        plain = engine.replay(trace, [resolve(f"{upper}+{path}")])[0]
        patch.setattr(placing, "feed", watched)
        triple = engine.replay(trace, [resolve(f"stacked:upper={upper}+{path}")])[0]

    assert triple.metrics.keys() == plain.metrics.keys()
    changed = {name for name in plain.metrics if delta(triple, plain, name)}
    assert {name for name in changed if not name.startswith(DERIVED)} == set()

    walks = reached.walks
    assert walks[[Op.OUT, Op.IN, Op.FREE]].all()
    assert delta(triple, plain, "indirection.lookups") == walks.sum()
    assert delta(triple, plain, "indirection.cachelines") == reached.lines
    assert delta(triple, plain, "indirection.lookups.swap_out") == walks[Op.OUT]
    assert delta(triple, plain, "indirection.lookups.swap_in") == walks[Op.IN]
    assert delta(triple, plain, "indirection.lookups.free") == walks[Op.FREE]
    assert delta(triple, plain, "indirection.lookups.writeback") == walks[Op.WRITEBACK]
    assert delta(triple, plain, "indirection.lookups.gc") == 0
    prices = load_cost().prices
    price = walks.sum() * prices["walk_ns"].typical + reached.lines * prices["line_ns"].typical
    assert delta(triple, plain, "indirection.ns") == pytest.approx(price, abs=1e-3)

    below, above = (ledger.gauges[METADATA] for ledger in reversed(ledgers))
    device, span = ledgers[0].gauges["slots.physical"], ledgers[0].span
    assert delta(triple, plain, "indirection.metadata_bytes.static") == MAP * SLOTS
    assert delta(triple, plain, "indirection.metadata_bytes.end") == MAP * (SLOTS + device.now)
    assert below.now - above.now == MAP * device.now
    assert below.moment - above.moment == MAP * device.moment
    average = delta(triple, plain, "indirection.metadata_bytes.avg")
    assert average == pytest.approx(MAP * (SLOTS + device.average(span)), rel=1e-9)
    assert 0 <= delta(triple, plain, "indirection.metadata_bytes.peak") - MAP * SLOTS <= MAP * device.peak


def delta(test: Report, base: Report, name: str) -> float:
    """Return the difference of one figure of two reports."""
    return (test.value(name) or 0) - (base.value(name) or 0)
