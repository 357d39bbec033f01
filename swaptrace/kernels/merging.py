"""Pages of equal content that share one entry: the rule of the stage ksm over the ops.

Entries get dense numbers of their own; those that ended are used again from the next batch on.
"""

from __future__ import annotations

from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.merging_loop import LoopMerging
from swaptrace.kernels.merging_state import NO_GIVE, Merged, Merging
from swaptrace.kernels.merging_vector import VectorMerging

__all__ = ["NO_GIVE", "Merged", "Merging", "new_merging"]


def new_merging(lag: int) -> Merging:
    """Return entries and their owners, none yet, in the form of the engine in force: both are exact. ``lag`` in ns."""
    return (LoopMerging if engine_name() == "numba" else VectorMerging)(lag)
