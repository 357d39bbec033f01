"""flat-map keeps the laws, alone and under other stages, and charges the walks that its rule says."""

from collections import Counter

import pytest

from swaptrace.model.ops import Op
from swaptrace.testing import MemoryTrace, ops_of, policy_contract


def walks(trace: MemoryTrace) -> dict[str, float]:
    """Count what the rule says, one op at a time: a folio walks once, at its first page."""
    ops = ops_of(trace)
    count: Counter[int] = Counter()
    for op, place in zip(ops.op.tolist(), ops.sub.tolist(), strict=True):
        if place == 0:
            count[op] += 2 if op in (Op.OUT, Op.IN) else 1
    name = "indirection.lookups"
    parts: dict[str, float] = {
        "swap_out": count[Op.OUT],
        "swap_in": count[Op.IN] + count[Op.HIT],
        "free": count[Op.FREE],
    }
    parts |= {"writeback": 0, "gc": 0, "scan": 0}
    return {f"{name}.{part}": value for part, value in parts.items()} | {name: sum(parts.values())}


def test_flat_map_equals_its_twin() -> None:
    policy_contract("flat-map", twin=walks, counted="indirection.lookups*")


@pytest.mark.parametrize("path", ["dedup+flash:buffer=96KiB,erase=64KiB", "zswap:pool=256KiB", "ksm:lag=1us"])
def test_flat_map_under_other_stages(path: str) -> None:
    policy_contract(f"flat-map:word=16+{path}", seeds=[1])
