"""Changes of many pages that one op causes add up."""

import numpy as np

from swaptrace.kernels.mapped import per_op


def test_one_op_may_empty_more_clusters_than_a_byte_counts() -> None:
    at = np.array([1] * 300 + [3], np.int64)
    change = np.array([-1] * 300 + [1], np.int8)
    assert per_op(at, change, 5).tolist() == [0, -300, 0, 1, 0]
