"""Law 2 on real recordings: a cut of each sample trace, figure by figure against the op-at-a-time twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.model.trace import Trace
from tests.conformance.test_twins import SMALL_FLASH, assert_twin
from tests.streams import MemoryTrace

TRACES = Path(__file__).parents[2] / "traces"
COLUMNS = ("ts", "kind", "cause", "backend", "cpu", "tgid", "owner_tgid", "memcg", "swap_type", "slot", "va", "sub")
ROWS = 8_000
SPECS = ("swap-table+dedup", "vswap-v6", "vswap-table+dedup", f"flash-vswap+{SMALL_FLASH}+ftl:erase=64KiB")


def cut_of(name: str, first: int) -> MemoryTrace:
    trace = Trace(TRACES / f"{name}.parquet")
    batch = next(trace.batches((*COLUMNS, "hash", "fill"), first + ROWS))
    columns = {c: values[first:].copy() for c, values in batch.columns.items()}
    return MemoryTrace(columns, {c: mask[first:].copy() for c, mask in batch.valid.items()}, trace.meta)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("name", "first"), [("redis_zram", 40_000), ("synthetic_zswap_writeback", 50_000)])
def test_a_real_cut_equals_its_twin(name: str, first: int, spec: str) -> None:
    """The cuts begin in the middle: many reads and frees are of slots written before, orphans."""
    assert_twin(cut_of(name, first), spec, [1000, 1001, 7000])
