"""The number of xarray levels follows from the clusters allocated: 64 per node."""

from __future__ import annotations

import numpy as np
import pytest

from swaptrace.kernels.loop import ENGINES, Engine, using_engine
from swaptrace.layouts.virtual_space import VirtualSpace
from tests.validation.test_metadata_tables import writeouts


@pytest.mark.parametrize("engine", ENGINES)
def test_levels_grow_with_the_65th_cluster(engine: Engine) -> None:
    if engine == "numba":
        pytest.importorskip("numba", reason="the extra [fast] is not installed")
    with using_engine(engine):
        space = VirtualSpace()
        ops = writeouts(0, 70 * 512, zero=False)
        space.enter(ops)
        clusters = np.arange(70 * 512) // 512 + 1
        assert space.levels.tolist() == np.where(clusters > 64, 2, 1).tolist()
        more = writeouts(70 * 512, 4097 * 512, zero=False)
        space.enter(more)
        assert (space.levels[0], space.levels[-513], space.levels[-1]) == (2, 2, 3)
