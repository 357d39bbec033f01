"""Where chains of ops begin, against a walk back op by op."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.kernels.origins import origins


@given(seed=st.integers(0, 2**32), n=st.integers(1, 300), share=st.sampled_from([0.1, 0.5, 1.0]), far=st.booleans())
def test_chains_are_followed_to_their_first_op(seed: int, n: int, share: float, far: bool) -> None:
    r = np.random.default_rng(seed)
    nearest = np.zeros(n, np.int64) if far else np.maximum(np.arange(n) - 4, 0)
    earlier = r.integers(nearest - 1, np.arange(n)).astype(np.int32)  # -1: in an earlier batch
    at = np.flatnonzero(r.random(n) < share)
    expected: list[int] = []
    for i in range(n):
        follows = i in at and earlier[i] >= 0
        expected.append(expected[earlier[i]] if follows else i)
    assert origins(earlier, at).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 3, 100_000])
def test_one_chain(n: int) -> None:
    assert not origins(np.arange(-1, n - 1), np.arange(n)).any()
