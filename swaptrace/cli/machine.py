"""What the command line needs to know about the machine it runs on: versions, and one processor quirk."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

import swaptrace

__all__ = ["prefer_avx2_sort", "versions"]

_VARIABLE = "NPY_DISABLE_CPU_FEATURES"
_NAMES = "X86_V4 AVX512_ICL"
_NAMES_BEFORE_2_4 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"


def _installed(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def versions() -> list[str]:
    """Return the lines of ``--version``: everything that a bug report needs."""
    import platform

    from swaptrace.model.events import SCHEMA_VERSION
    from swaptrace.model.report import REPORT_SCHEMA

    engine = "numpy" if _installed("numba") == "not installed" else f"numba {_installed('numba')}"
    return [
        f"swaptrace {swaptrace.__version__}",
        f"trace schema {SCHEMA_VERSION}, report schema {REPORT_SCHEMA}",
        f"python {platform.python_version()}, engine {engine}",
        ", ".join(f"{name} {_installed(name)}" for name in ("numpy", "pyarrow", "polars")),
    ]


def prefer_avx2_sort(environ: MutableMapping[str, str] = os.environ, cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Make numpy sort with AVX2 where AVX-512 is slower: AMD family 25 (Zen 4), where it loses by a factor
    of 5.

    Must run before numpy is imported. A value that the user has set stays. See numpy/x86-simd-sort issue 6.
    """
    if _VARIABLE in environ:
        return
    try:
        with cpuinfo.open() as stream:
            text = stream.read(4096)  # the first processor: the kernel prints the next ones only when they are read
    except OSError:
        return
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    cpu = {key.strip(): value.strip() for key, value in fields.items()}
    if (cpu.get("vendor_id"), cpu.get("cpu family")) != (
        "AuthenticAMD",
        "25",
    ) or "avx512_vbmi2" not in cpu.get("flags", ""):
        return
    from importlib.metadata import version

    major, minor = (int(part) for part in version("numpy").split(".")[:2])
    environ[_VARIABLE] = _NAMES if (major, minor) >= (2, 4) else _NAMES_BEFORE_2_4
