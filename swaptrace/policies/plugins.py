"""Layouts and stages of others: found by entry point, or named as a class in a file.

A distribution declares them in the entry point groups ``swaptrace.layouts`` and ``swaptrace.stages``; the entry point
has the component's own name. ``./mine.py:MyLayout`` in a spec means the class ``MyLayout`` of that file. Nothing is
looked for until a spec names something that is not built in, or the policies are listed.

A plugin that cannot be used is a warning that names it, and an error only for who asks for it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from swaptrace import __version__
from swaptrace.model.component import Component, Layout, Param, Role, Stage
from swaptrace.model.errors import UsageError
from swaptrace.policies.versions import unmet

__all__ = ["FILE", "Broken", "Found", "from_file", "installed", "origin_of", "spelled"]

FILE = re.compile(r"(?P<path>[^:+]+\.py):(?P<cls>[A-Za-z_]\w*)(?::(?P<params>.*))?")
GROUPS: dict[str, Literal["layout", "stage"]] = {"swaptrace.layouts": "layout", "swaptrace.stages": "stage"}
_TUTORIAL = "See docs/your-layout.md."


@dataclass(frozen=True)
class _Source:
    """Where a class comes from, and how a spec names it."""

    origin: str
    spelled: str


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, and why."""

    name: str
    origin: str
    why: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.origin} cannot be used: {self.why}"


@dataclass(frozen=True)
class Found:
    """What is installed."""

    layouts: dict[str, type[Layout]]
    stages: dict[str, type[Stage]]
    broken: tuple[Broken, ...]


_sources: dict[type[Any], _Source] = {}


def origin_of(kind: type[Component]) -> str:
    """Return ``builtin``, ``DISTRIBUTION VERSION``, or ``FILE sha256:...``."""
    return _sources[kind].origin if kind in _sources else "builtin"


def spelled(kind: type[Component]) -> str:
    """Return the name of ``kind`` in specs."""
    return _sources[kind].spelled if kind in _sources else kind.name


@cache
def installed(taken: frozenset[str]) -> Found:
    """Return the plugins of all installed distributions; ``taken`` are the names of what is built in."""
    layouts: dict[str, type[Layout]] = {}
    stages: dict[str, type[Stage]] = {}
    broken = []
    for group, what in GROUPS.items():
        for entry in sorted(entry_points(group=group), key=lambda e: (e.name, e.value)):
            origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            why = _use(entry, what, origin, {*taken, *layouts, *stages}, layouts if what == "layout" else stages)
            if why:
                broken.append(Broken(entry.name, origin, why))
    return Found(layouts, stages, tuple(broken))


def _use(entry: EntryPoint, what: str, origin: str, taken: set[str], into: dict[str, Any]) -> str:
    """Load one plugin into ``into``; return why that is impossible, or nothing."""
    if entry.name in taken:
        return "its name is taken"
    if asked := unmet(entry.dist.requires or () if entry.dist else ()):
        return f"it needs {asked}, this is {__version__}"
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:  # whatever somebody else's module does at import
        return f"{type(error).__name__}: {error}"
    if why := _unfit(kind, what):
        return why
    if kind.name != entry.name:
        return f"its entry point is called {entry.name!r}, its class {kind.name!r}"
    _sources[kind] = _Source(origin, kind.name)
    into[entry.name] = kind
    return ""


def from_file(path: str, cls: str) -> type[Component]:
    """Return the class ``cls`` of the Python file ``path``; raises :class:`UsageError` if there is none to use."""
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"{path} does not exist.", "A policy of your own is FILE.py:CLASS.", _TUTORIAL)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    module = _module(file, digest)
    kind = getattr(module, cls, None)
    if kind is None:
        raise UsageError(f"{path} has no class {cls!r}.", "A policy of your own is FILE.py:CLASS.", _TUTORIAL)
    what = "stage" if hasattr(kind, "role") else "layout"
    if why := _unfit(kind, what):
        raise UsageError(f"{path}:{cls} cannot be used.", why, _TUTORIAL)
    component: type[Component] = kind
    _sources[component] = _Source(f"{file.name} sha256:{digest[:16]}", f"{path}:{cls}")
    return component


def _module(file: Path, digest: str) -> Any:
    name = f"swaptrace_plugin_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{file} cannot be imported.", f"{type(error).__name__}: {error}", _TUTORIAL) from error
    return module


def _unfit(kind: object, what: str) -> str:
    """Return why ``kind`` is no layout or stage, or nothing."""
    if not isinstance(kind, type):
        return "it is not a class"
    needs: dict[str, type] = {"name": str, "summary": str}
    needs |= {"direct": bool} if what == "layout" else {"role": Role}
    for attribute, type_ in needs.items():
        if not isinstance(getattr(kind, attribute, None), type_):
            return f"it has no {attribute} ({type_.__name__})"
    if not all(isinstance(param, Param) for param in getattr(kind, "params", None) or ()):
        return "params is not a tuple of Param"
    base = Layout if what == "layout" else Stage
    if base not in kind.__mro__:
        return f"it does not inherit from swaptrace.model.component.{base.__name__}"
    for method in ("start", "enter", "feed") if what == "layout" else ("start", "feed"):
        if getattr(kind, method) is getattr(base, method):
            return f"it has no method {method}()"
    names = [param.name for param in getattr(kind, "params", None) or ()]
    try:
        inspect.signature(kind).bind(**dict.fromkeys(names))
    except TypeError as error:
        return f"its constructor does not take its params ({', '.join(names) or 'none'}): {error}"
    return ""
