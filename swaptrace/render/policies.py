"""The catalogue of policies, and one policy explained."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from swaptrace.policies.info import PolicyInfo
from swaptrace.render.document import json_text
from swaptrace.render.provenance import entry
from swaptrace.render.text import table

__all__ = ["json_policies", "json_policy", "text_policies", "text_policy"]

_WIDTH = 100


def text_policies(infos: Sequence[PolicyInfo], stages: Sequence[tuple[str, str]]) -> str:
    """Return the catalogue as tables: policies, then the stages that can be added."""
    rows = [[info.name, ",".join(info.requires), info.summary + _mark(info)] for info in infos]
    lines = table(rows, ["policy", "needs", "summary"], left=(0, 1, 2))
    lines += ["", *table([list(stage) for stage in stages], ["stage", "summary"], left=(0, 1))]
    hint = [
        "",
        "Compose: LAYOUT+STAGE:KEY=VALUE,KEY=VALUE+..., as in vswap-v6+dedup",
        "More about one: swaptrace policies explain vswap-v6",
    ]
    return "\n".join([*lines, *hint]) + "\n"


def _mark(info: PolicyInfo) -> str:
    return "" if info.origin == "builtin" else f" [{info.origin.partition(': ')[2]}]"


def json_policies(infos: Sequence[PolicyInfo]) -> str:
    """Return the catalogue as a JSON array."""
    return json_text([asdict(info) for info in infos])


def json_policy(info: PolicyInfo) -> str:
    """Return one policy as a JSON object."""
    return json_text(asdict(info))


def text_policy(info: PolicyInfo) -> str:
    """Return one policy as a page of text; every figure of it is a rule that a test can be written from."""
    lines = [f"{info.name}: {info.summary}" if info.summary else info.name, ""]
    lines += entry("spec", info.spec, _WIDTH)
    if info.origin != "builtin":
        lines += entry("origin", info.origin, _WIDTH)
    lines += entry("layout", info.layout, _WIDTH)
    lines += entry("path", " -> ".join(info.path) or "none", _WIDTH)
    lines += entry("needs", ", ".join(info.requires) or "nothing", _WIDTH)
    if info.params:
        rows = [[p.stage, p.name, p.value, p.default, p.unit, p.doc] for p in info.params]
        heads = ["of", "parameter", "value", "default", "unit", "meaning"]
        lines += ["", *table(rows, heads, left=range(6), wrap=50)]
    if info.state_per_slot:
        lines += ["", *table([list(row) for row in info.state_per_slot], ["state", "bytes"], left=(0, 1), wrap=70)]
    if info.lookups:
        lines += ["", *table([list(row) for row in info.lookups], ["op", "lookups", "cache lines"], (0, 1, 2), wrap=36)]
    for title, texts in (("assumptions", info.assumptions), ("references", info.references)):
        if texts:
            lines += ["", title]
            for text in texts:
                lines += textwrap.wrap(
                    f"* {text}", _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
                )
    for component, rule in info.rules:
        lines += ["", f"rules of {component}", *(f"  {line}".rstrip() for line in rule.splitlines())]
    return "\n".join(lines) + "\n"
