"""A content index that forgets late: contents without references stay, stale, until they are cleaned.

Rule. As :mod:`swaptrace.kernels.contents`, but a content that loses its last reference becomes *stale*: its block
stays. A take of a stale content is a *stale hit*: it is held again. So no store is in place over a block with a
hash. Blocks without a hash are in no index: they die at once, or are stored over in place.

At the end of each op that stores or gives, and at which no other block dies or is stored over, the block that has been
stale longest dies if it has been so for ``ttl`` or longer, if more than ``capacity`` contents are stale, or if there
are more blocks than the device has ``room`` for, stale ones included. One op cleans one block: the cleaner's work is
spread over the ops, and a backlog is worked off in order.
"""

from __future__ import annotations

from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.stale_loop import LoopStale
from swaptrace.kernels.stale_state import StaleContents, StaleTaken
from swaptrace.kernels.stale_vector import VectorStale

__all__ = ["StaleContents", "StaleTaken", "new_stale"]


def new_stale(ttl: int, capacity: int) -> StaleContents:
    """Return an empty index in the form of the engine in force: both are exact. ``ttl`` in ns."""
    return (LoopStale if engine_name() == "numba" else VectorStale)(ttl, capacity)
