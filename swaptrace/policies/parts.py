"""Layouts and stages by name: those built in, then those of plugins."""

from __future__ import annotations

from typing import Any

from swaptrace.model.component import Layout, Stage
from swaptrace.model.errors import UsageError
from swaptrace.policies.catalogue import LAYOUTS, NAMED, STAGES
from swaptrace.policies.plugins import FILE, Found, from_file, installed

__all__ = ["layout_kind", "place_of", "plugins", "refuse_broken", "stage_kind"]

_TAKEN = frozenset({*LAYOUTS, *STAGES, *NAMED})


def plugins() -> Found:
    """Return the installed plugins, the broken ones, too."""
    return installed(_TAKEN)


def layout_kind(name: str) -> type[Layout] | None:
    """Return the layout that is called ``name``, None if none is."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    return _of_file(name, "layout") if FILE.fullmatch(name) else plugins().layouts.get(name)


def stage_kind(name: str) -> type[Stage] | None:
    """Return the stage that is called ``name``, None if none is."""
    if name in STAGES:
        return STAGES[name]
    return _of_file(name, "stage") if FILE.fullmatch(name) else plugins().stages.get(name)


def _of_file(name: str, what: str) -> Any:
    match = FILE.fullmatch(name)
    assert match is not None
    kind = from_file(match["path"], match["cls"])
    return kind if ("stage" if hasattr(kind, "role") else "layout") == what else None


def place_of(kind: type[Stage]) -> tuple[int, int]:
    """Return where a stage stands in a path: by role, in the order of the catalogue, plugins behind."""
    order = list(STAGES)
    return kind.role, order.index(kind.name) if STAGES.get(kind.name) is kind else len(order)


def refuse_broken(name: str) -> None:
    """Raise :class:`UsageError` if ``name`` is a plugin that cannot be used."""
    for broken in plugins().broken:
        if broken.name == name:
            raise UsageError(f"{broken.origin}: plugin {name!r} cannot be used.", broken.why, "Ask its author.")
