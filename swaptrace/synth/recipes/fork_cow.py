"""Children that share the pages of their parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.component import count_param
from swaptrace.model.errors import UsageError
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Pages, Round
from swaptrace.synth.recipe import Recipe, even_pages
from swaptrace.synth.settings import CONTENT, MACHINE, MEMORY, bounded, percent, with_defaults

__all__ = ["ForkCow"]

_MOST_PAGES = 1 << 24


class ForkCow(Recipe):
    """A parent writes all its pages once and never again. Then children are forked, one after another; of
    ``children`` that live, the oldest ends first (``proc_exit``; a fork has no event).

    A child reads each page of its parent with probability ``read``, in address order: the child runs the swap-in, the
    page and its slot stay the parent's. It writes ``copy`` of the pages it reads: it gets a page of its own at the
    same address, with the parent's content, or another one with probability ``changed``. Its pages go out to slots of
    their own, freed at its end; the slots of the parent are never freed.
    """

    name = "fork-cow"
    summary = "children read the swapped pages of their parent and copy some on write"
    source = "Own rule, after Android's zygote: a parent that only forks, children that share what they do not write."
    params = (
        *with_defaults(MEMORY, footprint="128MiB"),
        bounded(count_param("children", "8", "children that live at a time", least=1), 256, "more than 256."),
        percent("read", "30%", "pages of the parent that a child touches"),
        percent("copy", "25%", "touched pages that the child writes: copy on write"),
        percent("changed", "80%", "copied pages whose content differs from the parent's"),
        *CONTENT,
        *MACHINE,
    )

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        values = self.values
        if self.count * (1 + values["children"]) > _MOST_PAGES:
            raise UsageError("fork-cow: parent and children have more than 64GiB.", "", "Set fewer children.")
        if not values["read"]:
            raise UsageError("fork-cow: children touch nothing.", "", "Set read=30%")
        if not values["copy"] and "changed" in given:
            raise UsageError("fork-cow:changed cannot act.", "No page is copied.", "Set copy=25%, or leave it out.")

    def pages(self, dice: Dice) -> Pages:
        """Return the parent's pages, then as many for each child, at the same addresses."""
        parent, families = even_pages(self.count, 1), 1 + self.values["children"]
        process = np.repeat(np.arange(families, dtype=np.int32), self.count)
        return Pages(process, np.tile(parent.va, families), np.zeros(len(process), np.uint8))

    def rounds(self, dice: Dice) -> Iterator[Round]:
        """Fill the parent, then fork without end."""
        piece = self.step // 2  # a touched page can be two: the parent's and the copy
        for start in range(0, self.count, piece):
            page = np.arange(start, min(start + piece, self.count))
            yield Round(page, np.ones(len(page), np.bool_))
        nothing = np.empty(0, np.int64), np.empty(0, np.bool_)
        values, number = self.values, 0
        while True:
            child = 1 + number % values["children"]
            yield Round(*nothing, exits=(child,) if number >= values["children"] else ())
            number += 1
            page = np.flatnonzero(dice.share(self.count, values["read"]))
            for start in range(0, len(page), piece):
                yield self._touches(dice, page[start : start + piece], child)

    def _touches(self, dice: Dice, page: NDArray[np.int64], child: int) -> Round:
        """Let ``child`` touch pages of its parent."""
        copied = dice.share(len(page), self.values["copy"])
        changed = dice.share(len(page), self.values["changed"])
        twice = 1 + copied.astype(np.int64)
        of = np.repeat(page, twice)
        own = np.zeros(len(of), np.bool_)
        own[np.cumsum(twice)[copied] - 1] = True
        copy_of = np.where(own & ~np.repeat(changed, twice), of, -1)
        task = np.full(len(of), child, np.int64)
        return Round(np.where(own, of + self.count * child, of), own, task=task, copy_of=copy_of)
