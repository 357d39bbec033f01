"""Clusters with directly mapped slots, followed cluster by cluster, are those that a walk over a device finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.kernels.mapped import MappedClusters, per_op
from tests.engines import ENGINES

CLUSTERS, SLOTS = 4, 3  # small: clusters become empty and mapped again and again


@pytest.mark.parametrize("engine", ENGINES)
@given(seed=st.integers(0, 2**32), exchanges=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_mapped_clusters(engine: Engine, seed: int, exchanges: int, cuts: list[int]) -> None:
    r = np.random.default_rng(seed)
    used, mapped = [0] * CLUSTERS, [False] * CLUSTERS
    rows: list[tuple[int, int, bool, int]] = []  # cluster, change of clusters in use, maps, change of mapped clusters
    for _ in range(exchanges):
        c = int(r.integers(CLUSTERS))
        takes = used[c] == 0 or (used[c] < SLOTS and r.random() < 0.5)
        maps = takes and bool(r.random() < 0.4)
        change = int(maps and not mapped[c])
        mapped[c] |= maps
        used[c] += 1 if takes else -1
        if used[c] == 0:
            change -= mapped[c]
            mapped[c] = False
        rows.append((c, int(takes and used[c] == 1) - (used[c] == 0), maps, change))
    table = np.array(rows, np.int64).reshape(-1, 4)
    clusters = MappedClusters(CLUSTERS)
    bounds = [0, *sorted(min(cut, exchanges) for cut in cuts), exchanges]
    with using_engine(engine):
        found = [
            clusters.feed(table[a:b, 0], table[a:b, 1].astype(np.int8), table[a:b, 2].astype(np.bool_))
            for a, b in pairwise(bounds)
        ]
    assert np.concatenate(found).tolist() == table[:, 3].tolist()


def test_changes_of_one_op_add_up() -> None:
    at, change = np.array([0, 0, 2, 2]), np.array([-1, 1, 1, 1], np.int8)
    assert per_op(at, change, 4).tolist() == [0, 0, 2, 0]
