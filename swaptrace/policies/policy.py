"""A policy: one layout and a path of stages, with the text of every parameter."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from swaptrace.model.component import Component, Layout, Stage
from swaptrace.model.meta import Capability
from swaptrace.policies.info import ParamInfo, PolicyInfo
from swaptrace.policies.plugins import origin_of, spelled

__all__ = ["Part", "Policy"]

C = TypeVar("C", bound=Component)
_MODULE = re.compile(r":mod:`(swaptrace\.[\w.]+)`")
_ROLE = re.compile(r":(?:class|func|meth):`~?(?:\w+\.)*(\w+)`")


@dataclass(frozen=True)
class Part(Generic[C]):
    """A layout or stage with its parameters as text; parameters not given have their default."""

    kind: type[C]
    given: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """Return every parameter's text, in the order in which the component declares them."""
        given = dict(self.given)
        return {p.name: given.get(p.name, p.default) for p in self.kind.params}

    @property
    def spec(self) -> str:
        """Return the canonical text: ``flash:buffer=4MiB,erase=4MiB``."""
        texts = ",".join(f"{name}={text}" for name, text in self.texts.items())
        return f"{spelled(self.kind)}:{texts}" if texts else spelled(self.kind)

    @property
    def requires(self) -> tuple[Capability, ...]:
        """Return what a trace must show for this part."""
        return self.kind.asks(self.texts)[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the trace columns that this part looks at."""
        return self.kind.asks(self.texts)[1]

    @property
    def brief(self) -> str:
        """Return the text with those parameters alone that differ from their default or that a reader has to know."""
        shown = (p for p in self.kind.params if p.name in self.kind.key_params or self.texts[p.name] != p.default)
        texts = ",".join(f"{p.name}={self.texts[p.name]}" for p in shown)
        return f"{spelled(self.kind)}:{texts}" if texts else spelled(self.kind)

    def build(self) -> C:
        """Return a fresh instance with parsed parameters."""
        texts = self.texts
        values: dict[str, Any] = {p.name: p.value(texts[p.name], self.kind.name) for p in self.kind.params}
        built: C = cast(Any, self.kind)(**values)
        return built


@dataclass(frozen=True)
class Policy:
    """A layout, the stages in path order, and the name and summary under which the user knows it."""

    name: str
    summary: str
    layout: Part[Layout]
    path: tuple[Part[Stage], ...]
    references: tuple[str, ...] = ()  # those of the idea itself

    @property
    def parts(self) -> tuple[Part[Any], ...]:
        """Return the layout and the stages."""
        return (self.layout, *self.path)

    @property
    def spec(self) -> str:
        """Return the canonical spec: every parameter that acts, with its value."""
        return "+".join(part.spec for part in self.parts)

    @property
    def brief(self) -> str:
        """Return the spec as it stands above tables: parameters that it leaves out have their default."""
        return "+".join(part.brief for part in self.parts)

    @property
    def origin(self) -> str:
        """Return ``builtin``, or where the parts that are not built in come from."""
        foreign = {part.kind.name: origin_of(part.kind) for part in self.parts}
        return "; ".join(f"{n}: {o}" for n, o in foreign.items() if o != "builtin") or "builtin"

    @property
    def requires(self) -> tuple[Capability, ...]:
        """Return what a trace must show for this policy."""
        found = {Capability.SLOT, *(c for part in self.parts for c in part.requires)}
        return tuple(c for c in Capability if c in found)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the trace columns that its ops must carry."""
        return tuple(sorted({name for part in self.parts for name in part.columns}))

    @property
    def info(self) -> PolicyInfo:
        """Return what the policy says about itself."""
        return PolicyInfo(
            name=self.name,
            summary=self.summary,
            spec=self.spec,
            layout=self.layout.kind.name,
            path=tuple(part.kind.name for part in self.path),
            state_per_slot=self.layout.kind.state_per_slot,
            lookups=self.layout.kind.lookups,
            assumptions=_unique(a for part in self.parts for a in part.kind.assumptions),
            references=_unique((*self.references, *(r for part in self.parts for r in part.kind.references))),
            requires=self.requires,
            params=tuple(
                ParamInfo(part.kind.name, p.name, p.unit, p.default, part.texts[p.name], p.doc)
                for part in self.parts
                for p in part.kind.params
            ),
            rules=_rules(self.parts),
            origin=self.origin,
        )


def _unique(texts: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _rules(parts: tuple[Part[Any], ...]) -> tuple[tuple[str, str], ...]:
    """Return the rule of each part: the docstring of its module; behind them those of the modules that they name."""
    waiting = [(part.kind.name, part.kind.__module__) for part in parts]
    rules: dict[str, tuple[str, str]] = {}
    while waiting:
        title, module = waiting.pop(0)
        if module in rules:
            continue
        text = inspect.cleandoc(import_module(module).__doc__ or "")
        waiting += [(name.removeprefix("swaptrace."), name) for name in _MODULE.findall(text)]
        rules[module] = title, _ROLE.sub(r"\1", _MODULE.sub(_short, text))
    return tuple(rules.values())


def _short(reference: re.Match[str]) -> str:
    return reference[1].removeprefix("swaptrace.")
