"""Random policies and streams: a layout, a path, parameters that act on a small trace, and the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from swaptrace.model.component import Component, Role
from swaptrace.model.errors import UsageError
from swaptrace.policies.catalogue import LAYOUTS, STAGES
from swaptrace.policies.policy import Part
from tests.streams import MemoryTrace, random_trace

__all__ = ["EVENTS", "Recipe", "specs", "streams"]

EVENTS = 900


@dataclass(frozen=True)
class Recipe:
    """What makes a trace; its text is what a failing test shows."""

    seed: int
    contents: int
    zero: float
    rewrites: float
    unhashed: float
    folios: float
    memcgs: int
    cpus: int
    live: int

    def trace(self) -> MemoryTrace:
        return random_trace(**{"events": EVENTS, **vars(self)})


def component(kind: type[Component]) -> st.SearchStrategy[str]:
    """Draw a layout or stage as a spec writes it: each parameter left out, or one of its examples.

    Parameters that its own constructor refuses are not drawn; tests/unit/test_policies_registry.py looks at these.
    """
    given = st.fixed_dictionaries({}, optional={p.name: st.sampled_from(p.examples) for p in kind.params if p.examples})

    def acts(given: dict[str, str]) -> bool:
        try:
            Part(kind, tuple(given.items())).build()
        except UsageError:
            return False
        return True

    def spelled(given: dict[str, str]) -> str:
        texts = ",".join(f"{name}={text}" for name, text in given.items())
        return f"{kind.name}:{texts}" if texts else kind.name

    return given.filter(acts).map(spelled)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Draw a spec. Some are refused: parameters that cannot act, stages that do not go together."""
    layout = draw(st.sampled_from([kind for name, kind in LAYOUTS.items() if name != "recorded"]))
    kinds: list[Any] = [kind for kind in STAGES.values() if kind.name != "device"]
    placing = [kind for kind in kinds if kind.role is Role.PLACEMENT]
    path = [kind for kind in kinds if kind.role is not Role.PLACEMENT and draw(st.booleans())]
    if (placement := draw(st.none() | st.sampled_from(placing))) is not None:
        path = [kind for kind in path if placement.over_ftl or kind.role is not Role.DEVICE] + [placement]
    return "+".join(draw(component(kind)) for kind in (layout, *draw(st.permutations(path))))


def streams() -> st.SearchStrategy[Recipe]:
    """Draw a recipe: how much lives, how much is equal or zero, how many CPUs and cgroups."""
    return st.builds(
        Recipe,
        seed=st.integers(0, 2**32),
        contents=st.sampled_from([3, 40]),
        zero=st.sampled_from([0.15, 0.0, 0.6]),
        rewrites=st.sampled_from([0.05, 0.2]),
        unhashed=st.sampled_from([0.02, 0.0, 0.3]),
        folios=st.sampled_from([0.05, 0.0, 0.3]),
        memcgs=st.sampled_from([3, 1]),
        cpus=st.sampled_from([4, 1]),
        live=st.sampled_from([200, 60, 600]),
    )
