"""Lives of handles: which rows find their object live, and what ops they therefore are.

Rule, per handle, in order. A handle is live or not, and has the page of its latest OUT; at first it is not live.

* **OUT** of a page on a live handle goes on with its life (a rewrite) if the page is known (not 0) and that of the
  latest OUT. Otherwise it is *stale*: the old life ended unseen, and a FREE is put directly before it; then it begins
  a new life. On a handle that is not live it begins a life.
* **FREE** ends the life. Any other row changes nothing. On a handle that is not live these are *orphans*: no ops.
* OUTs, and other ops but FREE, are *accesses*.
"""

from __future__ import annotations

from swaptrace.kernels.lives_loop import LoopLives
from swaptrace.kernels.lives_state import Lived, LivesState
from swaptrace.kernels.lives_vector import VectorLives
from swaptrace.kernels.loop import engine_name

__all__ = ["Lived", "LivesState", "new_lives"]


def new_lives() -> LivesState:
    """Return the lives of all handles, none yet, in the form of the engine in force: both are exact."""
    return LoopLives() if engine_name() == "numba" else VectorLives()
