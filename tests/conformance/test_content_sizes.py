"""zswap with compressed sizes from the sample of contents beside a trace, and with a pool that is a share of RAM."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.model.contents import ContentSizes
from swaptrace.model.errors import CapabilityError, UsageError
from swaptrace.model.meta import Capability, Sidecar, Sight
from swaptrace.model.metrics import MetricKind
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.conformance.test_twins import assert_twin
from tests.engines import ENGINES
from tests.streams import MemoryTrace, random_trace


def sampled(trace: MemoryTrace, folder: Path, share: int = 3) -> MemoryTrace:
    """Return ``trace`` with sizes of one in ``share`` of its contents beside it."""
    hashes = np.unique(trace.columns["hash"][trace.valid["hash"]])[::share]
    r = np.random.default_rng(len(hashes))
    sizes = {name: r.integers(40, 4400, len(hashes)).astype("u2") for name in ("lz4", "zstd1", "zstd3")}
    order = r.permutation(len(hashes))
    target = folder / "memory.content.parquet"
    pq.write_table(pa.table({"hash": hashes[order], **sizes, "zeros": sizes["lz4"]}), target)
    sidecar = Sidecar(target.name, hashlib.sha256(target.read_bytes()).hexdigest(), {"": len(hashes)})
    meta = dataclasses.replace(trace.meta, sidecars=(sidecar,))
    meta.capabilities[Capability.CLEN] = Sight.ABSENT
    columns = {name: values for name, values in trace.columns.items() if name != "csize"}
    made = MemoryTrace(columns, trace.valid, meta)
    made.path = folder / "memory.parquet"
    return made


@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50, unique=True), asked=st.integers(0, 2**64 - 1)
)
def test_a_content_is_measured_or_like_the_one_at_its_quantile(hashes: list[int], asked: int) -> None:
    hashes.sort()
    sizes = ContentSizes(np.array(hashes, np.uint64), {"lz4": np.arange(len(hashes), dtype=np.uint16)})
    found, measured = sizes.of(np.array([asked, *hashes], np.uint64), "lz4")
    place = hashes.index(asked) if asked in hashes else asked * len(hashes) // 2**64
    assert found.tolist() == [place, *range(len(hashes))]
    assert measured.tolist() == [asked in hashes, *[True] * len(hashes)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "spec", ["vswap-zswap:pool=256KiB,sizes=zstd3", "zswap:pool=64KiB,sizes=lz4,incompressible=store+dedup"]
)
def test_sizes_of_the_sample_equal_the_twin(engine: Engine, spec: str, tmp_path: Path) -> None:
    trace = sampled(random_trace(7, 2500), tmp_path)
    with using_engine(engine):
        assert_twin(trace, spec, [3, 800, 801])
    report = replay(trace.cut([]), [resolve(spec)])[0]
    assert 0.2 < (report.value("zswap.measured_share") or 0) < 0.7
    modelled = {name for name, figure in report.metrics.items() if figure.kind is MetricKind.MODELLED}
    assert {"zswap.stores", "write.host_bytes", "slots.physical_peak"} <= modelled
    assert not modelled & {"trace.writeouts", "write.logical_bytes", "slots.virtual_peak", "dedup.zero_pages"}
    assert "zswap.measured_share" not in modelled


def test_exact_sizes_stay_exact() -> None:
    report = replay(random_trace(7, 800).cut([]), [resolve("zswap:pool=64KiB")])[0]
    assert report.metrics["zswap.stores"].kind is MetricKind.EXACT
    shrinking = replay(random_trace(7, 800).cut([]), [resolve("zswap:shrinker=1us")])[0]
    assert shrinking.metrics["zswap.stores"].kind is MetricKind.MODELLED
    assert (shrinking.value("zswap.writebacks") or 0) > 0


@pytest.mark.parametrize("damage", ["none", "gone", "other", "empty"])
def test_a_trace_without_the_sample_says_how_to_record_it(damage: str, tmp_path: Path) -> None:
    trace = random_trace(7, 200)
    trace.valid["hash"] &= damage != "empty"
    if damage != "none":
        trace = sampled(trace, tmp_path)
    target = tmp_path / "memory.content.parquet"
    if damage == "gone":
        target.unlink()
    elif damage == "other":
        target.write_bytes(b"other")
    with pytest.raises(CapabilityError) as error:
        replay(trace.cut([]), [resolve("zswap:sizes=lz4")])
    assert "--content" in error.value.next_step


def test_a_share_of_ram_needs_the_size_of_ram() -> None:
    trace = random_trace(7, 1500)
    with pytest.raises(UsageError) as error:
        replay(trace.cut([]), [resolve("zswap:pool=20%")])
    assert "how much RAM" in error.value.what
    given_ram = replay(trace.cut([]), [resolve("zswap:pool=20%,ram=1MiB")])[0]
    trace.meta.settings["mem_total"] = "1024 kB"
    recorded = replay(trace.cut([]), [resolve("zswap:pool=20%")])[0]
    assert given_ram.metrics == recorded.metrics
    # 20% in whole pages, and the page that fills it
    assert 0 < (recorded.value("zswap.pool_bytes_peak") or 0) < 51 * 4096 + 4096


def test_batches_are_written_side_by_side_where_entries_are_virtual() -> None:
    trace = random_trace(1, 6000, zero=0.0)
    full = "pool=1MiB,accept=100%,incompressible=store"

    def report(spec: str) -> dict[str, float]:
        return {name: figure.value for name, figure in replay(trace.cut([]), [resolve(spec)])[0].metrics.items()}

    one, many = (report(f"vswap-zswap:{full},batch={batch}") for batch in (1, 16))
    assert many["write.requests"] < one["write.requests"] / 3
    assert many["write.sequential_share"] > 0.85 > 0.65 > one["write.sequential_share"]
    assert one["write.host_bytes"] < many["write.host_bytes"] < 1.03 * one["write.host_bytes"]
    # a direct layout has chosen the slots before: nothing to gain
    one, many = (report(f"zswap:{full},batch={batch}") for batch in (1, 16))
    assert many["write.requests"] > 0.95 * one["write.requests"]
    # segments of a flash device: a batch fills them whole, and nothing waits in its buffer
    segment = "+flash:buffer=64KiB,erase=64KiB"
    one, many = (report(f"vswap-v6+zswap:{full},batch={batch}{segment}") for batch in (1, 16))
    assert one["write.requests"] == many["write.requests"] == 1
    assert one["buffer.pages_end"] > 0 == many["buffer.pages_end"] == many["write.absorbed_pages"]
