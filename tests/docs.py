"""The generated pages of docs/: `make docs` writes them, tests/unit/test_docs.py keeps them current."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from swaptrace.model.cost import PARAMETERS, CostModel
from swaptrace.model.cost_files import NEUTRAL, load_cost, preset_names
from swaptrace.model.events import COLUMNS, Column
from swaptrace.model.metrics import METRICS
from swaptrace.model.report import REPORT_SCHEMA
from swaptrace.policies.registry import catalogue
from swaptrace.render.costs import price_rows
from swaptrace.render.schema import report_schema
from tests.case_studies import CASES, rerun
from tests.policy_table import policy_table_page

DOCS = Path(__file__).parents[1] / "docs"
MADE = "<!-- made by `make docs` from {}; do not edit -->\n"


def table(rows: Iterable[Sequence[str]], heads: Sequence[str]) -> str:
    """Return a Markdown table; bars inside cells are escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, heads, tablefmt="github", disable_numparse=True)


def metrics_page() -> str:
    rows = [(f"`{m.name}`", m.unit, m.better.value, m.kind.value, m.doc) for m in METRICS]
    return f"""{MADE.format("swaptrace/model/metrics")}
# Metrics

Every figure of a report ({REPORT_SCHEMA}), at `.metrics["name"].value`. Pages are 4 KiB base pages. *exact* follows
from trace and layout; *modelled* depends on a stated parameter that you can change. One with `"inferred": true` depends
on when a slot free happened that no event showed: replay with `--free-inference earliest` for the other bound.

{table(rows, ("metric", "unit", "better", "kind", "definition"))}
"""


def trace_page() -> str:
    def type_name(column: Column) -> str:
        text = str(column.arrow())
        return "dictionary of string" if text.startswith("dictionary") else text

    rows = [(f"`{c.name}`", type_name(c), "yes" if c.nullable else "", c.encoding, c.doc) for c in COLUMNS]
    names = "\n".join(
        f"* `{c.name}`: {', '.join(f'`{n.name.lower()}`' for n in c.names)}" for c in COLUMNS if c.names is not None
    )
    return f"""{MADE.format("swaptrace/model/events.py")}
# The trace file

One Parquet file, sorted by `ts`, one row per event and 4 KiB page: a folio of order *o* is 2^*o* rows. The footer holds
the header as JSON under the key `swaptrace` (swaptrace/model/meta.py): schema version, kernel, recorder, clock offsets,
swap devices, lost events, vmstat before and after, how contents were hashed, capabilities, sha256 of the content.

{table(rows, ("column", "type", "null", "encoding", "meaning"))}

Values of the named columns:

{names}
"""


def policies_page() -> str:
    rows = [(f"`{i.name}`", i.summary, f"`{i.spec}`") for i in catalogue()]
    return f"""{MADE.format("swaptrace/policies/catalogue.py")}
# Named policies

A policy is a layout and a path of stages. `swaptrace policies explain NAME` prints its rules, state per slot, lookups,
assumptions and sources. Compose your own: `-p vswap-v6+dedup+flash:buffer=8MiB`.

{table(rows, ("policy", "what it is", "spec"))}
"""


def presets_page() -> str:
    def section(cost: CostModel) -> str:
        own = [row for row in price_rows(cost) if cost.preset == NEUTRAL or cost.prices[row[0]] != neutral.get(row[0])]
        rows = [(f"`{name}`", *values, unit or "1", source) for name, *values, unit, _, source in own]
        return f"""## {cost.preset}
{cost.summary}; sha256 `{cost.sha256[:8]}`

{table(rows, ("price", "low", "typical", "high", "unit", "source"))}
"""

    neutral = load_cost(NEUTRAL).prices
    meanings = table([(f"`{p.name}`", p.unit, p.doc) for p in PARAMETERS.values()], ("price", "unit", "of"))
    return f"""{MADE.format("swaptrace/model/presets")}
# Cost presets

What they are for: [costs.md](costs.md). A page is 4 KiB. Presets of devices have the prices of neutral, too.

{meanings}

{chr(10).join(section(load_cost(name)) for name in preset_names())}"""


def pages() -> dict[Path, str]:
    """Return every page that is the same with all supported versions of the libraries."""
    return {
        DOCS / "metrics.md": metrics_page(),
        DOCS / "trace.md": trace_page(),
        DOCS / "policies.md": policies_page(),
        DOCS / "policy-table.md": policy_table_page(MADE.format("reports/golden by way of tests/policy_table.py")),
        DOCS / "cost-presets.md": presets_page(),
    }


if __name__ == "__main__":
    cases = {path: rerun(path.read_text()) for path in CASES}
    for path, text in {**pages(), **cases, DOCS / "report.schema.json": report_schema()}.items():
        path.write_text(text)
        print(path)
