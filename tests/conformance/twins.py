"""Builds the slow twin of a policy spec, and runs a trace through it."""

from __future__ import annotations

import numpy as np

from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.policies.registry import resolve as resolve_policy
from swaptrace.replay.space import space_of
from tests.oracle.books import SlowOp
from tests.oracle.ftl import SlowFtl
from tests.oracle.layouts import SlowLayout, SlowSwapTable, SlowVswapTable, SlowVswapV6
from tests.oracle.objects import Event, resolve
from tests.oracle.policy import SlowPolicy
from tests.oracle.stages import SlowDedup, SlowFlash, SlowSlots, SlowZero
from tests.streams import MemoryTrace

LAYOUTS: dict[str, type[SlowLayout]] = {
    "swap-table": SlowSwapTable,
    "vswap-v6": SlowVswapV6,
    "vswap-table": SlowVswapTable,
}
PAGES = {"K": 1 << 10, "M": 1 << 20}


def pages(text: str) -> int:
    return int(text[:-3]) * PAGES[text[-3]] // 4096


def twin(spec: str, slots: int) -> SlowPolicy:
    policy = resolve_policy(spec)
    texts = {part.kind.name: part.texts for part in policy.path}
    layout = LAYOUTS[policy.layout.kind.name](slots, **policy.layout.texts)
    dedup = SlowDedup() if "dedup" in texts else None
    place: SlowFlash | SlowSlots
    if "flash" in texts:
        flash = texts["flash"]
        segment = pages(flash["erase"])
        size = slots // segment * segment
        place = SlowFlash(slots // segment, segment, pages(flash["buffer"]), flash["discard"] == "on")
        if layout.direct:
            layout.static += 8 * slots
    else:
        size = slots
        place = SlowSlots(slots, texts["slots"]["discard"] == "on", texts["slots"]["prefer"] == "free")
    ftl = None
    if "ftl" in texts:
        block, op = pages(texts["ftl"]["erase"]), float(texts["ftl"]["op"].rstrip("%")) / 100
        ftl = SlowFtl(-(-round(size * (1 + op) * 1000) // (block * 1000)) + 3, block)
    zero = SlowZero(texts["zero"]["same"] == "on") if "zero" in texts else None
    return SlowPolicy(layout, zero, dedup, place, ftl)


def slow_figures(trace: MemoryTrace, spec: str, free_inference: str = "latest") -> dict[str, float]:
    """Return the figures of ``spec`` on ``trace``, op by op."""
    policy = twin(spec, space_of(trace.cut([])).slots)
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
            )
        )
    return policy.figures()


__all__ = ["slow_figures", "twin"]
