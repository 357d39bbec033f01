"""How far a swapoff has to search: the anonymous mappings of all processes with swapped pages, from the snapshot.

The table of processes beside a trace (docs/trace.md) was taken when the recording began and when it ended; the one
nearer to the moment is used. It has the mappings of a process, not its memory cgroup: for one cgroup nobody knows.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from swaptrace.model.trace import Trace
from swaptrace.replay.beside import beside
from swaptrace.replay.moment import Moment

__all__ = ["span_at"]

_PAGE = 4096
_SUFFIX = ".processes.parquet"


def span_at(trace: Trace, moment: Moment) -> tuple[int | None, str]:
    """Return the page table entries that a walk passes at ``moment``, or None and why nobody can tell."""
    absent = "swapoff.*.ptes_scanned of page table walks is absent: "
    if moment.memcg is not None:
        return None, absent + "the snapshot does not say which processes are in which memory cgroup"
    found = beside(trace, _SUFFIX)
    if not isinstance(found, tuple):
        return None, absent + (found or "the trace has no snapshot of processes (swaptrace record --snapshot)")
    sidecar, path = found
    try:
        table = pq.read_table(path, columns=["when", "anonymous_bytes"]).to_pydict()
    except (pa.ArrowException, OSError) as error:
        return None, absent + f"{sidecar.name}: {str(error).splitlines()[0]}"
    when = "stop" if "stop" in sidecar.rows and (moment.late or "start" not in sidecar.rows) else "start"
    if when not in sidecar.rows:
        return None, absent + f"{sidecar.name} has no rows of the start or the stop"
    sizes = zip(table["when"], table["anonymous_bytes"], strict=True)
    return sum(size // _PAGE for moment_of_row, size in sizes if moment_of_row == when), ""
