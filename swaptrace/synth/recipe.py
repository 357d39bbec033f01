"""What a recipe is: parameters, the pages there are, and an endless list of rounds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import Param, count_param
from swaptrace.model.errors import UsageError
from swaptrace.synth.content import Mix
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Hardware, Pages, Round
from swaptrace.synth.settings import CONTENT, MACHINE, MEMORY, bounded, parse_settings, percent, refuse_idle

__all__ = ["BLOCK", "PAGE", "PROCESSES", "WRITE", "Recipe", "even_pages"]

PAGE = 4096
BLOCK = 512  # pages of a PMD: no folio crosses a multiple of it
_FIRST_ADDRESS = 0x7F00_0000_0000
_LEAST_ROUND = 512

WRITE = percent("write", "100%", "touches that write; a page that is only read keeps its slot")
PROCESSES = bounded(count_param("processes", "4", "processes that share the pages evenly", least=1), 4096, "over 4096.")


def even_pages(count: int, processes: int, align: int = 1) -> Pages:
    """Return ``count`` order-0 pages at addresses in a row, divided evenly among processes, at multiples of
    ``align``."""
    number = np.arange(count, dtype=np.int64)
    process = ((number - number % align) * processes // count).astype(np.int32)
    return Pages(process, _FIRST_ADDRESS + number * PAGE, np.zeros(count, np.uint8))


class Recipe:
    """Base of the recipes, and the rule that most of them share: first every page is written once, in address order
    (the fill), then rounds of a quarter of the memory are touched as :meth:`touched` says, ``write`` of them written.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    align: ClassVar[int] = 1  # pages; where processes may be divided
    params: ClassVar[tuple[Param, ...]] = (*MEMORY, WRITE, PROCESSES, *CONTENT, *MACHINE)

    def __init__(self, given: Mapping[str, str]) -> None:
        """Take the parameters as text. Raises :class:`UsageError` for one that is unknown, wrong, or cannot act."""
        self.values: dict[str, Any] = parse_settings(self.name, self.params, given)
        refuse_idle(self.name, given, self.values)
        self.count = self.total()
        self.resident = int(self.values["resident"]) // PAGE
        if self.resident < 4 * _LEAST_ROUND:
            raise UsageError(f"{self.name}:resident is below 8MiB.", "Rounds are a quarter of it.", "Set resident=8MiB")
        if self.count <= self.resident:
            raise UsageError(
                f"{self.name}: everything fits into memory.",
                f"{self.count:,} pages are touched, and memory holds {self.resident:,}: nothing would be swapped.",
                "Set a larger footprint, or a smaller resident.",
            )
        if self.values.get("processes", 1) > self.count // self.align:
            raise UsageError(f"{self.name}: some processes would have no pages.", "", "Set fewer processes.")
        self.step = self.resident // 4 // BLOCK * BLOCK

    def total(self) -> int:
        """Return the pages that are touched."""
        return int(self.values["footprint"]) // PAGE

    @property
    def fill(self) -> int:
        """Events until the rule of the recipe begins."""
        return self.count - self.resident

    def hardware(self) -> Hardware:
        """Return the machine that it runs on."""
        return Hardware(self.resident, self.step, self.values["cpus"], max(1, 10**9 // self.values["rate"]))

    def mix(self) -> Mix:
        """Return what is written."""
        values = self.values
        return Mix(
            values["zero"], values.get("same", 0.0), values["duplicate"], values["pool"], values.get("skew", 0.0)
        )

    def pages(self, dice: Dice) -> Pages:
        """Return all pages there can be."""
        return even_pages(self.count, self.values["processes"], self.align)

    def rounds(self, dice: Dice) -> Iterator[Round]:
        """Yield rounds without end."""
        for start in range(0, self.count, self.step):
            page = np.arange(start, min(start + self.step, self.count))
            yield Round(page, np.ones(len(page), np.bool_))
        for number in itertools.count():
            page = self.touched(dice, number)
            yield Round(page, self.written(dice, page), cause=self.cause(page))

    def touched(self, dice: Dice, number: int) -> NDArray[np.int64]:
        """Return the pages that are touched in a round, at most ``self.step``."""
        raise NotImplementedError

    def written(self, dice: Dice, page: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which touches write."""
        return dice.share(len(page), self.values["write"])

    def cause(self, page: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """Return why each page comes in; None: a fault of its own."""
        return None
