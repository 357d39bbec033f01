"""The synthetic machine equals its page-at-a-time twin; every recipe makes a stream that a real machine could make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.model.invariants import validate
from swaptrace.model.trace import Trace
from swaptrace.synth.catalogue import RECIPES, make_recipe
from swaptrace.synth.content import Mix
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Hardware, Machine, Pages, Round
from swaptrace.synth.trace import Stream, columns, synthesize
from tests.oracle.synth import SlowMachine, referee

BLOCK = 16  # pages; folios in it have order 0, 2 or 4
SMALL = {"resident": "8MiB"}
SIZE: dict[str, dict[str, str]] = {
    "launch-storm": {"apps": "5", "app": "3MiB"},
    "fork-cow": {"footprint": "12MiB", "children": "3"},
}
CHOICES: dict[str, st.SearchStrategy[dict[str, str]]] = {
    "uniform": st.fixed_dictionaries({"write": st.sampled_from(["0%", "35%", "100%"])}),
    "zipf": st.fixed_dictionaries({"alpha": st.sampled_from(["0.5", "1.0", "1.3"])}),
    "hot-cold": st.fixed_dictionaries({"r": st.sampled_from(["50%", "95%"]), "f": st.sampled_from(["5%", "60%"])}),
    "launch-storm": st.fixed_dictionaries(
        {"kill": st.sampled_from(["0%", "30%"]), "write": st.sampled_from(["0%", "60%"])}
    ),
    "fork-cow": st.fixed_dictionaries({"copy": st.sampled_from(["0%", "40%", "100%"])}),
    "zero-heavy": st.fixed_dictionaries({"same": st.sampled_from(["0%", "20%"]), "write": st.sampled_from(["50%"])}),
    "duplicate-heavy": st.fixed_dictionaries({"pool": st.sampled_from(["1", "50"])}),
    "scan": st.fixed_dictionaries({"readahead": st.sampled_from(["1", "8"]), "write": st.sampled_from(["0%", "70%"])}),
    "thp-mix": st.fixed_dictionaries(
        {"split": st.sampled_from(["0%", "50%"]), "write": st.just("40%"), "pmd": st.sampled_from(["0%", "30%"])}
    ),
}


@st.composite
def machines(draw: st.DrawFn) -> tuple[Pages, Hardware, Mix, list[Round]]:
    blocks = draw(st.lists(st.sampled_from([0, 2, 4]), min_size=2, max_size=5))
    r = np.random.default_rng(draw(st.integers(0, 2**32)))
    order = np.repeat(np.array(blocks, np.uint8), BLOCK)
    count = len(order)
    process = np.repeat(np.arange(len(blocks), dtype=np.int32) % 2, BLOCK)
    pages = Pages(process, np.int64(1 << 30) + np.arange(count) * 4096, order)
    most = 32
    hardware = Hardware(draw(st.integers(most, count + 8)), most, 3, 5, draw(st.sampled_from([0.0, 0.4])))
    rounds = []
    for _ in range(draw(st.integers(1, 12))):
        page: list[int] = []
        write: list[bool] = []
        while len(page) < r.integers(0, most - BLOCK + 1):
            first = int(r.integers(count))
            size = 1 << int(order[first])
            first -= first % size
            page += range(first, first + size)
            write += [bool(r.random() < 0.4)] * size
        extra: dict[str, Any] = {}
        if r.random() < 0.3:
            extra["task"] = r.integers(0, 2, len(page))
            sizes = 1 << order[page].astype(int)
            extra["task"] = extra["task"][np.arange(len(page)) - np.array(page, int) % sizes] if page else extra["task"]
        if r.random() < 0.3:
            extra["cause"] = r.integers(2, 4, len(page)).astype(np.uint8)
        if r.random() < 0.3:
            extra["copy_of"] = r.integers(-1, count, len(page))
        extra["exits"] = (int(r.integers(2)),) if r.random() < 0.2 else ()
        extra["starts"] = (0,) if r.random() < 0.2 else ()
        extra["idle"] = int(r.integers(0, 100))
        rounds.append(Round(np.array(page, np.int64), np.array(write, bool), **extra))
    return pages, hardware, Mix(0.2, 0.1, 0.3, 4, 1.0), rounds


@settings(max_examples=150, deadline=None)
@given(machines(), st.integers(0, 2**64 - 1))
def test_the_machine_equals_its_slow_twin(case: tuple[Pages, Hardware, Mix, list[Round]], seed: int) -> None:
    pages, hardware, mix, rounds = case
    fast = Machine(pages, hardware, mix, Dice(seed))
    slow = SlowMachine(pages, hardware, Mix(0.2, 0.1, 0.3, 4, 1.0), Dice(seed))
    for step in rounds:
        expected = slow.play(step)
        found = list(fast.play(step))
        rows = {name: np.concatenate([part[name] for part in found]).tolist() for name in found[0]} if found else {}
        for at, row in enumerate(expected):
            assert {name: rows[name][at] for name in row} == row
        assert len(rows.get("ts", ())) == len(expected)


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=4, deadline=None)
@given(st.data())
def test_a_stream_is_one_that_a_machine_could_make(name: str, data: st.DataObject) -> None:
    chosen = {**SMALL, **SIZE.get(name, {"footprint": "16MiB"}), **data.draw(CHOICES[name])}
    stream = Stream(make_recipe(name, chosen), 12_000, data.draw(st.integers(0, 2**64 - 1)))
    blocks = list(stream.blocks(5000))
    whole = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    found, valid = columns(whole)
    assert 12_000 - 511 <= len(found["ts"]) <= 12_000
    referee(found, valid, stream.slots)


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=3, deadline=None)
@given(st.data())
def test_every_recipe_is_valid(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    chosen = {**SMALL, **SIZE.get(name, {"footprint": "16MiB"}), **data.draw(CHOICES[name])}
    path = tmp_path_factory.mktemp("synth") / "t.parquet"
    synthesize(path, name, chosen, 9_000, data.draw(st.integers(0, 1000)))
    found = validate(Trace(path))
    assert not found.violations
    assert not found.warnings


def test_the_file_does_not_depend_on_blocks(tmp_path: Path) -> None:
    made = []
    for number, block in enumerate((1 << 18, 999, 300_001)):
        path = tmp_path / f"{number}.parquet"
        synthesize(path, "thp-mix", {**SMALL, "footprint": "32MiB"}, 300_000, 7, block=block)
        made.append(path.read_bytes())
    assert made[0] == made[1] == made[2]
