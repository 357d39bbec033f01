"""Every layout and stage in random compositions: the contract, and the op-at-a-time twin, figure by figure."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from swaptrace.model.errors import SpaceError, UsageError
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from swaptrace.testing import policy_contract
from tests.compositions import EVENTS, Recipe, specs, streams
from tests.conformance.test_twins import assert_twin
from tests.streams import random_trace

MORE = os.environ.get("SWAPTRACE_EXAMPLES")  # make compositions: many, and other ones each time
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # what failed says enough: no minutes of shrinking


@settings(max_examples=int(MORE or 30), derandomize=not MORE, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(
    spec=specs(),
    recipe=streams(),
    seed=st.integers(0, 2**16),
    row=st.integers(0, EVENTS - 1),
    memcg=st.none() | st.integers(1, 3),
)
def test_a_random_composition_keeps_the_contract(
    spec: str, recipe: Recipe, seed: int, row: int, memcg: int | None
) -> None:
    trace = recipe.trace()
    try:
        replay(trace.cut([]), [resolve(spec)])
    except (UsageError, SpaceError):  # refused: the next test counts how often
        assume(False)
    policy_contract(spec, seeds=[seed], stream=lambda _: trace)
    assert_twin(trace, spec, [row], at=int(trace.columns["ts"][row]), memcg=memcg)


def test_most_compositions_are_not_refused() -> None:
    trace, refused, drawn = random_trace(1, EVENTS, live=60).cut([]), 0, 0

    @settings(max_examples=150, derandomize=True, database=None)
    @given(spec=specs())
    def draw(spec: str) -> None:
        nonlocal refused, drawn
        drawn += 1
        try:
            replay(trace, [resolve(spec)])
        except UsageError:
            refused += 1

    draw()
    assert drawn >= 100
    assert refused < drawn / 2
