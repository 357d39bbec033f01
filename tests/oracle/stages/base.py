"""What every slow stage is: one op at a time, written from the rule in its stage's docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.oracle.books import Books, SlowOp
from tests.oracle.layouts.base import SlowLayout

PAGES = {"K": 1 << 10, "M": 1 << 20}


def pages(text: str) -> int:
    """Return a size like 64KiB in pages."""
    return int(text[:-3]) * PAGES[text[-3]] // 4096


def share(text: str) -> float:
    """Return a share like 7%."""
    return float(text.rstrip("%")) / 100


def duration(text: str) -> float:
    """Return a time like 3us in ns."""
    number = text.rstrip("nusm")
    return float("inf") if text == "inf" else float(number) * {"ns": 1, "us": 1e3, "s": 1e9}[text[len(number) :]]


@dataclass
class World:
    """Where a slow stage runs: slots of the device, the layout, the path, the size of what is above it."""

    slots: int
    layout: SlowLayout
    path: Mapping[str, Mapping[str, str]]
    areas: Sequence[tuple[int, int, int]] = ()
    device_pages: int = 0
    several: Sequence[tuple[int, int, int]] = ()  # the devices below, if not one
    contents: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # sampled: compressed sizes by hash

    @property
    def pool_dedup(self) -> bool:
        return self.path.get("dedup", {}).get("scope") == "zswap"

    @property
    def shared(self) -> bool:
        """Whether several objects may have one block on the device."""
        return "dedup" in self.path and not (self.pool_dedup and self.layout.direct)


class SlowStage:
    """A stage with nothing to do; ``texts`` are its parameters as written."""

    placing = False

    def __init__(self, world: World, **texts: str) -> None: ...

    def step(self, op: SlowOp, books: Books) -> list[SlowOp]:
        """Handle one op; return what the stages below see instead of it: itself, nothing, or more."""
        return [op]

    def settle(self, books: Books) -> None:
        """After the layout has charged the op."""

    def figures(self, books: Books) -> dict[str, float]:
        return {}
