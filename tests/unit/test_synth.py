"""What the recipes promise in numbers; the streams are seeded, so every figure here is exact for its seed."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.model.errors import UsageError
from swaptrace.model.events import Backend, Cause, EventBatch, Kind
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace
from swaptrace.policies.registry import catalogue, resolve
from swaptrace.replay.engine import replay
from swaptrace.synth.catalogue import RECIPES, make_recipe
from swaptrace.synth.content import compressed, hashed
from swaptrace.synth.dice import Dice, Ranks
from swaptrace.synth.recipes.zipf import Zipf
from swaptrace.synth.trace import Stream, columns, synthesize

PAGE = 4096
SMALL = {"resident": "8MiB", "footprint": "32MiB"}
PAGES, RESIDENT = 8192, 2048
TINY = {
    "launch-storm": {"apps": "8", "app": "4MiB", "resident": "8MiB"},
    "fork-cow": {"footprint": "16MiB", "resident": "8MiB"},
}
# sha256 of the rows, not of the file: the same on every numpy, pyarrow and machine
DIGESTS = {
    "uniform": "701aae24459d1336",
    "zipf": "d7ea8abac6f1e7f4",
    "hot-cold": "efb54eef63b43968",
    "launch-storm": "f3aa51186d6402db",
    "fork-cow": "c0776655234cccbc",
    "zero-heavy": "91e8bba88c697196",
    "duplicate-heavy": "fec69cff5582343f",
    "scan": "603b1d2243c577f8",
    "thp-mix": "aab555d54f16d94f",
}


def events(name: str, count: int, seed: int = 3, **given: str) -> EventBatch:
    """Return all events of a recipe in one batch."""
    stream = Stream(make_recipe(name, {**TINY.get(name, SMALL), **given}), count, seed)
    (block,) = stream.blocks(count + 1)
    found, valid = columns(block)
    return EventBatch(found, 0, valid)


def after_fill(batch: EventBatch) -> EventBatch:
    return batch.part(PAGES - RESIDENT, len(batch))


def pages_in(batch: EventBatch) -> NDArray[np.int64]:
    """Return the page numbers that came in."""
    address: NDArray[np.int64] = batch["va"][batch["kind"] == Kind.SWAP_IN]
    return (address - 0x7F00_0000_0000) // PAGE


# -- shapes ------------------------------------------------------------------------------------------------------


def test_uniform_swap_ins_are_uniform() -> None:
    page = pages_in(events("uniform", 300_000))
    assert len(page) == 97_952  # a third of what follows the fill
    expected = len(page) / 16
    counts = np.bincount(page // (PAGES // 16), minlength=16)
    assert ((counts - expected) ** 2 / expected).sum() < 30.58  # chi-square, 15 degrees of freedom, 1 %


def test_a_read_keeps_its_slot_and_a_clean_page_goes_without_an_event() -> None:
    kinds = np.bincount(events("uniform", 60_000, write="0%")["kind"], minlength=3)
    assert kinds.tolist() == [PAGES, 60_000 - PAGES, 0]


def test_zipf_ranks_follow_the_law() -> None:
    ranks = np.bincount(Ranks(1000, 1.0).draw(Dice(5), 1_000_000), minlength=1000)
    harmonic = (1 / np.arange(1, 1001)).sum()
    expected = 1_000_000 / harmonic / np.arange(1, 1001)
    assert ((ranks - expected) ** 2 / expected).sum() < 1106.0  # chi-square, 999 degrees of freedom, 1 %


def test_zipf_misses_are_the_unpopular_pages() -> None:
    stream = Stream(make_recipe("zipf", SMALL), 60_000, 3)
    assert isinstance(stream.recipe, Zipf)
    rank = np.empty(PAGES, np.int64)
    rank[stream.recipe.page_of] = np.arange(PAGES)
    (block,) = stream.blocks(60_000)
    missed = rank[pages_in(after_fill(EventBatch(columns(block)[0])))]
    harmonic = (1 / np.arange(1, PAGES + 1)).sum()
    touched = (1 / np.arange(1, 101)).sum() / harmonic  # of the 100 most popular pages
    assert touched > 0.5
    assert (missed < 100).mean() < touched / 50


def test_hot_pages_get_their_share_of_the_touches() -> None:
    # Nothing of a uniform half is in memory more often than the other: shares of swap-ins are shares of touches.
    page = pages_in(events("hot-cold", 200_000, r="50%", f="50%"))
    assert abs((page < PAGES // 2).mean() - 0.5) < 0.005
    page = pages_in(events("hot-cold", 200_000, r="90%", f="50%"))
    assert (page < PAGES // 2).mean() > 0.8


def test_a_scan_is_sequential_and_misses_every_page() -> None:
    batch = after_fill(events("scan", 80_000))
    page = pages_in(batch)
    assert (np.diff(page) % PAGES == 1).all()
    cause = batch["cause"][batch["kind"] == Kind.SWAP_IN]
    assert ((cause == Cause.FAULT) == (page % 8 == 0)).all()
    assert set(cause.tolist()) == {Cause.FAULT, Cause.READAHEAD}


def test_zero_heavy_is_zero_heavy() -> None:
    batch = events("zero-heavy", 200_000)
    out = batch["kind"] == Kind.SWAP_OUT
    zero = batch.valid["fill"] & (batch["fill"] == 0)
    assert abs(zero[out].mean() - 0.60) < 0.005
    assert abs((batch.valid["fill"] & ~zero)[out].mean() - 0.05) < 0.003
    assert (zero == (out & (batch["backend"] == Backend.ZERO))).all()


def test_duplicate_heavy_draws_from_its_pool() -> None:
    batch = events("duplicate-heavy", 200_000, pool="100")
    hashes = batch["hash"][batch.valid["hash"] & ~batch.valid["fill"]]
    _, counts = np.unique(hashes, return_counts=True)
    shared = np.sort(counts[counts > 1])[::-1]
    assert len(shared) == 100
    assert abs(shared.sum() / batch.valid["hash"].sum() - 0.70) < 0.005
    assert 1.9 < shared[0] / shared[2] < 2.9  # 3 ** 0.8 = 2.41


def test_launches_come_in_bursts() -> None:
    batch = events("launch-storm", 60_000, kill="40%")
    gaps = np.diff(batch["ts"])
    pauses = int((gaps >= 2 * 10**9).sum())
    starts, exits = ((batch["kind"] == kind).sum() for kind in (Kind.PROC_EXEC, Kind.PROC_EXIT))
    assert pauses > 20
    assert starts == exits + 8  # all eight apps run at the end
    assert exits > 5


def test_every_app_has_its_size() -> None:
    recipe = make_recipe("launch-storm", {"apps": "5", "app": "3MiB", "resident": "8MiB"})
    assert np.bincount(recipe.pages(Dice(1)).process).tolist() == [768] * 5


def test_children_read_the_slots_of_their_parent_and_copy() -> None:
    batch = events("fork-cow", 100_000, children="3")
    read = batch["kind"] == Kind.SWAP_IN
    others = read & (batch["tgid"] != batch["owner_tgid"])
    assert (batch["owner_tgid"][others] == 1000).all()  # the parent
    assert others.sum() > 10_000
    freed = batch["kind"] == Kind.SLOT_FREE
    assert 1000 not in batch["owner_tgid"][freed]
    out = batch["kind"] == Kind.SWAP_OUT
    parents = set(batch["hash"][out & (batch["owner_tgid"] == 1000)].tolist())
    copies = batch["hash"][out & (batch["owner_tgid"] != 1000) & ~batch.valid["fill"]]
    same = np.isin(copies, list(parents)).mean()
    assert 0.2 < same < 0.35  # a fifth is unchanged, the pool makes a few more alike


def test_folios_have_the_chosen_sizes() -> None:
    batch = events("thp-mix", 200_000, pmd="25%", large="50%", order="3", split="0%", footprint="64MiB")
    out = batch["kind"] == Kind.SWAP_OUT
    assert set(batch["order"][out].tolist()) == {0, 3, 9}
    lead = out & (batch["sub"] == 0)
    for order in (3, 9):
        first = batch["slot"][lead & (batch["order"] == order)]
        assert (first % (1 << order) == 0).all()
    split = events("thp-mix", 200_000, pmd="25%", large="75%", split="100%", footprint="64MiB")
    assert set(split["order"].tolist()) == {0}


def test_large_folios_are_touched_as_often_as_single_pages() -> None:
    """A page comes in as often, whatever its folio: rounds do not end before a folio that is too large for them."""
    stream = Stream(make_recipe("thp-mix", {**SMALL, "pmd": "40%", "large": "30%", "split": "0%"}), 400_000, 5)
    (block,) = stream.blocks(400_001)
    came = block["kind"] == Kind.SWAP_IN
    order = np.bincount(block["order"][came], minlength=10)
    pages = np.bincount(stream.recipe.pages(Dice(5)).order, minlength=10)
    rates = order[[0, 4, 9]] / pages[[0, 4, 9]]
    assert rates.max() / rates.min() < 1.15


def test_the_rate_is_the_mean_rate() -> None:
    batch = events("uniform", 100_000, rate="1000000")
    assert abs(100_000 / (batch["ts"][-1] / 1e9) / 1e6 - 1) < 0.01


def test_equal_hash_means_equal_content_and_size() -> None:
    content = np.concatenate([np.arange(300), (1 << 40) + np.arange(200_000)])
    hashes = hashed(content)
    assert len(np.unique(hashes)) == len(content)
    assert 0 not in hashes
    sizes = compressed(content, hashes)[300:]
    assert abs((sizes == PAGE).mean() - 1 / 16) < 0.002
    assert sizes[sizes < PAGE].min() >= 64
    assert sizes[sizes < PAGE].max() <= 2621
    assert abs(sizes[sizes < PAGE].mean() - 1343) < 5


# -- promises ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_rows_everywhere(tmp_path: Path, name: str) -> None:
    meta = synthesize(tmp_path / "a", name, TINY.get(name, SMALL), 20_000, 42)
    assert meta.digest[:16] == DIGESTS[name], "a recipe changed: every trace made with it changes"
    synthesize(tmp_path / "b", name, TINY.get(name, SMALL), 20_000, 42)
    first, second = (hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() for file in "ab")
    assert first == second
    synthesize(tmp_path / "c", name, TINY.get(name, SMALL), 20_000, 43)
    assert Trace(tmp_path / "c").meta.digest != meta.digest


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_policy_replays_every_recipe(tmp_path: Path, name: str) -> None:
    synthesize(tmp_path / "t.parquet", name, TINY.get(name, SMALL), 20_000, 1)
    trace = Trace(tmp_path / "t.parquet")
    reports = replay(trace, [resolve(info.name) for info in catalogue()])
    assert len(reports) == len(catalogue())
    for report in reports:
        assert report.trace.replayed > 0
        assert not report.warnings


def test_the_header_declares_everything(tmp_path: Path) -> None:
    meta = synthesize(tmp_path / "t", "uniform", SMALL, 20_000, 0)
    assert all(meta.sight(capability) is Sight.OBSERVED for capability in Capability)
    assert meta.vmstat_after["pswpout"] + meta.vmstat_after["swpout_zero"] == 10_762
    assert meta.command == "swaptrace synth uniform --events 20000 --seed 0 --set footprint=32MiB --set resident=8MiB"
    assert not meta.boot_id


def test_memory_does_not_grow_with_the_events() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        stream = Stream(make_recipe("uniform", SMALL), count, 1)
        for block in stream.blocks(1 << 16):
            columns(block)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(200_000)  # caches of numpy
    assert peak(1_600_000) < 1.1 * peak(400_000)


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("uniform", {"foot": "1GiB"}, "no parameter 'foot'"),
        ("uniform", {"alpha": "1"}, "no parameter 'alpha'"),
        ("uniform", {"resident": "1GiB"}, "everything fits into memory"),
        ("uniform", {"resident": "4MiB"}, "below 8MiB"),
        ("uniform", {"write": "200%"}, "more than 100%"),
        ("uniform", {"footprint": "1000GiB"}, "more than 64GiB"),
        ("uniform", {"footprint": "many"}, "is not a size"),
        ("uniform", {"zero": "60%", "duplicate": "60%"}, "have a chosen content"),
        ("uniform", {"duplicate": "0%", "pool": "10"}, "pool cannot act"),
        ("duplicate-heavy", {"pool": "1", "skew": "1"}, "skew cannot act"),
        ("uniform", {"footprint": "9MiB", "resident": "8MiB", "processes": "4000"}, "have no pages"),
        ("thp-mix", {"footprint": "10MiB", "resident": "8MiB", "processes": "6"}, "have no pages"),
        ("zipf", {"alpha": "0"}, "cannot act"),
        ("zipf", {"alpha": "much"}, "not a number from 0 to 4"),
        ("hot-cold", {"f": "0%"}, "leaves one temperature"),
        ("scan", {"readahead": "7"}, "unknown value '7'"),
        ("thp-mix", {"pmd": "60%", "large": "60%"}, "more than 100% together"),
        ("thp-mix", {"large": "0%", "order": "3"}, "order cannot act"),
        ("thp-mix", {"large": "0%", "pmd": "0%", "split": "3%"}, "split cannot act"),
        ("thp-mix", {"footprint": "129MiB"}, "whole number of 2 MiB"),
        ("launch-storm", {"apps": "4000", "app": "1GiB"}, "more than 64GiB"),
        ("launch-storm", {"startup": "0%", "more": "0%"}, "launches touch nothing"),
        ("fork-cow", {"copy": "0%", "changed": "10%"}, "changed cannot act"),
        ("fork-cow", {"footprint": "64GiB"}, "more than 64GiB"),
        ("fork-cow", {"read": "0%"}, "touch nothing"),
    ],
)
def test_what_cannot_act_is_refused(name: str, given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_recipe(name, given)


def test_a_trace_without_its_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="end before uniform begins"):
        synthesize(tmp_path / "t", "uniform", SMALL, PAGES - RESIDENT, 1)
    with pytest.raises(UsageError, match="swaps nothing"):
        synthesize(tmp_path / "t", "hot-cold", {**SMALL, "r": "100%", "f": "5%"}, 20_000, 1)
    assert list(tmp_path.iterdir()) == []
