"""The report of one replay: provenance and figures, as JSON with a published schema (``swaptrace.report/1``)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swaptrace.model.basis import Basis
from swaptrace.model.cost import PARAMETERS, CostModel, Price
from swaptrace.model.errors import InputError
from swaptrace.model.metrics import METRIC_BY_NAME, Better, MetricKind

__all__ = ["REPORT_SCHEMA", "CostUsed", "Figure", "PolicyUsed", "Report", "ToolUsed", "TraceUsed", "figure"]

REPORT_SCHEMA = "swaptrace.report/1"


@dataclass(frozen=True)
class ToolUsed:
    """Who computed the report."""

    name: str
    version: str
    python: str
    numpy: str
    engine: str  # numpy, or numba where the extra [fast] is installed: same figures


@dataclass(frozen=True)
class TraceUsed:
    """Which trace was replayed, and how much of it: ``events = replayed + skipped``."""

    name: str
    sha256: str
    events: int
    replayed: int
    skipped: int
    lost: int
    span_ns: int
    kernel: str
    recorder: str
    capabilities: dict[str, str]


@dataclass(frozen=True)
class PolicyUsed:
    """Which policy: ``name`` as asked for, ``spec`` in canonical form with every parameter that acts; ``brief`` is the
    spec without most of those that have their default.
    """

    name: str
    spec: str
    layout: str
    path: tuple[str, ...]
    params: dict[str, str]
    origin: str = "builtin"
    brief: str = ""


@dataclass(frozen=True)
class CostUsed:
    """Which cost model priced the modelled figures: the preset, the sha256 of its values, what overrides some of them
    (``low..typical..high``), and those prices that act in this report.
    """

    preset: str
    sha256: str
    overrides: dict[str, str] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)

    @staticmethod
    def of(cost: CostModel, acting: Collection[str]) -> CostUsed:
        """Return what a report keeps of ``cost``, of which the parameters ``acting`` are used."""
        prices = {name: cost.prices[name] for name in PARAMETERS if name in acting}
        return CostUsed(cost.preset, cost.sha256, dict(cost.overrides), prices)

    def same_prices(self, other: CostUsed) -> bool:
        """Return whether both mean the same prices: one machine."""
        return (self.sha256, self.overrides) == (other.sha256, other.overrides)


@dataclass(frozen=True)
class Figure:
    """One figure. ``low`` and ``high`` bound a modelled one over the cost parameters' ranges.

    ``inferred`` is true where the value depends on when an unseen free happened (see trace.inferred_frees).
    """

    value: float | int
    unit: str
    better: Better
    kind: MetricKind
    low: float | None = None
    high: float | None = None
    inferred: bool = False


@dataclass(frozen=True)
class Report:
    """One trace replayed onto one policy."""

    tool: ToolUsed
    command: str
    trace: TraceUsed
    policy: PolicyUsed
    cost: CostUsed
    metrics: dict[str, Figure]
    seed: int = 0
    options: dict[str, str] = field(default_factory=dict)  # replay options that change figures (free_inference)
    warnings: tuple[str, ...] = ()
    basis: Basis | None = None  # what the prices were applied to; None in reports of before it was kept
    schema: str = REPORT_SCHEMA

    def value(self, name: str) -> float | int | None:
        """Return the value of metric ``name``, or None where this policy has no such figure."""
        found = self.metrics.get(name)
        return None if found is None else found.value

    def to_json(self) -> str:
        """Return the report as indented JSON that ends in a newline."""
        from pydantic import TypeAdapter

        return TypeAdapter(Report).dump_json(self, indent=1).decode() + "\n"

    @staticmethod
    def load(path: Path | str) -> Report:
        """Read a report; raises :class:`InputError` if it is missing, damaged or of another schema."""
        from pydantic import TypeAdapter, ValidationError
        from pydantic_core import from_json

        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path} is not a regular file.", "A report is the JSON that swaptrace replay -o writes.")
        try:
            content = Path(path).read_bytes()
            if content.startswith(b"PAR1"):
                raise InputError(
                    f"{path} is a trace, not a report.",
                    "A report is the JSON that swaptrace replay -o writes.",
                    f"swaptrace diff {path} -p swap-table -p vswap-v6, or: swaptrace replay {path} -p POLICY -o DIR",
                )
            raw: Any = from_json(content)
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist.", "", "Make one: swaptrace replay TRACE -p POLICY -o reports/"
            ) from error
        except PermissionError as error:
            raise InputError(f"cannot read {path}.", "Permission denied.") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is not a report.",
                str(error).splitlines()[0],
                "A report is the JSON of swaptrace replay -o.",
            ) from error
        found = raw.get("schema") if isinstance(raw, dict) else None
        if found != REPORT_SCHEMA:
            raise InputError(
                f"{path} has the schema {found!r}.",
                f"This swaptrace reads {REPORT_SCHEMA}.",
                "Replay the trace again, or upgrade.",
            )
        try:
            return TypeAdapter(Report).validate_python(raw)
        except ValidationError as error:
            raise InputError(
                f"{path} is damaged.",
                str(error).splitlines()[1].strip() + " " + str(error).splitlines()[2].strip(),
                "Replay the trace again.",
            ) from error

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """Return the JSON Schema of a report."""
        from pydantic import TypeAdapter

        return TypeAdapter(Report).json_schema(mode="serialization")


def figure(
    name: str, value: float, low: float | None = None, high: float | None = None, inferred: bool = False
) -> Figure:
    """Return the figure of metric ``name``: unit, direction and kind come from the table of metrics."""
    metric = METRIC_BY_NAME[name]
    return Figure(value, metric.unit, metric.better, metric.kind, low, high, inferred)
