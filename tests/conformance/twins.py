"""Builds the slow twin of a policy spec, and runs a trace through it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow.parquet as pq

from swaptrace.model.component import Space
from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.policies.registry import resolve as resolve_policy
from swaptrace.replay.space import space_of
from tests.oracle.books import SlowOp
from tests.oracle.layouts import LAYOUTS
from tests.oracle.objects import Event, resolve
from tests.oracle.policy import SlowPolicy
from tests.oracle.stages import STAGES, World
from tests.oracle.stages.shared_zswap import SlowSharedZswap
from tests.streams import MemoryTrace


def twin(spec: str, space: Space, contents: Mapping[int, Mapping[str, int]] | None = None) -> SlowPolicy:
    policy = resolve_policy(spec)
    texts = dict(policy.layout.texts)
    priorities = texts.pop("priorities", "off")
    layout = LAYOUTS[policy.layout.kind.name](space.slots, **texts)
    if priorities == "on":
        layout.several_devices(space.areas)
    world = World(space.slots, layout, {part.kind.name: part.texts for part in policy.path}, space.areas)
    world.contents = contents or {}
    kinds = STAGES | ({"zswap": SlowSharedZswap} if world.pool_dedup else {})
    return SlowPolicy(layout, [kinds[name](world, **texts) for name, texts in world.path.items()])


def slow_figures(trace: MemoryTrace, spec: str, free_inference: str = "latest") -> dict[str, float]:
    """Return the figures of ``spec`` on ``trace``, op by op."""
    return slow_policy(trace, spec, free_inference).figures()


def slow_policy(trace: MemoryTrace, spec: str, free_inference: str = "latest", until: int | None = None) -> SlowPolicy:
    """Return the twin of ``spec`` after all ops of ``trace``; of those not after the time ``until``, if given."""
    policy = twin(spec, space_of(trace.cut([])), _contents(trace))
    c, v = trace.columns, trace.valid
    causes = c.get("cause", np.zeros(trace.rows, np.uint8))
    events = [
        Event(
            i,
            Kind(c["kind"][i]),
            Cause(causes[i]),
            Backend(c["backend"][i]),
            int(c["tgid"][i]) if "tgid" in c else 0,
            int(c["owner_tgid"][i]),
            int(c["swap_type"][i]),
            int(c["slot"][i]),
            int(c["va"][i]),
        )
        for i in range(trace.rows)
    ]
    for name, number, i in resolve(events, free_inference)[0]:
        if until is not None and c["ts"][i] > until:
            break
        known = bool(v["fill"][i])
        policy.step(
            SlowOp(
                name,
                number,
                int(c["ts"][i]),
                int(c["cpu"][i]),
                int(c["sub"][i]),
                int(c["memcg"][i]),
                int(c["hash"][i]) if v["hash"][i] else None,
                (known and c["fill"][i] == 0) or c["backend"][i] == Backend.ZERO,
                known and c["fill"][i] != 0,
                csize=int(c["csize"][i]) if "csize" in c else 0,
                write=bool(c["write"][i]) if "write" in c else False,
            )
        )
    return policy


def _contents(trace: MemoryTrace) -> dict[int, dict[str, int]]:
    for sidecar in trace.meta.sidecars:
        rows = pq.read_table(trace.path.with_name(sidecar.name)).to_pylist()
        return {row["hash"]: row for row in rows}
    return {}


__all__ = ["slow_figures", "slow_policy", "twin"]
