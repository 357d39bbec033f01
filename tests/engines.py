"""The engines to run a kernel test in: both, the compiled one only where numba is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from swaptrace.kernels.loop import Engine

__all__ = ["COMPILED", "ENGINES", "INSTALLED"]

COMPILED = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param("numba", marks=COMPILED), "numpy"]
INSTALLED: tuple[Engine, ...] = ("numpy",) if find_spec("numba") is None else ("numba", "numpy")
