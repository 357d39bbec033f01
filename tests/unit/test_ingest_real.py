"""Small real recordings that are kept in tests/data: what other tools wrote, not what tests imagine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from swaptrace.ingest.convert import convert
from swaptrace.ingest.detect import detect
from swaptrace.model.events import Kind
from swaptrace.model.meta import SwapDevice
from swaptrace.model.trace import Trace

DATA = Path(__file__).resolve().parents[1] / "data"
# name -> format, lost events, swap_outs, those of them with a slot, swap_ins. Checked with perf script, trace-cmd
# report and by counting lines; the losses with perf report --stats: its 1,127 LOST_SAMPLES are those of its one LOST
# record. There, 175 writes are left of those of 200 swap_outs: one lost its write_folio.
EXPECTED = {
    "perf_pipe_z.data.zst": ("perf-data", {}, 16, 11, 2),
    "perf_lost.data.zst": ("perf-data", {"perf": 1127}, 200, 174, 214),
    "trace_v7_zstd.dat": ("trace-dat", {}, 220, 182, 94),
    "bpftrace.txt.zst": ("bpftrace", {}, 16, 11, 2),
    "blkparse.txt.zst": ("blkparse", {}, 182, 182, 94),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_recordings(name: str, tmp_path: Path) -> None:
    form, lost, outs, slots, ins = EXPECTED[name]
    path = DATA / name
    if name.endswith(".zst"):
        path = tmp_path / name.removesuffix(".zst")
        with pa.CompressedInputStream(pa.OSFile(str(DATA / name)), "zstd") as stream:
            path.write_bytes(stream.read())
    assert detect(path) == form
    devices = [SwapDevice(0, 253 << 20)] if form == "blkparse" else []
    meta = convert([path], tmp_path / "t.parquet", devices=devices, stop=True)
    found: Counter[tuple[str, bool]] = Counter()
    for b in Trace(tmp_path / "t.parquet").batches(["kind", "slot"]):
        found.update((Kind(int(k)).name, bool(s >= 0)) for k, s in zip(b["kind"], b["slot"], strict=True))
    assert meta.lost == lost
    assert found["SWAP_OUT", True] + found["SWAP_OUT", False] == outs
    assert found["SWAP_OUT", True] == slots
    assert found["SWAP_IN", True] == ins
