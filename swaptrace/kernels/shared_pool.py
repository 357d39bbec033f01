"""A pool that holds equal contents once: blocks with an index by hash, reference counts, and lists of their owners.

Rule. As in :mod:`swaptrace.kernels.pool`, with *blocks* in the queue, to which units have *references*. A unit that is
POOLED or ON_DEVICE has a reference to one block; NOWHERE and IN_RAM ones have none. The index has the hash of each
block in the pool that has one. In an op, the look-up comes first, then what the unit had is given back, then what the
op brings is taken:

* **OUT**. The index is asked for its hash. If it has it, that is a *hit*, whatever the size: the unit takes a reference
  to that block, behind its other owners, and no bytes enter; with ``lru`` the block goes to the young end. A unit that
  has a reference to this very block in the pool keeps it and its place among the owners. Otherwise, with size -1 it
  goes to the device: as a block of its own, or *in place*, as the unit's old block, if that one dies on the device with
  this op. With any other size a new block enters at the young end.
* **IN**. With ``exclusive`` a POOLED unit gives its reference back, and is IN_RAM. With ``lru`` the block goes to the
  young end if it is still in the pool.
* **FREE**. The unit gives its reference back.

A block without references dies: in the pool its bytes are free and the index forgets it; on the device it is dropped.
A block that is written back leaves the index and keeps its references: its owners share it on the device. With
``apart`` each owner gets a block of its own there instead, which is written for it: the first owner keeps the number.

With ``pin`` a block that has several references is *pinned*: it leaves the queue at its second one, and enters at the
young end when one is left. It is not written back, whatever the limit.

Where the rule of the plain pool counts objects, blocks in the queue count; ``batch`` counts the pages that are written.
"""

from __future__ import annotations

from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.pool import NEVER, Limits
from swaptrace.kernels.shared_pool_loop import LoopShared
from swaptrace.kernels.shared_pool_state import SharedFed, SharedRules
from swaptrace.kernels.shared_pool_vector import VectorShared

__all__ = ["SharedFed", "SharedPool", "SharedRules", "new_shared_pool"]

SharedPool = LoopShared | VectorShared


def new_shared_pool(limits: Limits, rules: SharedRules) -> SharedPool:
    """Return an empty pool in the form that is fastest with the engine in force: both are exact."""
    if engine_name() == "numpy" and limits.limit >= NEVER and limits.age >= NEVER and not rules.pin:
        return VectorShared(rules.exclusive)
    return LoopShared(limits, rules)
