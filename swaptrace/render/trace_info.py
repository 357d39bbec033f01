"""``swaptrace info``: a trace at a glance, for people and for programs."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from typing import Any

from swaptrace.model.meta import Capability, Sidecar, SwapDevice
from swaptrace.model.summary import QUANTILES, LogHistogram, Summary
from swaptrace.model.trace import Trace
from swaptrace.model.units import format_bytes, format_count, format_seconds, printable
from swaptrace.render.document import json_text
from swaptrace.render.numbers import number
from swaptrace.render.spark import sparkline
from swaptrace.render.text import table

__all__ = ["json_info", "text_info"]

_RATE = 1e9


def text_info(trace: Trace, found: Summary, owners: int) -> str:
    """Return the page for a terminal."""
    blocks = [
        _head(trace, found),
        _devices(trace.meta.devices),
        _capabilities(trace),
        _counts(found),
        _lifetimes(found),
        _timeline(found),
        _top("pages swapped out by owner (tgid)", found.owners, owners),
        _top("pages swapped out by memory cgroup (inode)", found.memcgs, owners),
        _top("events by task that ran them (kswapd runs for others)", found.comms, owners),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(trace: Trace, found: Summary) -> list[str]:
    meta = trace.meta
    size = trace.path.stat().st_size
    rows = [
        ("trace", f"{trace.path}  {format_bytes(size)}, schema {meta.schema_version}"),
        ("sha256", meta.digest),
        ("kernel", meta.kernel or "unknown"),
        (
            "recorder",
            " ".join(filter(None, (meta.recorder or "unknown", meta.tier, f"({meta.tool})" if meta.tool else ""))),
        ),
        ("command", meta.command),
        ("cpus", str(meta.cpus) if meta.cpus else ""),
        ("filters", ", ".join(meta.filters)),
        ("events", f"{format_count(found.events)} in {format_seconds(found.span_ns)}"),
        ("lost", ", ".join(f"{format_count(n)} by {source}" for source, n in meta.lost.items() if n) or "0"),
        ("skipped", ", ".join(f"{format_count(n)} {reason}" for reason, n in meta.skipped.items() if n)),
        ("hash", f"{meta.hash.algorithm}{', salted' if meta.hash.salted else ''}"),
        *(("beside", f"{sidecar.name}: {_rows(trace, sidecar)}") for sidecar in meta.sidecars),
        ("state", "interrupted recording" if meta.interrupted else ""),
        *(("note", note) for note in meta.notes),
    ]
    return [f"{key:<9} {printable(text)}" for key, text in rows if text]


def _rows(trace: Trace, sidecar: Sidecar) -> str:
    counts = ", ".join(
        f"{format_count(count)} rows" + (f" at {when}" if when else "") for when, count in sidecar.rows.items()
    )
    path = trace.path.with_name(sidecar.name)
    if not path.is_file():
        return f"{counts}; the file is missing"
    with path.open("rb") as stream:
        same = hashlib.file_digest(stream, "sha256").hexdigest() == sidecar.sha256
    return counts if same else f"{counts}; the file is not the one of this recording (sha256)"


def _devices(devices: tuple[SwapDevice, ...]) -> list[str]:
    rows = [
        [
            d.path or "?",
            d.kind,
            str(d.swap_type),
            f"{d.dev >> 20}:{d.dev & 0xFFFFF}",
            _size(d),
            str(d.priority),
        ]
        for d in devices
    ]
    return table(rows, ["swap", "kind", "type", "dev", "size", "prio"], left=(0, 1)) if rows else []


def _size(device: SwapDevice) -> str:
    return format_bytes(device.pages * 4096) if device.pages else "unknown"


def _capabilities(trace: Trace) -> list[str]:
    return table([[str(c), str(trace.meta.sight(c))] for c in Capability], ["capability", "seen"], left=(0, 1))


def _counts(found: Summary) -> list[str]:
    seconds = found.span_ns / _RATE
    rows = [
        [kind, backend or "-", number(count), number(count / seconds) if seconds else "n/a"]
        for (kind, backend), count in sorted(found.counts.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    lines = table(rows, ["kind", "backend", "events", "per second"], left=(0, 1))
    large = {order: pages for order, pages in sorted(found.orders.items()) if order}
    if large:
        lines.append(
            "large folios, pages swapped out: " + ", ".join(f"order {o} {format_count(n)}" for o, n in large.items())
        )
    if found.shmem:
        lines.append(f"shmem pages swapped out: {format_count(found.shmem)}")
    return lines


def _lifetimes(found: Summary) -> list[str]:
    def row(label: str, histogram: LogHistogram) -> list[str]:
        return [label, number(histogram.count), *(_time(histogram.quantile(q)) for q in QUANTILES)]

    measured = [
        row("swap-out to free, rewrite or swapoff", found.lifetime),
        row("swap-out to first read", found.until_read),
    ]
    rows = [cells for cells in measured if cells[1] != "0"]
    if not rows:
        return []
    heads = ["lifetime of slots", "count", *(f"p{round(100 * q)}" for q in QUANTILES)]
    return [*table(rows, heads), f"in use at the end: {format_count(found.live_end)} slots"]


def _time(ns: float) -> str:
    """Return a quantile with the three digits that its 2 % bins are worth."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return f"{ns:.0f} ns"


def _timeline(found: Summary) -> list[str]:
    counts = found.timeline.bins()
    if not counts:
        return []
    plain = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    step = found.timeline.bin_ns
    peak = f"peak {format_count(max(counts))} pages per {format_seconds(step)}"
    return [
        f"swap-outs over time, one column per {format_seconds(step)}, {peak}",
        f"[{sparkline(counts, ascii_only=plain)}]",
    ]


def _top(title: str, counts: Counter[Any], limit: int) -> list[str]:
    if not counts or not limit:
        return []
    total = counts.total()
    rows = [[printable(str(key)), number(n), f"{100 * n / total:.1f}%"] for key, n in counts.most_common(limit)]
    rest = len(counts) - len(rows)
    lines = table(rows, ["", "", ""])[1:]
    return [title, *(f"  {line}" for line in lines), *([f"  and {rest} more"] if rest > 0 else [])]


def json_info(trace: Trace, found: Summary, owners: int) -> str:
    """Return the same as JSON: the whole header, all counts, the ``owners`` largest of each list."""
    from pydantic import TypeAdapter

    from swaptrace.model.meta import TraceMeta

    def quantiles(histogram: LogHistogram) -> dict[str, Any]:
        values = {f"p{round(100 * q)}": histogram.quantile(q) for q in QUANTILES}
        return {"count": histogram.count, "relative_error": 0.022, **values}

    def top(counts: Counter[Any], key: str) -> list[dict[str, Any]]:
        return [{key: word, "count": count} for word, count in counts.most_common(owners)]

    return json_text(
        {
            "path": str(trace.path),
            "meta": TypeAdapter(TraceMeta).dump_python(trace.meta, mode="json"),
            "events": found.events,
            "first_ts": found.first_ts,
            "span_ns": found.span_ns,
            "counts": [{"kind": k, "backend": b or None, "events": n} for (k, b), n in sorted(found.counts.items())],
            "orders": {str(order): pages for order, pages in sorted(found.orders.items())},
            "shmem_pages": found.shmem,
            "lifetime_ns": quantiles(found.lifetime),
            "until_read_ns": quantiles(found.until_read),
            "live_slots_end": found.live_end,
            "swap_outs_over_time": {"bin_ns": found.timeline.bin_ns, "pages": found.timeline.bins()},
            "owners": top(found.owners, "tgid"),
            "memcgs": top(found.memcgs, "inode"),
            "comms": top(found.comms, "comm"),
        }
    )
