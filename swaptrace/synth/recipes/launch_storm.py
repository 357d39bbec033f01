"""Apps that are started one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from swaptrace.model.component import count_param
from swaptrace.model.errors import UsageError
from swaptrace.synth.dice import Dice, Ranks
from swaptrace.synth.machine import Pages, Round
from swaptrace.synth.recipe import PAGE, Recipe, even_pages
from swaptrace.synth.settings import CONTENT, MACHINE, bounded, most_bytes, number_param, percent, time_param

__all__ = ["LaunchStorm"]

_MOST_PAGES = 1 << 24


class LaunchStorm(Recipe):
    """Apps are launched one after another, each drawn by Zipf's law with ``alpha`` over the apps; ``pause`` passes
    between two launches.

    An app that runs already touches, in address order, the first ``startup`` of its pages, and each of the others
    with probability ``more``; ``write`` of the touches write. An app that does not run yet starts cold (``proc_exec``)
    and writes all its pages. Before a launch the app has been killed with probability ``kill``: its slots are freed
    (``proc_exit``), and it starts cold.
    """

    name = "launch-storm"
    summary = "apps are launched in turn: bursts of swap-ins and reclaim, some are killed first"
    source = "Own rule, after application launches on phones, whose unit is the burst; killing as by lmkd."
    params = (
        bounded(count_param("apps", "16", "apps", least=2), 4096, "more than 4096."),
        most_bytes("app", "32MiB", "pages of an app"),
        most_bytes("resident", "128MiB", "pages that memory holds"),
        percent("startup", "40%", "pages of an app that every launch touches"),
        percent("more", "10%", "other pages of an app that a launch touches, drawn anew"),
        percent("write", "50%", "touches that write"),
        percent("kill", "5%", "launches of an app that was killed before"),
        number_param("alpha", "1.0", "exponent of the popularity of apps; 0: all alike", 4.0),
        time_param("pause", "2s", "time between launches"),
        *CONTENT,
        *MACHINE,
    )

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        if not self.values["startup"] + self.values["more"]:
            raise UsageError("launch-storm: launches touch nothing.", "", "Set startup or more.")
        self._ranks = Ranks(self.values["apps"], self.values["alpha"])

    def total(self) -> int:
        """Return the pages of all apps."""
        count = int(self.values["app"]) // PAGE * int(self.values["apps"])
        if count > _MOST_PAGES:
            raise UsageError("launch-storm: all apps together have more than 64GiB.", "", "Set fewer apps, or smaller.")
        return count

    @property
    def fill(self) -> int:
        """No fill: apps start as they are launched."""
        return 0

    def pages(self, dice: Dice) -> Pages:
        """Return the pages of all apps."""
        return even_pages(self.count, self.values["apps"])

    def rounds(self, dice: Dice) -> Iterator[Round]:
        """Launch apps without end."""
        values = self.values
        runs = np.zeros(values["apps"], np.bool_)
        nothing = np.empty(0, np.int64), np.empty(0, np.bool_)
        process = self.pages(dice).process
        ends = np.searchsorted(process, np.arange(values["apps"] + 1))
        while True:
            app = int(self._ranks.draw(dice, 1)[0])
            killed = bool(dice.share(1, values["kill"])[0]) and bool(runs[app])
            cold = killed or not runs[app]
            runs[app] = True
            yield Round(
                *nothing, exits=(app,) * killed, starts=(app,) * cold, idle=values["pause"]
            )  # the pages follow, piece by piece
            page = np.arange(ends[app], ends[app + 1])
            if not cold:
                startup = math.ceil(values["startup"] * len(page))
                page = page[(np.arange(len(page)) < startup) | dice.share(len(page), values["more"])]
            write = dice.share(len(page), 1.0 if cold else values["write"])
            for start in range(0, len(page), self.step):
                yield Round(page[start : start + self.step], write[start : start + self.step])
