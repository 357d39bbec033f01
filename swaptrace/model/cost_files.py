"""Cost models as TOML files: the presets in ``swaptrace/model/presets``, and a user's own.

A file has a ``summary``, perhaps a ``base`` (a preset, or a file beside it) whose prices it takes over, and for each
price of its own a table named after the parameter with ``low``, ``typical``, ``high`` and ``source``. Without a base
it builds on neutral: every model has all prices of the CPU.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from swaptrace.model.cost import PARAMETERS, CostModel, Price
from swaptrace.model.errors import InputError, UsageError, closest

__all__ = ["NEUTRAL", "load_cost", "preset_names"]

NEUTRAL = "neutral"
_LARGEST = 1 << 20  # bytes
_DEEPEST = 8
_KEYS = ("low", "typical", "high", "source")


def preset_names() -> list[str]:
    """Return the presets, neutral first."""
    found = sorted(each.name.removesuffix(".toml") for each in _folder().iterdir() if each.name.endswith(".toml"))
    return sorted(found, key=lambda name: name != NEUTRAL)


def load_cost(name: str = NEUTRAL, changes: Iterable[str] = ()) -> CostModel:
    """Return the preset ``name``, or the model in the file of that path, with ``changes`` (:meth:`CostModel.changed`).

    A path contains a ``/`` or ends in ``.toml``. Raises :class:`UsageError` for a name that is no preset,
    :class:`InputError` for a file that cannot be read or is no cost model.
    """
    return _loaded(name, Path(), 0).changed(changes)


def _folder() -> Any:
    return files("swaptrace.model") / "presets"


def _loaded(name: str, beside: Path, depth: int) -> CostModel:
    if depth > _DEEPEST:
        raise InputError(f"{name}: cost models build on one another in a circle.", "", "Let one of them have no base.")
    if "/" in name or name.endswith(".toml"):
        path = beside / name
        text, folder = _read(path), path.parent
    elif name in preset_names():
        text, folder = (_folder() / f"{name}.toml").read_text(), Path()
    else:
        raise UsageError(
            f"unknown cost preset {name!r}.",
            closest(name, preset_names()),
            "A file of your own is a path that ends in .toml; presets: swaptrace cost list",
        )
    try:
        content = tomllib.loads(text)
    except ValueError as error:  # what tomllib raises, and numbers with too many digits
        raise InputError(f"{name} is not TOML.", f"{error}.") from error
    summary, base = content.pop("summary", ""), content.pop("base", NEUTRAL)
    if not isinstance(summary, str) or not isinstance(base, str):
        raise InputError(f"{name}: summary and base are texts.")
    prices: dict[str, Price] = {}
    if name != NEUTRAL:
        prices |= _loaded(base, folder, depth + 1).prices
    for key, value in content.items():
        prices[key] = _price(name, key, value)
    ordered = {key: prices[key] for key in PARAMETERS if key in prices}
    try:
        return CostModel(name, ordered, summary)
    except UsageError as error:
        raise InputError(error.what, error.why, error.next_step) from error


def _read(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path} does not exist.", "", "Presets: swaptrace cost list")
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise InputError(f"{path} is not a cost model.", "It is no regular file, or larger than 1 MiB.")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not TOML.", "It is not UTF-8.") from error


def _price(name: str, key: str, value: Any) -> Price:
    if key not in PARAMETERS:
        raise InputError(
            f"{name}: unknown cost parameter {key!r}.", closest(key, PARAMETERS), "All of them: swaptrace cost show"
        )
    if not isinstance(value, dict):
        raise InputError(f"{name}: {key} is not a table.", f"Write [{key}], and below it low, typical, high, source.")
    for word in value:
        if word not in _KEYS:
            raise InputError(f"{name}: {key} has no {word!r}.", closest(word, _KEYS))
    lacking = [word for word in _KEYS[:3] if type(value.get(word)) not in (int, float)]
    if lacking or not isinstance(value.get("source", ""), str):
        raise InputError(
            f"{name}: {key} lacks {', '.join(lacking) or 'a source in words'}.", "low, typical and high are numbers."
        )
    try:
        return Price(float(value["low"]), float(value["typical"]), float(value["high"]), value.get("source", ""))
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: {key}: {error}.") from error
