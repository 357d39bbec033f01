"""Each law of the contract catches a layout or stage that breaks it, and says which law, policy, seed and figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from swaptrace.kernels.loop import engine_name
from swaptrace.layouts.swap_table import SwapTable
from swaptrace.model.component import Layout, Role, Space, Stage
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import METADATA, VIRTUAL, Ledger
from swaptrace.model.ops import NOTHING, Op, Ops
from swaptrace.policies.policy import Part, Policy
from swaptrace.policies.registry import resolve
from swaptrace.stages.slots import Slots
from swaptrace.testing import LAWS, policy_contract
from tests.engines import COMPILED

SEED = 1


class Content(Stage):
    """Passes everything on, and does one thing more: what each test gives it."""

    name = "content"
    summary = "a stage of the tests"
    role = Role.CONTENT
    also: Callable[[Content, Ops], None]
    shows: tuple[tuple[str, float], ...] = ()

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        self.ledger = ledger

    def feed(self, ops: Ops) -> Ops:
        type(self).also(self, ops)
        return ops

    def figures(self) -> Iterator[tuple[str, float]]:
        yield from self.shows
        yield "buffer.hits", self.ledger.counts["test"]


def with_stage(also: Callable[[Content, Ops], None], **more: object) -> Callable[[], Policy]:
    kind = type("Broken", (Content,), {"also": also, **more})
    base = resolve("vswap-table")
    return lambda: replace(base, path=(base.path[0], Part(kind), *base.path[1:]))


def nothing(stage: Content, ops: Ops) -> None:
    """Do nothing more."""


def forgets_rewrites(stage: Content, ops: Ops) -> None:
    ops.store &= ~ops.inplace
    ops.inplace[:] = False


def takes_reads(stage: Content, ops: Ops) -> None:
    ops.fetch |= (ops.op == Op.OUT) & ops.new


def drops_early(stage: Content, ops: Ops) -> None:
    ops.drop = np.where(ops.op == Op.HIT, ops.block, ops.drop)


def below_zero(stage: Content, ops: Ops) -> None:
    stage.ledger.hold("test", -ops.lives)


def counts_batches(stage: Content, ops: Ops) -> None:
    stage.ledger.count("test", 1)


def counts_an_engine(stage: Content, ops: Ops) -> None:
    stage.ledger.count("test", engine_name() == "numba")


def holds_memory(stage: Content, ops: Ops) -> None:
    stage.ledger.hold(METADATA, ops.lives, 8)


def leaks(stage: Content, ops: Ops) -> None:
    stage.ledger.hold("test", ops.new.view(np.int8))


def looks_at_handles(stage: Content, ops: Ops) -> None:
    stage.ledger.count("test", int(ops.handle[ops.op == Op.FREE].sum()))


class Miscounting(SwapTable):
    """Counts every entry twice."""

    def feed(self, ops: Ops) -> None:
        super().feed(ops)
        self._ledger.hold(VIRTUAL, ops.lives)


class LosesSlots(Slots):
    """Says of no slot that it was given back."""

    def feed(self, ops: Ops) -> Ops:
        ops = super().feed(ops)
        assert ops.placement is not None
        ops.placement.slots = np.where(ops.drop != NOTHING, 0, ops.placement.slots)
        return ops


def with_slots() -> Policy:
    base = resolve("vswap-table")
    return replace(base, path=tuple(Part(LosesSlots) if p.kind is Slots else p for p in base.path))


def miscounting() -> Policy:
    return replace(resolve("swap-table"), layout=Part(Miscounting))


def no_zero_stage() -> Policy:
    base = resolve("vswap-v6")
    return replace(base, path=base.path[1:])


@pytest.mark.parametrize(
    ("law", "broken", "policy", "says"),
    [
        ("conservation", "accounts", with_stage(forgets_rewrites), "pages were written out"),
        ("conservation", "stream", with_stage(takes_reads), "reads block"),
        ("conservation", "stream", with_stage(drops_early), "does not live"),
        ("conservation", "gauges", with_stage(below_zero), "test is -"),
        ("conservation", "entries", miscounting, "slots.virtual"),
        ("conservation", "slots", with_slots, "blocks in slots"),
        ("conservation", "conservation", with_stage(nothing, shows=(("zswap.ratio", float("nan")),)), "zswap.ratio is"),
        (
            "conservation",
            "conservation",
            with_stage(nothing, shows=(("zswap.pages_end", 5), ("zswap.pages_peak", 3))),
            "zswap.pages_end x 1 is 5, above zswap.pages_peak: 3",
        ),
        ("batch cuts", "batch cuts", with_stage(counts_batches), "buffer.hits is"),
        pytest.param("engines", "engines", with_stage(counts_an_engine), "numba, 0 numpy", marks=COMPILED),
        ("end", "end", with_stage(leaks), "test is"),
        ("neutrality", "neutrality", with_stage(holds_memory), "indirection.metadata_bytes.* with content"),
        ("recorded slots", "recorded slots", with_stage(looks_at_handles), "buffer.hits is"),
        ("zero pages", "zero pages", no_zero_stage, "write.host_bytes is"),
        ("moment", "moment", with_stage(counts_batches), "buffer.hits is"),
    ],
)
def test_a_broken_policy_is_caught(law: str, broken: str, policy: Callable[[], Policy], says: str) -> None:
    with pytest.raises(AssertionError, match=says) as caught:
        policy_contract(policy, seeds=[SEED], laws=[law])
    text = str(caught.value)
    assert f"breaks the law of {broken}" in text
    assert f"seed {SEED}" in text
    assert text.startswith(policy().spec)


def test_a_stage_that_does_nothing_keeps_every_law() -> None:
    policy_contract(with_stage(nothing), seeds=[0, SEED])


@pytest.mark.parametrize(("twin", "says"), [({"write.requests": -1.0}, "counts -1.0"), ({}, "does not count")])
def test_a_twin_that_counts_otherwise_is_caught(twin: dict[str, float], says: str) -> None:
    with pytest.raises(AssertionError, match=f"swap-table breaks the law of twin, seed {SEED}: .*{says}"):
        policy_contract("swap-table", seeds=[SEED], laws=["twin"], twin=lambda _: twin, counted="write.req*")


def test_an_unknown_law_is_refused_with_help() -> None:
    with pytest.raises(UsageError) as caught:
        policy_contract("swap-table", laws=["neutralty"])
    assert "did you mean 'neutrality'?" in caught.value.why


def test_an_error_of_the_policy_itself_says_where() -> None:
    def fails(stage: Content, ops: Ops) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        policy_contract(with_stage(fails), seeds=[SEED], laws=["end"])
    assert "law of end, seed 1" in caught.value.__notes__[0]


def test_every_law_says_what_it_is() -> None:
    assert all(law.__doc__ for law in LAWS.values())
