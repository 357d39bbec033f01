"""Builds the slow twin of a policy spec, and runs a trace through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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

__all__ = ["slow_figures", "twin"]


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


def slow_figures(
    trace: MemoryTrace, spec: str, free_inference: str = "latest", at: int | None = None, memcg: int | None = None
) -> dict[str, float]:
    """Return the figures of ``spec`` on ``trace``, op by op, with those of a swapoff at the time ``at`` if given."""
    policy, found = twin(spec, space_of(trace.cut([])), _contents(trace)), None
    for op in slow_ops(trace, free_inference):
        if at is not None and found is None and op.ts > at:
            found = swapoff(policy, spec, memcg)
        policy.step(op)
    if at is not None and found is None:
        found = swapoff(policy, spec, memcg)
    return policy.figures() | (found or {})


def swapoff(policy: SlowPolicy, spec: str, memcg: int | None) -> dict[str, float]:
    """Return what a swapoff would find now."""
    walk = getattr(resolve_policy(spec).layout.kind, "virtual_swapoff", False)
    found = policy.census.figures(policy.layout, walk, list(policy.stages), memcg, None)
    if memcg is None and (policy.layout.direct or walk):  # conservation: every entry in use is found
        name = "physical" if policy.layout.direct else "virtual"
        assert found[f"swapoff.{name}.entries"] == policy.books.now["virtual"]
    return found


def slow_ops(trace: MemoryTrace, free_inference: str) -> Iterator[SlowOp]:
    """Yield the ops of ``trace``, fresh ones: a twin writes on them."""
    none = np.zeros(trace.rows, np.uint8)
    names = ("ts", "kind", "cause", "backend", "tgid", "owner_tgid", "swap_type", "slot", "va", "cpu", "sub", "memcg")
    c = {n: trace.columns.get(n, none).tolist() for n in (*names, "hash", "fill", "csize", "write")}
    v = {name: mask.tolist() for name, mask in trace.valid.items()}
    events = [
        Event(i, Kind(kind), Cause(cause), Backend(backend), *rest)
        for i, (kind, cause, backend, *rest) in enumerate(zip(*(c[name] for name in names[1:9]), strict=True))
    ]
    for name, number, i in resolve(events, free_inference)[0]:
        known = v["fill"][i]
        yield SlowOp(
            name,
            number,
            c["ts"][i],
            c["cpu"][i],
            c["sub"][i],
            c["memcg"][i],
            c["hash"][i] if v["hash"][i] else None,
            (known and c["fill"][i] == 0) or c["backend"][i] == Backend.ZERO,
            known and c["fill"][i] != 0,
            csize=c["csize"][i],
            write=bool(c["write"][i]),
        )


def _contents(trace: MemoryTrace) -> dict[int, dict[str, int]]:
    for sidecar in trace.meta.sidecars:
        rows = pq.read_table(trace.path.with_name(sidecar.name)).to_pylist()
        return {row["hash"]: row for row in rows}
    return {}
