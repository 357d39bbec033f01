"""The engines to run a kernel test in: both, the compiled one only where numba is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

__all__ = ["COMPILED", "ENGINES"]

COMPILED = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param("numba", marks=COMPILED), "numpy"]
