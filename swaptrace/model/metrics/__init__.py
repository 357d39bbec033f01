"""Every figure of a report, once: its name, unit, good direction, kind and definition. The docs are made from this.

Pages are 4 KiB base pages. ``exact`` follows from trace and layout; ``modelled`` depends on a stated, overridable
parameter; ``measured`` was timed. Counts are per replay of the whole trace unless the name says peak, avg
(time-weighted) or end.
"""

from __future__ import annotations

from swaptrace.model.metrics.contents import CONTENTS
from swaptrace.model.metrics.costs import COSTS, SWAPOFF
from swaptrace.model.metrics.device import READS, WRITES
from swaptrace.model.metrics.indirection import INDIRECTION
from swaptrace.model.metrics.metric import Better, Metric, MetricKind
from swaptrace.model.metrics.places import PLACES
from swaptrace.model.metrics.pools import POOLS

__all__ = ["METRICS", "METRIC_BY_NAME", "SWAPOFF", "Better", "Metric", "MetricKind", "is_inferred"]

# Figures that do not depend on when an unseen free happened; all others carry the mark `inferred`.
_CERTAIN = (
    "trace.",
    "write.logical_bytes",
    "dedup.zero_pages",
    "dedup.same_filled_pages",
    "indirection.metadata_bytes.static",
)

METRICS: tuple[Metric, ...] = (*INDIRECTION, *WRITES, *READS, *CONTENTS, *PLACES, *POOLS, *COSTS)
"""In the order in which reports show them."""
METRIC_BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def is_inferred(name: str) -> bool:
    """Return whether metric ``name`` depends on when frees happened that no event showed."""
    return not name.startswith(_CERTAIN)
