"""The catalogue of policies, and one policy explained."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from swaptrace.policies.info import PolicyInfo
from swaptrace.render.document import json_text
from swaptrace.render.text import table

__all__ = ["json_policies", "json_policy", "text_policies", "text_policy"]

_WIDTH = 80


def text_policies(infos: Sequence[PolicyInfo]) -> str:
    """Return the catalogue as a table."""
    rows = [[info.name, ",".join(info.requires), info.summary] for info in infos]
    lines = table(rows, ["policy", "needs", "summary"], left=(0, 1, 2))
    hint = [
        "",
        "Compose: LAYOUT+STAGE:KEY=VALUE,KEY=VALUE+..., as in vswap-v6+dedup",
        "More about one: swaptrace policies explain vswap-v6",
    ]
    return "\n".join([*lines, *hint]) + "\n"


def json_policies(infos: Sequence[PolicyInfo]) -> str:
    """Return the catalogue as a JSON array."""
    return json_text([asdict(info) for info in infos])


def json_policy(info: PolicyInfo) -> str:
    """Return one policy as a JSON object."""
    return json_text(asdict(info))


def text_policy(info: PolicyInfo) -> str:
    """Return one policy as a page of text; every figure of it is a rule that a test can be written from."""
    lines = [info.name, *_wrap(info.summary), "", *_wrap(f"spec    {info.spec}", hang=8)]
    lines += [f"layout  {info.layout}", *_wrap(f"path    {' -> '.join(info.path) or 'none'}", hang=8)]
    lines += [f"needs   {', '.join(info.requires) or 'nothing'}"]
    if info.state_per_slot:
        lines += ["", *table([list(row) for row in info.state_per_slot], ["state", "bytes"], left=(0, 1))]
    if info.lookups:
        lines += [
            "",
            *table([list(row) for row in info.lookups], ["op", "lookups", "cache lines"], left=(0, 1, 2)),
        ]
    if info.params:
        rows = [[p.stage, p.name, p.default, p.unit, p.doc] for p in info.params]
        lines += ["", *table(rows, ["of", "parameter", "default", "unit", "meaning"], left=(0, 1, 2, 3, 4))]
    for title, texts in (("assumptions", info.assumptions), ("references", info.references)):
        if texts:
            lines += ["", title]
            for text in texts:
                lines += _wrap(f"* {text}", hang=2)
    return "\n".join(lines) + "\n"


def _wrap(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    )
