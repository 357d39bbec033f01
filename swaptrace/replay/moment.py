"""The moment of a census: a time since the beginning of the trace, or a share of its duration.

Rule. Everything that has happened by that time, its own instant included, is counted; nothing after it. ``0s`` is
the instant of the first event, ``100%`` that of the last. A time behind the last event is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swaptrace.model.errors import UsageError
from swaptrace.model.events import EventBatch
from swaptrace.model.trace import Trace
from swaptrace.model.units import format_seconds, parse_share, parse_time_ns

__all__ = ["END", "Moment", "moment_of"]

END = "100%"


@dataclass(frozen=True)
class Moment:
    """When (``ts`` ns on the clock of the trace, ``since`` ns after its first event), and of which memory cgroup
    (None: of all)."""

    ts: int
    since: int
    memcg: int | None
    late: bool  # nearer to the last event than to the first

    @property
    def options(self) -> dict[str, str]:
        """Return the replay options that ask for this moment again."""
        return {"at": f"{self.since}ns"} | ({} if self.memcg is None else {"memcg": str(self.memcg)})

    def cut(self, events: EventBatch) -> Iterator[EventBatch]:
        """Yield ``events``, in two parts if the moment is between them."""
        until = int(np.searchsorted(events["ts"], self.ts, side="right"))
        if 0 < until < len(events):
            yield events.part(0, until)
            yield events.part(until, len(events))
        else:
            yield events


def moment_of(trace: Trace, at: str, memcg: int | None) -> Moment:
    """Return the moment that ``at`` names; raises :class:`UsageError` if the trace has none such."""
    first = last = 0
    for events in trace.batches(["ts"]):
        if events.first == 0:
            first = int(events["ts"][0])
        last = int(events["ts"][-1])
    span = last - first
    if at.strip().endswith("%"):
        share = parse_share(at)
        if share > 1:
            raise UsageError(f"--at {at}: more than 100%.", f"{END} is the last event.")
        since = round(share * span)
    else:
        since = parse_time_ns(at)
        if since > span:
            raise UsageError(
                f"--at {at}: {trace.path.name} ends before.",
                f"It is {format_seconds(span)} long.",
                f"Name a time since its first event, or a share of its duration: --at {END}",
            )
    return Moment(first + since, since, memcg, 2 * since > span)
