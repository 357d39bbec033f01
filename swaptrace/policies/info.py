"""What a policy says about itself: the content of ``swaptrace policies explain``."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.model.meta import Capability

__all__ = ["ParamInfo", "PolicyInfo"]


@dataclass(frozen=True)
class ParamInfo:
    """One parameter and its value in this policy; ``stage`` is the layout or stage that has it."""

    stage: str
    name: str
    unit: str
    default: str
    value: str
    doc: str


@dataclass(frozen=True)
class PolicyInfo:
    """State, costs, assumptions and sources of one policy; ``rules`` are (component, its full rule in words)."""

    name: str
    summary: str
    spec: str
    layout: str
    path: tuple[str, ...]
    state_per_slot: tuple[tuple[str, str], ...]
    lookups: tuple[tuple[str, str, str], ...]
    assumptions: tuple[str, ...]
    references: tuple[str, ...]
    requires: tuple[Capability, ...]
    params: tuple[ParamInfo, ...]
    rules: tuple[tuple[str, str], ...]
    origin: str = "builtin"  # where parts that are not built in come from
