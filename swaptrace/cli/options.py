"""Options that several commands share, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from swaptrace.model.cost import CostModel

__all__ = [
    "At",
    "Cost",
    "CostSet",
    "Format",
    "FreeInference",
    "Jobs",
    "Json",
    "Memcg",
    "Metrics",
    "Policies",
    "Quiet",
    "TracePath",
    "command_line",
    "cost_model",
    "progress",
]


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    MAIL = "mail"
    JSON = "json"


class FreeInference(StrEnum):
    """Where a free that no event showed is placed."""

    LATEST = "latest"
    EARLIEST = "earliest"


# No path checks of typer's: a missing or unreadable file is our own three lines and exit code 3.
TracePath = Annotated[
    Path, typer.Argument(metavar="TRACE", readable=False, help="A trace, as swaptrace record writes it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=0, metavar="N", help="Policies replayed side by side; 0: one per CPU."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no messages.")]
Policies = Annotated[
    list[str] | None,
    typer.Option("-p", "--policy", metavar="SPEC", help="A policy: a name, or layout+stage:key=value+... Repeatable."),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME", help="Also what a swapoff costs at this time: 12.5s after the start, 300ms, 50%."
    ),
]
Memcg = Annotated[
    int | None,
    typer.Option(
        "--memcg",
        metavar="ID",
        min=0,
        help="Count its swapoff for this memory cgroup alone (at the end, without --at).",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", metavar="GLOB", help="Only these metrics, as 'write.*'. Repeatable."),
]
Cost = Annotated[
    str | None,
    typer.Option(
        "--cost",
        metavar="PRESET|FILE.toml",
        help="Price the modelled figures: a preset of swaptrace cost list, or a file. Without it a replay "
        "is priced with neutral, and a saved report stays as it is.",
    ),
]
CostSet = Annotated[
    list[str] | None,
    typer.Option(
        "--cost-set",
        metavar="NAME=VALUE",
        help="Override one price: VALUE, LOW..HIGH or LOW..TYPICAL..HIGH, as device_read_ns=30us..80us. Repeatable.",
    ),
]


def cost_model(cost: str | None, changes: list[str] | None) -> CostModel | None:
    """Return the cost model that the options name, None if neither is given."""
    from swaptrace.model.cost_files import NEUTRAL, load_cost

    return None if cost is None and not changes else load_cost(NEUTRAL if cost is None else cost, changes or [])


def command_line() -> str:
    """Return the command of this process as a shell would take it."""
    import shlex
    import sys

    return shlex.join(["swaptrace", *sys.argv[1:]])


@contextmanager
def progress(total: int, label: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr while the body runs, if stderr is a terminal; yields ``callback(done, total)``."""
    if quiet:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="ev", unit_scale=True, disable=None, leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
