"""Names of report files: ``<trace stem>.<policy slug>.json``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from swaptrace.model.report import Report

__all__ = ["report_paths", "slug"]

_LONGEST = 80


def slug(name: str) -> str:
    """Return a policy spec as a file name: other characters than letters, digits, ``.+_-`` become ``-``.

    A long one is cut and made unique with the start of its sha256.

    >>> slug("vswap-v6+dedup:scope=device")
    'vswap-v6+dedup-scope-device'
    """
    text = re.sub(r"[^A-Za-z0-9.+_-]+", "-", name)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def report_paths(reports: Sequence[Report], trace: Path, folder: Path) -> list[Path]:
    """Return the path of each report; equal slugs of different specs get the start of their sha256."""
    slugs = [slug(report.policy.name) for report in reports]
    unique = [
        name if slugs.count(name) == 1 else f"{name}-{hashlib.sha256(report.policy.name.encode()).hexdigest()[:8]}"
        for name, report in zip(slugs, reports, strict=True)
    ]
    return [folder / f"{trace.stem}.{name}.json" for name in unique]
