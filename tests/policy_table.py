"""docs/policy-table.md: every named policy on every sample trace, from the golden reports."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from swaptrace.model.report import Figure, Report
from swaptrace.policies.catalogue import NAMED

__all__ = ["policy_table_page"]

ROOT = Path(__file__).parents[1]
MIB = 1 << 20
# metric (or several, of which a policy has one), head, divisor, digits
COLUMNS: tuple[tuple[str | tuple[str, ...], str, int, int], ...] = (
    ("indirection.lookups_per_event", "walks/event", 1, 2),
    ("indirection.cachelines_per_event", "lines/event", 1, 2),
    ("indirection.metadata_bytes.static", "static MiB", MIB, 2),
    ("indirection.metadata_bytes.peak", "metadata MiB", MIB, 2),
    ("indirection.metadata_bytes_per_slot", "B/slot", 1, 2),
    ("slots.physical_peak", "slots", 1, 0),
    ("write.host_bytes", "written MiB", MIB, 1),
    ("write.sequential_share", "sequential", 1, 2),
    ("write.amplification_host", "WA host", 1, 3),
    ("write.amplification", "WA", 1, 3),
    ("write.erases", "erases", 1, 0),
    ("dedup.zero_pages", "zero", 1, 0),
    ("dedup.hits", "dedup hits", 1, 0),
    ("dedup.stale_hits", "stale hits", 1, 0),
    ("ksm.merged_pages", "merged", 1, 0),
    (("zswap.pool_bytes_peak", "zram.pool_bytes_peak", "buffer.bytes_peak"), "RAM MiB", MIB, 1),
    ("read.device_bytes", "read MiB", MIB, 1),
)


def policy_table_page(made: str) -> str:
    """Return the page; ``made`` is its first line."""
    parts = [
        made,
        """# Every named policy on the sample traces

`make docs` makes this page from the golden reports, which `make golden` makes from the traces in `traces/`; check any
line yourself, for example `swaptrace replay traces/redis_zram.parquet -p vswap-v6`. *walks* are table walks and *lines*
distinct dependent cache lines, per writeout, read and free; *metadata* is the peak, *B/slot* (peak - static) / slots in
use then, *slots* the peak of physical slots; *written* goes to the device, *WA host* = written / swapped out, *WA* =
programmed by the flash translation layer / swapped out; *stale hits* are contents that only a loose index still had,
*merged* is done by KSM, *RAM* is the peak of the compressed pool, of zram or of the flash buffer. All are exact but
*WA* and *erases*, which depend on the modelled translation layer (`ftl`). A blank: the policy has no such figure, or
the trace lacks what it needs. A `*` marks what depends on frees that no event showed. What each policy is:
[policies.md](policies.md); what the figures mean: [metrics.md](metrics.md).
""",
    ]
    for trace in sorted(path.stem for path in (ROOT / "traces").glob("*.parquet")):
        parts.append(_table(trace))
    return "\n".join(parts)


def _table(trace: str) -> str:
    rows, first = [], None
    for name in NAMED:
        path = ROOT / "reports" / "golden" / f"{trace}.{name}.json"
        if not path.exists():
            continue
        report = Report.load(path)
        first = first or report
        rows.append([f"`{name}`", *(_cell(_first(report, m), by, digits) for m, _, by, digits in COLUMNS)])
    assert first is not None
    head = ["policy", *(head for _, head, _, _ in COLUMNS)]
    events, digest = f"{first.trace.events:,}", first.trace.sha256[:16]
    table = tabulate(rows, head, tablefmt="github", disable_numparse=True, colalign=["left"] + ["right"] * len(COLUMNS))
    return f"## {trace}\n\n{events} events, sha256:{digest}, kernel {first.trace.kernel}\n\n{table}\n"


def _first(report: Report, names: str | tuple[str, ...]) -> Figure | None:
    """Return the first of the figures that the report has."""
    found = [names] if isinstance(names, str) else names
    return next((report.metrics[name] for name in found if name in report.metrics), None)


def _cell(figure: Figure | None, by: int, digits: int) -> str:
    if figure is None:
        return ""
    return f"{figure.value / by:,.{digits}f}" + ("*" if figure.inferred else "")
