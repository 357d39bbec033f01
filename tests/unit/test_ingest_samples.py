"""Every sample of ../shared imports with the counts of its README, or is refused with the reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from swaptrace.ingest.convert import convert
from swaptrace.model.errors import InputError
from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from tests.shared import shared

ZRAM0 = 253 << 20
# The lines of /proc/vmstat of the recording kernel up to the swap items, as far as their numbers go.
LINES = ["pgpgin", "pgpgout", "pswpin", "pswpout", *(f"line{i}" for i in range(4, 108)), "swpin_zero", "swpout_zero"]
VMSTAT = dict.fromkeys([*LINES, "ksm_swpin_copy", "cow_ksm", "zswpin", "zswpout", "zswpwb"], 0)

# What becomes of every file of data/samples. FULL: all events of the workload are in it.
FULL = [
    "perf_all.data",
    "perf_proc.data",
    "perf_script_default.txt",
    "perf_script_header_noComm.txt",
    "perf_script_ns_pidtid.txt",
    "perf_script_tasks.txt",
    "raw.cpu1",
    "trace.dat",
    "bpftrace.txt",
    "bpftrace.json",
    *(f"ftrace_{name}.txt" for name in ["default", "tgid", "noirq", "annotate_off", "latency", "verbose", "fields"]),
    *(f"ftrace_{clock}.txt" for clock in ["boot", "global", "mono_absolute", "mono_raw", "tai"]),
    *(f"tracecmd_report_{name}.txt" for name in ["default", "R", "l", "t"]),
]
FORMATS_BESIDE = {
    "5.10": "block_bio_complete block_bio_queue block_rq_issue kmem_cache_alloc kmem_cache_free mark_victim "
    "mm_page_alloc mm_page_free mm_vmscan_lru_shrink_inactive mm_vmscan_writepage page_fault_user rss_stat",
    "6.18": "block_bio_complete block_bio_queue block_rq_issue count_memcg_events kmem_cache_alloc kmem_cache_free "
    "mark_victim mm_page_alloc mm_page_free mm_vmscan_lru_shrink_inactive mm_vmscan_write_folio mod_memcg_state "
    "page_fault_user rss_stat",
}
REFUSED = {
    "ftrace_raw.txt": "raw and hex",
    "ftrace_hex.txt": "raw and hex",
    "ftrace_nocontext.txt": "nocontext-info",
    "ftrace_blk_tracer.txt": "--device MAJOR,MINOR",
    "ftrace_counter.txt": "counter, x86-tsc or uptime",
    "ftrace_tsc.txt": "counter, x86-tsc or uptime",
    "ftrace_uptime.txt": "counter, x86-tsc or uptime",
    "ftrace_stats_cpu0.txt": "statistics of a buffer",
    "tracecmd_report_stat.txt": "holds no events",
    "perf_gen_script.py": "not a recording",
    **{f"{name}.txt": "how pages of a ring buffer look" for name in ("header_event", "header_page")},
    **{
        f"format.{name}.txt": "format of an event"
        for name in ("block_bio_queue", "mm_vmscan_write_folio", "page_fault_user")
    },
    **{f"kernels/5.10/formats/{name}": "ring buffer" for name in ("header_event", "header_page")},
    "kernels/5.10/formats/trace_clock": "not a recording",
    **{f"kernels/5.10/bpf_{name}.raw.zst": "compressed" for name in ("disk", "zram")},
    **{f"kernels/{kernel}/available_events.txt": "a list of events" for kernel in FORMATS_BESIDE},
    **{
        f"kernels/{kernel}/formats/{name}.format": "format of an event"
        for kernel, names in FORMATS_BESIDE.items()
        for name in names.split()
    },
}
ELSEWHERE = [  # tests of their own below: cut out of other runs, another kernel, rows of the schema
    "perf_script_lost.txt",
    "trace_pipe.txt",
    "trace_pipe_lost.txt",
    "tiny_bpf.parquet",
    "kernels/5.10/ftrace_disk.txt",
    "kernels/5.10/ftrace_zram.txt",
]


def test_no_sample_is_forgotten() -> None:
    folder = shared("data/samples")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert sorted(found) == sorted([*FULL, *REFUSED, *ELSEWHERE])


def count(path: Path) -> Counter[tuple[str, ...]]:
    out: Counter[tuple[str, ...]] = Counter()
    for b in Trace(path).batches(["ts", "kind", "backend", "slot"]):
        for kind, backend, slot in zip(b["kind"], b["backend"], b["slot"] >= 0, strict=True):
            out[Kind(kind).name.lower(), Backend(backend).name.lower(), "slot" if slot else "none"] += 1
    return out


def rows(path: Path, kind: Kind, names: list[str]) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {name: [] for name in names}
    for b in Trace(path).batches(["kind", *names]):
        for name in names:
            out[name] += b[name][b["kind"] == kind].tolist()
    return out


@pytest.mark.parametrize("name", FULL)
def test_tiny_workload(name: str, tmp_path: Path) -> None:
    meta = convert([shared(f"data/samples/{name}")], tmp_path / "t.parquet")
    found = count(tmp_path / "t.parquet")
    assert found["swap_out", "disk", "slot"] == 182
    assert found["swap_out", "unknown", "none"] == 220 - 182
    assert found["swap_in", "disk", "slot"] == 276 - 182
    assert meta.skipped.get("lines that are not understood", 0) == 0
    assert not any(kind == "writeback" for kind, _, _ in found)
    assert [d.dev for d in meta.devices] == [ZRAM0]
    assert meta.sight(Capability.SLOT) is Sight.INFERRED
    assert meta.lost == {}
    assert meta.rows == sum(found.values())


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        convert([shared(f"data/samples/{name}")], tmp_path / "t.parquet")
    assert REFUSED[name] in " ".join(caught.value.lines())
    assert list(tmp_path.iterdir()) == []


def test_block_events_alone(tmp_path: Path) -> None:
    """The blk tracer sees bios only: with the swap area named, they are swap_outs and swap_ins."""
    device = SwapDevice(0, ZRAM0, "/dev/zram0", "zram")
    meta = convert([shared("data/samples/ftrace_blk_tracer.txt")], tmp_path / "t.parquet", devices=[device])
    assert count(tmp_path / "t.parquet") == {("swap_out", "disk", "slot"): 182, ("swap_in", "disk", "slot"): 276 - 182}
    assert meta.skipped == {"block actions other than Q (queued)": 276}
    assert "zswap writeback cannot be told" in meta.notes[0]
    assert set(rows(tmp_path / "t.parquet", Kind.SWAP_OUT, ["cause"])["cause"]) == {Cause.NONE}


def test_trace_of_bpf(tmp_path: Path) -> None:
    convert([shared("data/samples/tiny_bpf.parquet")], tmp_path / "t.parquet")
    found = count(tmp_path / "t.parquet")
    assert sum(n for (kind, *_), n in found.items() if kind == "swap_out") == 220


def test_perf_data_equals_bpf(tmp_path: Path) -> None:
    """The tiny workload is deterministic: what BPF saw in another run, perf must show, except for slot numbers."""
    device = SwapDevice(0, ZRAM0, "/dev/zram0", "zram", 524288, 5)
    meta = convert(
        [shared("data/samples/perf_all.data")],
        tmp_path / "t.parquet",
        devices=[device],
        base=TraceMeta(vmstat_before=VMSTAT),
    )
    assert meta.sight(Capability.SLOT) is Sight.OBSERVED
    truth = pl.read_parquet(shared("data/samples/tiny_bpf.parquet")).with_columns(
        pl.col("kind", "backend", "cause").cast(pl.String)
    )
    outs = rows(tmp_path / "t.parquet", Kind.SWAP_OUT, ["backend", "slot", "conf", "memcg", "order"])
    expected = truth.filter(kind="swap_out")
    assert [Backend(b).name.lower() for b in outs["backend"]] == expected["backend"].to_list()
    assert set(outs["conf"]) == {0}
    assert set(outs["memcg"]) == {5051}
    ins = rows(tmp_path / "t.parquet", Kind.SWAP_IN, ["backend", "cause", "va", "slot"])
    seen = Counter(
        (Backend(b).name.lower(), Cause(c).name.lower()) for b, c in zip(ins["backend"], ins["cause"], strict=True)
    )
    bpf = Counter(truth.filter(pl.col("kind") == "swap_in").select("backend", "cause").rows())
    for key in (("disk", "fault"), ("disk", "readahead"), ("zero", "fault")):
        assert seen[key] == bpf[key]
    demand = truth.filter((pl.col("kind") == "swap_in") & (pl.col("backend") != "cache") & (pl.col("cause") == "fault"))
    assert [va for va, c in zip(ins["va"], ins["cause"], strict=True) if c == Cause.FAULT] == [
        va // 4096 * 4096 for va in demand["va"]
    ]
    # Slots differ between the runs, but not which swap_out a read goes back to.
    reads = truth.filter((pl.col("kind") == "swap_in") & (pl.col("backend") == "disk"))["slot"].to_list()
    written = {slot: i for i, slot in enumerate(expected["slot"]) if expected["backend"][i] == "disk"}
    mine = {slot: i for i, slot in enumerate(outs["slot"]) if slot >= 0}
    assert [mine[slot] for slot in ins["slot"] if slot >= 0] == [written[slot] for slot in reads]


def test_text_equals_perf_data(tmp_path: Path) -> None:
    """perf.data and perf script --ns of the same recording give the same trace, but for task records of perf.data."""
    names = ["ts", "kind", "cause", "backend", "cpu", "tgid", "tid", "slot", "va", "pfn", "dev", "memcg", "write"]
    base = TraceMeta(vmstat_before=VMSTAT)
    got = []
    for name in ("perf_all.data", "perf_script_ns_pidtid.txt"):
        convert([shared(f"data/samples/{name}")], tmp_path / "t.parquet", base=base)
        batch = next(Trace(tmp_path / "t.parquet").batches(names))
        keep = np.isin(batch["kind"], (Kind.SWAP_OUT, Kind.SWAP_IN))
        got.append({n: batch[n][keep].tolist() for n in names})
        assert next(Trace(tmp_path / "t.parquet").comms())[1].count("tiny") == 1
    assert got[0] == got[1]


@pytest.mark.parametrize(
    ("name", "lost", "outs"),
    [("perf_script_lost.txt", {"perf": 96}, 462), ("trace_pipe_lost.txt", {"ftrace": 480}, 464)],
)
def test_losses_are_counted(name: str, lost: dict[str, int], outs: int, tmp_path: Path) -> None:
    meta = convert([shared(f"data/samples/{name}")], tmp_path / "t.parquet")
    assert meta.lost == lost
    assert rows(tmp_path / "t.parquet", Kind.LOST, ["csize"])["csize"] == list(lost.values())
    assert len(rows(tmp_path / "t.parquet", Kind.SWAP_OUT, ["ts"])["ts"]) == outs


def test_trace_pipe(tmp_path: Path) -> None:
    meta = convert([shared("data/samples/trace_pipe.txt")], tmp_path / "t.parquet")
    found = count(tmp_path / "t.parquet")
    assert found["swap_out", "disk", "slot"] == 182
    assert found["swap_in", "disk", "slot"] == 276 - 182
    assert meta.skipped == {"bios outside the swap areas": 290 - 276}


@pytest.mark.parametrize(("name", "disk", "unknown"), [("ftrace_disk.txt", 171, 0), ("ftrace_zram.txt", 0, 220)])
def test_old_kernel(name: str, disk: int, unknown: int, tmp_path: Path) -> None:
    """5.10: mm_vmscan_writepage, decimal pfn, and no bios at all for zram."""
    meta = convert([shared(f"data/samples/kernels/5.10/{name}")], tmp_path / "t.parquet")
    found = count(tmp_path / "t.parquet")
    assert found["swap_out", "disk", "slot"] == disk
    assert found["swap_out", "unknown", "none"] == unknown
    assert meta.sight(Capability.SLOT) is (Sight.INFERRED if disk else Sight.ABSENT)
    first = re.search(r"mm_vmscan_writepage: .* pfn=(\d+)", shared(f"data/samples/kernels/5.10/{name}").read_text())
    assert first is not None
    assert rows(tmp_path / "t.parquet", Kind.SWAP_OUT, ["pfn"])["pfn"][0] == int(first[1])


@pytest.mark.parametrize("name", ["redis_zram", "sqlite_zram", "synthetic_zswap_writeback"])
def test_parquet_counts(name: str, tmp_path: Path) -> None:
    source = shared(f"data/traces/{name}.parquet")
    meta = convert([source], tmp_path / "t.parquet")
    lines = source.with_suffix(".stats.txt").read_text()
    stats = json.loads(lines[lines.index("{") : lines.rindex("}") + 1])["by_kind"]
    found: Counter[str] = Counter()
    causes: Counter[int] = Counter()
    for b in Trace(tmp_path / "t.parquet").batches(["ts", "kind", "backend", "cause", "dev", "slot", "swap_type"]):
        for kind, backend in zip(b["kind"], b["backend"], strict=True):
            word = Backend(backend).name.lower()
            found[f"{Kind(kind).name.lower()}/{'-' if word == 'none' else word}"] += 1
        assert bool(((b["dev"] > 0) | (b["kind"] == Kind.PROC_EXIT)).all())
        causes.update(b["cause"][b["kind"] == Kind.SLOT_FREE].tolist())
    drops = stats.pop("zswap_drop/-", 0)
    if drops:
        assert sum(meta.skipped.values()) + causes[Cause.ZSWAP_ENTRY] == drops
        assert meta.skipped["zswap_drop: part of the writeback that follows"] == stats["writeback/disk"]
        assert meta.skipped["zswap_drop: part of the swap_in before it"] == stats["swap_in/zswap"]
        assert found.pop("slot_free/-") == causes[Cause.ZSWAP_ENTRY]
    assert dict(found) == stats
    for capability in (Capability.SLOT, Capability.OWNER, Capability.HASH, Capability.CLEN, Capability.FAULT):
        assert meta.sight(capability) is Sight.OBSERVED
    assert meta.sight(Capability.FREE) is (Sight.INFERRED if drops else Sight.OBSERVED)
    swapped = next(d for d in meta.devices if d.dev)
    assert swapped.pages == (307196 if drops else 2097148) // 4 + 1
    assert meta.hash.algorithm == "xxh64"
    assert meta.lost == {}


def test_a_trace_imports_again_unchanged(tmp_path: Path) -> None:
    first = convert([shared("data/traces/synthetic_zswap_writeback.parquet")], tmp_path / "a.parquet")
    again = convert([tmp_path / "a.parquet"], tmp_path / "b.parquet")
    assert again.digest == first.digest
    assert again.capabilities == first.capabilities
    assert again.devices == first.devices


def test_raw_pages_of_sqlite_against_bpf(tmp_path: Path) -> None:
    """The same run seen by tracepoints and by BPF: slots, owners and addresses agree (docs/recording.md)."""
    archive = shared("data/traces/sqlite_tracefs_raw.tar.zst")
    try:
        subprocess.run(["tar", "--zstd", "-xf", str(archive), "-C", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"tar cannot unpack zstd here: {error}")
    meta = convert([tmp_path / "sqlite_tracefs_raw"], tmp_path / "t.parquet")
    found = count(tmp_path / "t.parquet")
    assert found["swap_out", "disk", "slot"] == 200_160
    assert found["swap_out", "unknown", "none"] == 81
    assert found["swap_in", "disk", "slot"] == 185_794
    assert meta.devices[0].path == "/dev/zram0"
    assert meta.sight(Capability.OWNER) is Sight.INFERRED
    outs = rows(tmp_path / "t.parquet", Kind.SWAP_OUT, ["slot", "va", "owner_tgid", "pfn"])
    truth = pl.read_parquet(shared("data/traces/sqlite_zram.parquet")).filter(
        pl.col("kind").cast(pl.String) == "swap_out"
    )
    assert outs["pfn"] == truth["pfn"].to_list()
    slots, va, owners = (np.array(outs[n]) for n in ("slot", "va", "owner_tgid"))
    disk = slots >= 0
    assert np.array_equal(slots[disk], truth["slot"].to_numpy()[disk])
    known = va >= 0
    assert known.sum() >= 200_000
    assert (va[known] != truth["va"].to_numpy()[known]).sum() <= 1
    told = known & (owners > 0)
    assert np.array_equal(owners[told], truth["owner_tgid"].to_numpy()[told])
