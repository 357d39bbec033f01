"""Small traces made by hand, written with the product's own writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from swaptrace.model.events import COLUMNS, Kind
from swaptrace.model.meta import Capability, HashInfo, Sight, SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from swaptrace.model.writer import TraceWriter

__all__ = ["META", "columns", "story", "write_trace"]

META = TraceMeta(
    tool="swaptrace 0.1.0",
    kernel="6.18.44",
    recorder="tracefs",
    tier="T0",
    cpus=2,
    devices=(SwapDevice(0, 253 << 20, "/dev/zram0", "zram", 4096, 5),),
    hash=HashInfo("xxh64"),
    capabilities={c: Sight.OBSERVED for c in (Capability.SLOT, Capability.FREE, Capability.HASH, Capability.FAULT)},
)
Row = Mapping[str, Any]


def columns(rows: Sequence[Row]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Turn rows into what :class:`TraceWriter` takes; what a row does not say is missing."""
    words = sorted({row["comm"] for row in rows if "comm" in row})
    out, valid = {}, {}
    for column in COLUMNS:
        null = 0 if column.null is None else column.null
        values = [row.get(column.name, null) for row in rows]
        if column.text:
            values = [words.index(row["comm"]) if "comm" in row else -1 for row in rows]
        out[column.name] = np.array(values, column.dtype)
        if column.null is None:
            valid[column.name] = np.array([column.name in row for row in rows], np.bool_)
    return out, valid, words


def write_trace(path: Path, rows: Sequence[Row], meta: TraceMeta = META, **changes: Any) -> Path:
    """Write ``rows`` as a trace; ``changes`` override fields of its header."""
    out, valid, words = columns(rows)
    with TraceWriter(path) as writer:
        writer.write(out, valid, words)
        writer.finish(replace(meta, **changes))
    Trace(path)
    return path


def story(pages: int = 200, seed: int = 7) -> list[dict[str, Any]]:
    """A plausible stream: each page is written, some are read, most are freed, some slots are used again."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    live: list[int] = []
    free = list(range(1, pages + 1))
    for now in range(4 * pages):
        row: dict[str, Any] = {
            "ts": 1000 * now,
            "cpu": now % 2,
            "swap_type": 0,
            "tgid": 40,
            "tid": 40,
            "comm": "kswapd0",
        }
        choice = rng.random()
        if choice < 0.45 and free:
            slot = free.pop(int(rng.integers(len(free))))
            live.append(slot)
            content = int(rng.integers(30))
            row |= {
                "kind": Kind.SWAP_OUT,
                "cause": 1,
                "backend": 1,
                "slot": slot,
                "owner_tgid": 100 + content % 3,
            }
            row |= {"hash": 1000 + content, "pfn": now} | ({"fill": 0, "backend": 2} if content == 0 else {})
        elif choice < 0.75 and live:
            row |= {
                "kind": Kind.SWAP_IN,
                "cause": 2,
                "backend": 1,
                "slot": live[int(rng.integers(len(live)))],
            }
            row["comm"] = "worker"
        elif live:
            slot = live.pop(int(rng.integers(len(live))))
            free.append(slot)
            row |= {"kind": Kind.SLOT_FREE, "slot": slot}
        else:
            continue
        rows.append(row)
    return rows
