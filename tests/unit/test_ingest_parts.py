"""The parts of the importers: slots of devices, merging, task names, compressed perf.data, block sizes."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard

from swaptrace.ingest.comms import CommTable
from swaptrace.ingest.convert import convert
from swaptrace.ingest.devices import SlotMap, folio_pages, infer_devices, parse_swaps
from swaptrace.ingest.ftrace_pages import FtracePages
from swaptrace.ingest.memcg_items import Item, ItemCodes
from swaptrace.ingest.merge import merge_by_time
from swaptrace.ingest.perf_data import PerfData
from swaptrace.ingest.perf_header import read_header
from swaptrace.ingest.raw import FIELDS, Findings, RawChunk, RawKind, concat, empty
from swaptrace.ingest.reconstruct import Reconstruction
from swaptrace.ingest.ring_pages import PageLayout, decode_pages, parse_header_page
from swaptrace.ingest.tracepoints import parse_format
from swaptrace.model.errors import InputError
from swaptrace.model.meta import SwapDevice
from tests.bench.perfdata import write_perf_data
from tests.shared import shared

DEV = 8 << 20


def same(a: RawChunk, b: RawChunk) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def slots(device: SwapDevice, sectors: list[int], pages: int = 1) -> list[int]:
    n = len(sectors)
    found = SlotMap([device])(np.full(n, DEV), np.array(sectors, np.uint64), np.full(n, pages), np.zeros(n, np.int64))
    return [int(x) for x in found[1]]


def test_slots_of_a_partition() -> None:
    device = SwapDevice(0, DEV, start_sector=2048, pages=100)
    # The header page, an odd sector, a sector before the partition and one behind it are no slots.
    assert slots(device, [2048, 2056, 2057, 8, 2048 + 99 * 8, 2048 + 100 * 8]) == [-1, 1, -1, -1, 99, -1]
    assert slots(device, [2048 + 96 * 8, 2048 + 97 * 8], pages=4) == [96, -1]


def test_slots_of_a_swap_file() -> None:
    device = SwapDevice(0, DEV, kind="file", pages=30, extents=((10, 800, 20), (0, 4000, 10)))
    assert slots(device, [4000, 4008, 4072, 4080, 800, 952, 960, 792]) == [-1, 1, 9, -1, 10, 29, -1, -1]
    assert slots(device, [4064, 4072], pages=2) == [8, -1]  # a folio does not cross the end of an extent


def test_two_areas_on_one_disk() -> None:
    both = SlotMap([SwapDevice(0, DEV, start_sector=0, pages=10), SwapDevice(1, DEV, start_sector=80, pages=10)])
    which, slot = both(
        np.array([DEV] * 3), np.array([8, 88, 808], np.uint64), np.ones(3, np.int64), np.zeros(3, np.int64)
    )
    assert (which.tolist(), slot.tolist()) == ([0, 1, -1], [1, 1, -1])


def test_sizes_of_folios() -> None:
    assert folio_pages(np.array([8, 16, 4096, 8192, 4, 24, 0], np.uint32)).tolist() == [1, 2, 512, 0, 0, 0, 0]


def test_file_system_disks_are_not_inferred() -> None:
    events = empty(40)
    events.kind[:] = [RawKind.BIO_WRITE, RawKind.WRITE_FOLIO] * 10 + [RawKind.BIO_WRITE] * 20
    events.dev[:20] = DEV
    events.dev[20:] = 9 << 20
    events.count[:] = 8
    assert [d.dev for d in infer_devices(events)] == [DEV]


def test_proc_swaps() -> None:
    text = "Filename Type Size Used Priority\n/dev/zram0 partition 2097148 548 5\n/swap file 307196 0 -2\n"
    zram, file = parse_swaps(text)
    assert (zram.kind, zram.pages, zram.priority, zram.swap_type) == ("zram", 524288, 5, 0)
    assert (file.kind, file.pages, file.priority, file.swap_type) == ("file", 76800, -2, 1)


def test_numbers_of_memcg_items() -> None:
    codes = ItemCodes({"nr_free": 1, "pgpgin": 2, "pgpgout": 3, "pswpin": 4, "pswpout": 5, "zswpout": 6})
    assert codes(np.array([2, 3, 4, 5, 1 << 40])).tolist() == [Item.PSWPIN, Item.PSWPOUT, Item.ZSWPOUT, 0, 0]
    assert codes.complete
    assert not ItemCodes({}).complete


def test_a_writeback_between_the_reclaimers_own_events() -> None:
    """zswap's shrinker writes back inside a reclaim: its bio must not become that of the next write_folio."""
    events = empty(4)
    events.ts[:] = [1, 2, 3, 4]
    events.kind[:] = [RawKind.MEMCG_EVENT, RawKind.BIO_WRITE, RawKind.MEMCG_EVENT, RawKind.WRITE_FOLIO]
    events.value[:] = [4, 80, 3, 7]
    events.count[:], events.dev[:] = [1, 8, 1, 0], DEV
    vmstat = dict.fromkeys(["pgpgin", "pgpgout", "pswpin", "zswpout", "zswpwb"], 0)
    built = Reconstruction(SlotMap([SwapDevice(0, DEV)]), vmstat, Findings(), faults=False)
    rows = built.feed(events).join(built.finish())
    assert rows.columns["kind"].tolist() == [3, 0]
    assert rows.columns["slot"].tolist() == [10, -1]
    assert rows.columns["backend"].tolist() == [1, 3]


def test_merge_is_by_time_then_by_stream() -> None:
    def stream(times: list[list[int]], cpu: int) -> list[RawChunk]:
        out = []
        for part in times:
            chunk = empty(len(part))
            chunk.ts[:], chunk.cpu[:] = part, cpu
            out.append(chunk)
        return out

    a = stream([[1, 2], [2, 2], [2, 9]], 0)
    b = stream([[0, 2], [3]], 1)
    merged = concat(list(merge_by_time([iter(a), iter(b), iter([])])))
    assert merged.ts.tolist() == [0, 1, 2, 2, 2, 2, 2, 3, 9]
    assert merged.cpu.tolist() == [1, 0, 0, 0, 0, 0, 1, 1, 0]


def test_names_change_in_time() -> None:
    table = CommTable()
    table.rename(0, 5, "shell")
    table.fork(10, 6, 5)
    table.rename(20, 6, "redis")
    events = empty(5)
    events.ts[:], events.tid[:] = [5, 15, 19, 20, 30], [5, 6, 6, 6, 1 << 31]
    named = table.name(events)
    words = [*table.words, None]
    assert [words[c] for c in named.comm] == ["shell", "shell", "shell", "redis", None]


def features(bits: int) -> list[int]:
    return [bit for bit in range(256) if bits >> bit & 1]


def compressed(source: Path, out: Path) -> Path:
    """Write ``source`` as ``perf record -z`` does: one zstd stream over records, cut anywhere, as type 81."""
    header, raw = read_header(source), source.read_bytes()
    data = raw[header.data_offset : header.data_offset + header.data_size]
    packer = zstandard.ZstdCompressor().compressobj()
    records = b""
    for at in range(0, len(data), 10_001):
        body = packer.compress(data[at : at + 10_001]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        records += struct.pack("<IHH", 81, 0, 8 + len(body)) + body
    bits = int.from_bytes(raw[72:104], "little")
    table = header.data_offset + header.data_size
    parts = {bit: struct.unpack_from("<QQ", raw, table + 16 * i) for i, bit in enumerate(features(bits))}
    end = table + 16 * len(parts)
    grown = len(records) - len(data) + 16
    parts = {bit: (offset + grown, size) for bit, (offset, size) in parts.items()} | {27: (0, 0)}  # HEADER_COMPRESSED
    tail = b"".join(struct.pack("<QQ", *parts[bit]) for bit in sorted(parts))
    head = bytearray(raw[: header.data_offset])
    struct.pack_into("<Q", head, 48, len(records))
    head[72:104] = (bits | 1 << 27).to_bytes(32, "little")
    out.write_bytes(bytes(head) + records + tail + raw[end:])
    return out


def test_compressed_perf_data(tmp_path: Path) -> None:
    source = shared("data/samples/perf_all.data")
    packed = compressed(source, tmp_path / "z.data")
    assert packed.stat().st_size < source.stat().st_size
    assert same(concat(list(PerfData(packed).chunks())), concat(list(PerfData(source).chunks())))


@pytest.mark.parametrize("cpus", [1, 3])
def test_block_sizes_make_no_difference(cpus: int, tmp_path: Path) -> None:
    big = tmp_path / "big.data"
    assert write_perf_data(shared("data/samples/perf_all.data"), big, 20_000, cpus) >= 20_000
    whole = concat(list(PerfData(big, 1 << 26).chunks()))
    assert bool((np.diff(whole.ts) >= 0).all())
    for block in (1 << 16, 1 << 17, 1 << 18, 1 << 19):
        source = PerfData(big, block)
        chunks = list(source.chunks())
        assert len(chunks) >= 3
        assert same(concat(chunks), whole)
        assert not [reason for reason in source.findings.skipped if "moved" in reason]


def test_pages_in_batches_make_no_difference() -> None:
    folder = shared("data/samples/raw.cpu1")
    assert same(concat(list(FtracePages(folder, 1).chunks())), concat(list(FtracePages(folder).chunks())))


def test_several_recordings_merge(tmp_path: Path) -> None:
    """The two halves of a text recording give the trace of the whole."""
    source = shared("data/samples/perf_script_ns_pidtid.txt")
    lines = source.read_text().splitlines(keepends=True)
    (tmp_path / "a.txt").write_text("".join(lines[:700]))
    (tmp_path / "b.txt").write_text("".join(lines[700:]))
    whole = convert([source], tmp_path / "w.parquet")
    halves = convert([tmp_path / "b.txt", tmp_path / "a.txt"], tmp_path / "h.parquet")
    assert halves.digest == whole.digest
    assert halves.sources == ("b.txt", "a.txt")


def page(commit: int, body: bytes, time: int = 1000) -> bytes:
    return struct.pack("<QQ", time, commit) + body.ljust(4080, b"\0")


def test_ring_page_times_and_losses() -> None:
    def event(kind: int, delta: int, data: bytes = b"") -> bytes:
        return struct.pack("<I", kind | delta << 5) + data

    body = event(2, 5, b"x" * 8) + event(30, 7, struct.pack("<I", 1)) + event(1, 3, b"y" * 4)
    body += event(31, 77, struct.pack("<I", 2)) + event(0, 1, struct.pack("<I", 12) + b"z" * 8)
    end = len(body)
    data = page(end | 1 << 31 | 1 << 30, body + struct.pack("<Q", 42)) + page(0, b"", 9)
    records = decode_pages(np.frombuffer(data, np.uint8), PageLayout())
    absolute = 77 | 2 << 27
    assert records.ts.tolist() == [1005, 1005 + 7 + (1 << 27) + 3, absolute + 1]
    assert records.size.tolist() == [8, 4, 8]
    assert records.at.tolist() == [20, 40, 60]
    assert (records.lost.tolist(), records.lost_ts.tolist()) == ([42], [1000])


def test_ring_page_that_overruns() -> None:
    with pytest.raises(InputError, match="corrupt"):
        decode_pages(np.frombuffer(page(40, struct.pack("<I", 28)), np.uint8), PageLayout())
    with pytest.raises(InputError, match="corrupt"):
        decode_pages(np.frombuffer(page(5000, b""), np.uint8), PageLayout())


def test_formats_that_are_none() -> None:
    with pytest.raises(InputError, match="format"):
        parse_format("name: x\nformat:\n")
    with pytest.raises(InputError, match="header_page"):
        parse_header_page("field: u64 timestamp; offset:0; size:8;")
    assert parse_header_page(shared("data/samples/header_page.txt").read_text()) == PageLayout()


def test_devices_of_the_caller_win(tmp_path: Path) -> None:
    source = shared("data/samples/perf_proc.data")
    device = SwapDevice(3, 253 << 20, "/dev/zram0", "zram", 524288)
    assert convert([source], tmp_path / "a.parquet", devices=[device]).devices == (device,)
    shifted = replace(device, start_sector=1 << 30)
    meta = convert([source], tmp_path / "b.parquet", devices=[shifted])
    assert meta.skipped["bios outside the swap areas"] == 276
