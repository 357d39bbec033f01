"""Prices against their slow twin, and re-pricing against replaying."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.model.basis import Basis
from swaptrace.model.cost import CORNERS, CostModel, Price
from swaptrace.model.cost_files import load_cost, preset_names
from swaptrace.model.metrics import SWAPOFF, Better, MetricKind
from swaptrace.model.ops import Backing, Op
from swaptrace.model.pricing import reprice
from swaptrace.model.report import Figure, Report, figure
from swaptrace.model.trace import Trace
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.oracle.pricing import slow_prices
from tests.reports import report
from tests.streams import random_trace

SMALL = "flash:buffer=64KiB,erase=64KiB"
SPECS = [
    "as-recorded",
    "swap-table:phase=p2",
    "vswap-v6+dedup+slots:discard=on+ftl:erase=64KiB",
    f"vswap-table+zero:same=on+dedup+{SMALL}+ftl:erase=64KiB",
    f"swap-table+{SMALL}+ftl:erase=64KiB",
]
SAMPLES = tuple(sorted((Path(__file__).parents[2] / "traces").glob("*.parquet")))
WORK = ("zero_reject_ns", "hash_ns", "device_write_ns", "device_read_ns", "fault_ns", "copy_ns", "copy_ns")
COUNTS = st.integers(0, 60)


def assert_prices(one: Report, cost: CostModel) -> None:
    """The priced figures of ``one`` are those of the twin, at all three corners."""
    shown = {name: found for name, found in one.metrics.items() if name.startswith(("cost.", "indirection.ns"))}
    for corner, field in zip(CORNERS, ("low", "value", "high"), strict=True):
        expected = slow_prices(one, cost.at(corner))
        assert shown.keys() == expected.keys()
        for name, found in shown.items():
            assert getattr(found, field) == pytest.approx(float(expected[name]), rel=1e-12, abs=0)


def prices() -> st.SearchStrategy[Price]:
    number = st.one_of(st.integers(0, 10**6).map(float), st.floats(0, 1e6, allow_subnormal=False))

    def ordered(values: tuple[float, float, float]) -> Price:
        low, typical, high = sorted(values)
        return Price(low, typical, high)

    return st.tuples(number, number, number).map(ordered)


@st.composite
def cost_models(draw: st.DrawFn) -> CostModel:
    whole = load_cost("emmc51" if draw(st.booleans()) else "neutral")
    return CostModel("drawn", {name: draw(prices()) for name in whole.prices})


@st.composite
def bases(draw: st.DrawFn) -> Basis:
    key = st.builds(
        "{}.{}.{}.{}".format,
        st.sampled_from([op.name.lower() for op in Op]),
        st.sampled_from([backing.name.lower() for backing in Backing]),
        st.integers(0, 9),
        st.integers(0, 9),
    )
    pages = draw(st.dictionaries(key, COUNTS, max_size=12))
    ways = sorted({key.rpartition(".")[0].rpartition(".")[0] for key in pages})
    known = [way for way in ways if draw(st.integers(0, 9))]
    work = {way: tuple(draw(st.lists(st.sampled_from(WORK), max_size=4))) for way in known}
    return Basis({key: n for key, n in pages.items() if n}, work, draw(COUNTS), draw(COUNTS))


@settings(max_examples=150, deadline=None)
@given(
    basis=bases(),
    cost=cost_models(),
    counts=st.lists(COUNTS, min_size=9, max_size=9),
    swapoff=st.lists(st.tuples(st.sampled_from(SWAPOFF), COUNTS), max_size=3),
    span=st.integers(0, 10**12),
)
def test_prices_equal_their_twin(
    basis: Basis, cost: CostModel, counts: list[int], swapoff: list[tuple[str, int]], span: int
) -> None:
    names = ("trace.writeouts", "trace.reads", "trace.frees", "indirection.lookups", "indirection.cachelines")
    exact = dict(zip((*names, "write.requests", "write.erases"), counts, strict=False))
    exact |= {
        "write.host_bytes": 4096 * (exact["write.requests"] + counts[7]),
        "read.device_bytes": 4096 * counts[8],
    }
    figures = {name: figure(name, value) for name, value in exact.items()}
    for kind, number in swapoff:
        for i, name in enumerate(("ptes_scanned", "ptes_updated", "entries", "pages_read", "pages_written")):
            figures[f"swapoff.{kind}.{name}"] = Figure(number * i + 7, "1", Better.LOWER, MetricKind.EXACT)
    assert_prices(reprice(replace(report("a", figures, span_ns=span), basis=basis), cost), cost)


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=3, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, 2500), max_size=5),
    cost=st.one_of(st.sampled_from(preset_names()).map(load_cost), cost_models()),
)
def test_repriced_is_replayed(spec: str, seed: int, cuts: list[int], cost: CostModel) -> None:
    trace = random_trace(seed, 2500)
    (plain,) = replay(trace.cut(cuts), [resolve(spec)])
    (priced,) = replay(trace.cut([]), [resolve(spec)], cost=cost)
    assert reprice(plain, cost) == priced  # figures, basis, prices: and however the stream was cut
    assert_prices(priced, cost)


@pytest.mark.parametrize("trace", SAMPLES, ids=lambda path: path.stem)
def test_repriced_is_replayed_on_recordings(trace: Path, tmp_path: Path) -> None:
    policies = [resolve(name) for name in ("as-recorded", "swap-table", "flash-vswap+dedup")]
    costs = [load_cost("emmc51"), load_cost("zram", ["line_ns=1..7", "device_read_ns=3us..9us"])]
    path = tmp_path / "saved.json"
    for saved, *priced in zip(
        replay(Trace(trace), policies), *(replay(Trace(trace), policies, cost=cost) for cost in costs), strict=True
    ):
        path.write_text(saved.to_json())
        for cost, expected in zip(costs, priced, strict=True):
            assert reprice(Report.load(path), cost) == expected
            assert_prices(expected, cost)


def test_a_class_for_every_page_that_was_replayed() -> None:
    trace = random_trace(3, 2500)
    (one,) = replay(trace.cut([]), [resolve("vswap-v6+dedup")], cost=load_cost("emmc51"))
    assert one.basis is not None
    by_op = {
        op: sum(n for key, n in one.basis.pages.items() if key.startswith(f"{op}.")) for op in ("out", "in", "hit")
    }
    counted = {"out": "trace.writeouts", "in": "trace.reads", "hit": "trace.cache_hits"}
    assert by_op == {op: one.value(name) for op, name in counted.items()}
    written = sum(n for key, n in one.basis.pages.items() if key.startswith("out.disk."))
    assert 4096 * written == one.value("write.host_bytes")
    assert Fraction(one.basis.discarded_pages) == 0


def test_discarded_pages_and_erase_blocks_are_those_of_the_device() -> None:
    trace = random_trace(3, 8000, live=100)
    specs = ["swap-table", "swap-table+slots:discard=on", f"vswap-v6+{SMALL}+ftl:erase=64KiB"]
    reports = replay(trace.cut([]), [resolve(spec) for spec in specs])
    in_place, discarding, flash = (one.basis for one in reports)
    assert in_place is not None
    assert discarding is not None
    assert flash is not None
    assert in_place.discarded_pages == 0
    assert discarding.discarded_pages == reports[1].value("trace.frees")  # each slot that is given back
    assert flash.discarded_pages % 16 == 0 < flash.discarded_pages  # whole segments
    assert in_place.erase_blocks == -(-4096 * 107 // (1024 * 100)) + 3  # 7 % spare and the collector's reserve
    assert flash.erase_blocks == -(-4096 * 107 // 1600) + 3
