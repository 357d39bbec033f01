"""The engines to run a kernel test in: both, the compiled one only where numba is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from swaptrace.kernels.loop import Engine

__all__ = ["COMPILED", "ENGINES", "INSTALLED"]

COMPILED = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param("numba", marks=COMPILED), "numpy"]
_PLAIN = find_spec("numba") is None or os.environ.get("SWAPTRACE_ENGINE") == "numpy"  # as in make test-plain
INSTALLED: tuple[Engine, ...] = ("numpy",) if _PLAIN else ("numba", "numpy")
