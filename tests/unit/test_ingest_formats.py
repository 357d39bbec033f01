"""The same events in every format: the same trace. And what a format has of its own: losses, clocks, order, errors."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.ingest.convert import convert
from swaptrace.ingest.csv_rows import CsvRows, parse_map
from swaptrace.ingest.detect import FORMATS, detect
from swaptrace.ingest.perf_data import PerfData
from swaptrace.ingest.perf_script import PerfScript
from swaptrace.ingest.raw import FIELDS, RawChunk, RawKind, concat
from swaptrace.ingest.text_input import TextInput
from swaptrace.ingest.trace_dat import TraceDat
from swaptrace.ingest.trace_dat_header import read_trace_dat
from swaptrace.model.errors import InputError, UsageError
from swaptrace.model.events import Cause, Kind
from swaptrace.model.meta import SwapDevice, TraceMeta
from swaptrace.model.trace import Trace
from tests.fuzz import writers

DEVICE = SwapDevice(0, writers.DEV, "/dev/zram0", "zram")
MAP = ["tid=pid", "dev=major", "slot=swap_offset"]
EVENTS = writers.workload(60, cpus=3)


def put(name: str, folder: Path, events: list[writers.Event] = EVENTS) -> Path:
    """Write a variant of a format and return what to import."""
    files = writers.FILES[name][1](events)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return folder if len(files) > 1 else folder / next(iter(files))


def import_(path: Path, out: Path, form: str = "auto", **more: Any) -> tuple[TraceMeta, dict[str, list[Any]]]:
    """Import and return the header and the rows of swap_outs and swap_ins."""
    meta = convert([path], out, fmt=form, devices=[DEVICE], **more)
    names = ["ts", "kind", "cpu", "tid", "dev", "swap_type", "slot", "tgid", "va", "pfn", "cause", "backend", "write"]
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for b in Trace(out).batches(names):
        keep = np.isin(b["kind"], (Kind.SWAP_OUT, Kind.SWAP_IN))
        for name in names:
            rows[name] += b[name][keep].tolist()
    return meta, rows


@pytest.mark.parametrize("name", writers.FILES)
def test_every_format_gives_the_same_trace(name: str, tmp_path: Path) -> None:
    form = writers.FILES[name][0]
    folder = tmp_path / "in"
    folder.mkdir()
    _, truth = import_(put("perf-pipe", tmp_path), tmp_path / "truth.parquet")
    path = put(name, folder)
    if form != "csv":
        assert detect(path) == form
    columns = parse_map(MAP) if form == "csv" else None
    meta, found = import_(path, tmp_path / "t.parquet", columns=columns)
    if form in ("blkparse", "csv"):  # bios only: not the zero pages, which have no slot; blkparse counts from its start
        keep = [i for i, slot in enumerate(truth["slot"]) if slot >= 0]
        truth = {n: [truth[n][i] for i in keep] for n in ("kind", "tid", "dev", "swap_type", "slot")}
        bios = [e for e in EVENTS if e.name == "block_bio_queue"]
        start = EVENTS[0].ts if form == "blkparse" else 0
        truth |= {"ts": [e.ts - start for e in bios], "cpu": [e.cpu for e in bios]}
    if form == "ftrace-text":  # times in us
        truth["ts"] = [ts // 1000 * 1000 for ts in truth["ts"]]
    if form in ("trace-dat", "ftrace-pages"):  # the process of a task is not recorded
        truth["tgid"] = [0] * len(truth["ts"])
    assert {n: found[n] for n in truth if n in found} == truth
    assert sum(meta.skipped.values()) - meta.skipped.get("block actions other than Q (queued)", 0) == 0
    assert meta.lost == ({"perf": 7} if form == "perf-data" else {})
    if form != "parquet":
        assert next(iter(Trace(tmp_path / "t.parquet").comms()))[1] == [writers.COMM]


@pytest.mark.parametrize("block", [64, 700, 1 << 20])
@pytest.mark.parametrize("name", ["perf-script", "ftrace-text", "bpftrace", "bpftrace-json", "blkparse"])
def test_cuts_of_text_make_no_difference(name: str, block: int, tmp_path: Path) -> None:
    from swaptrace.ingest.sources import _TEXTS

    path, kind = put(name, tmp_path), _TEXTS[writers.FILES[name][0]]
    whole, cut = kind(TextInput(path)), kind(TextInput(path, block))
    assert same(concat(list(cut.chunks())), concat(list(whole.chunks())))
    assert cut.findings.skipped == whole.findings.skipped
    assert cut.words == whole.words


def same(a: RawChunk, b: RawChunk) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def test_cuts_of_csv_make_no_difference(tmp_path: Path) -> None:
    path = put("csv", tmp_path)
    whole, cut = (list(CsvRows(TextInput(path, block), parse_map(MAP)).batches()) for block in (1 << 20, 90))
    assert len(cut) > len(whole) == 1
    for name, values in whole[0][0].items():
        assert np.concatenate([columns[name] for columns, _, _ in cut]).tolist() == values.tolist()


def test_damaged_order_of_bpftrace_is_repaired(tmp_path: Path) -> None:
    """bpftrace reads the buffers of the CPUs by turns."""
    lines = writers.bpftrace(EVENTS).split("\n")
    by_cpu = sorted(lines[1:-3], key=lambda line: line.split()[2])
    (tmp_path / "b.txt").write_text("\n".join([lines[0], *by_cpu, ""]))
    _, mixed = import_(tmp_path / "b.txt", tmp_path / "a.parquet")
    _, straight = import_(put("bpftrace", tmp_path), tmp_path / "b.parquet")
    assert mixed == straight


@pytest.mark.parametrize("name", ["trace-dat-6", "trace-dat-7", "trace-dat-7-zstd", "ftrace-pages"])
def test_marks_of_missed_events(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writers.ring_pages
    monkeypatch.setattr(writers, "ring_pages", lambda events: real(events, missed=33))
    meta, _ = import_(put(name, tmp_path, writers.workload(60)), tmp_path / "t.parquet")
    assert meta.lost == {"cpu0 buffer pages": 33}


def option(number: int, body: bytes) -> bytes:
    return struct.pack("<HI", number, len(body)) + body


def test_options_of_trace_dat(tmp_path: Path) -> None:
    """The kernel of uname, what each buffer says that it lost, and a second, smaller buffer that is not read."""
    stats = b"CPU: %d\nentries: 0\noverrun: 5\ncommit overrun: 0\ndropped events: 2\nread events: 9\n\0"
    second = struct.pack("<Q", 64) + b"instance\0mono\0" + struct.pack("<IIIQQ", 4096, 1, 0, 0, 1)
    more = option(5, b"Linux host 6.18.0-test #1 SMP\0") + option(2, stats % 0) + option(2, stats % 1)
    path = tmp_path / "t.dat"
    path.write_bytes(writers.trace_dat_7(EVENTS, more=more + option(3, second)))
    meta, found = import_(path, tmp_path / "t.parquet")
    assert meta.lost == {"ftrace": 14}
    assert meta.kernel == "6.18.0-test"
    assert any("not those of: instance" in note for note in meta.notes)
    assert len(found["ts"]) == len(import_(put("trace-dat-7", tmp_path), tmp_path / "u.parquet")[1]["ts"])


def test_clock_without_unit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("trace-dat-7", tmp_path)
    header = read_trace_dat(path)
    assert (header.clock, header.kernel, header.compression) == ("mono", "", "")
    header.clock = "x86-tsc"
    monkeypatch.setattr("swaptrace.ingest.trace_dat.read_trace_dat", lambda _: header)
    with pytest.raises(InputError, match="have no unit"):
        TraceDat(path)


def test_losses_of_perf_are_counted_once(tmp_path: Path) -> None:
    """LOST records say it as it happens; LOST_SAMPLES count the same events again, for each event, when perf ends."""
    tail = struct.pack("<IIQIIQ", 0, 0, 10**12 + 9, 0, 0, 100)
    samples = struct.pack("<IHHQ", 13, 0, 16 + len(tail), 4) + tail
    filtered = struct.pack("<IHHQ", 13, 1 << 15, 16 + len(tail), 99) + tail
    records = writers.perf_records(EVENTS)
    for extra, lost, kinds in ((samples, 7, 1), (samples * 3, 12, 1), (filtered, 7, 1)):
        (tmp_path / "p.data").write_bytes(writers.perf_file(records + extra))
        source = PerfData(tmp_path / "p.data")
        found = concat(list(source.chunks()))
        assert source.findings.lost == {"perf": lost}
        assert int((found.kind == RawKind.LOST).sum()) == kinds
    lost = records.index(struct.pack("<IHHQQ", 2, 0, 24 + len(tail), 100, 7))
    without = records[:lost] + records[lost + 24 + len(tail) :]
    (tmp_path / "p.data").write_bytes(writers.perf_file(without + samples))
    source = PerfData(tmp_path / "p.data")
    assert (concat(list(source.chunks())).kind == RawKind.LOST).sum() == 1
    assert source.findings.lost == {"perf": 4}


def test_order_of_a_compressed_file_with_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks of perf's sweeps lie between the compressed records: none may count before the data it follows."""
    events = writers.workload(400, cpus=2)
    sweeps = [events[at : at + 40] for at in range(0, len(events), 40)]
    mixed = [e for sweep in sweeps for e in sorted(sweep, key=lambda e: e.cpu)]
    (tmp_path / "z.data").write_bytes(writers.perf_file(writers.perf_squeeze(writers.perf_records(mixed, 40)), True))
    (tmp_path / "p.data").write_bytes(writers.perf_file(writers.perf_records(mixed, 40)))
    truth = concat(list(PerfData(tmp_path / "p.data").chunks()))
    for block in (1 << 10, 5000, 9000, 13_000, 1 << 23):
        monkeypatch.setattr("swaptrace.ingest.perf_blocks.BLOCK_BYTES", block)
        source = PerfData(tmp_path / "z.data")
        assert same(concat(list(source.chunks())), truth)
        assert source.findings.skipped == {}


SCRIPT = {  # what perf 6.1 prints for -F ...: time, event and trace are in all
    "comm,pid,time,event,trace": "            tiny 24436 11885.506728: ",
    "comm,tid,cpu,time,event,trace": "            tiny 24436 [000] 11885.506728: ",
    "pid,tid,time,cpu,event,trace": "24436/24436 [000] 11885.506728: ",
    "tid,time,period,event,trace": "24436 11885.506728:          1 ",
    "comm,pid,tid,cpu,time,period,event,trace": "            tiny 24436/24436 [000] 11885.506728:          1 ",
    "a name with spaces and digits": "   kworker/0:1 2 24436 [000] 11885.506728: ",
}


@pytest.mark.parametrize("head", SCRIPT.values(), ids=SCRIPT)
def test_fields_of_perf_script(head: str, tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(
        f"{head}       block:block_bio_queue: 253,1 WS 24 + 8 [tiny]\n"
        f"{head}vmscan:mm_vmscan_write_folio: page=0x1a236d pfn=0x1a236d flags=RECLAIM_WB_ANON|RECLAIM_WB_ASYNC"
        " ffffffff815a93a1 shrink_folio_list\n"
        "\tffffffff821f31c0 exc_page_fault+0x2f0 ([kernel.kallsyms])\n\n"
    )
    assert detect(path) == "perf-script"
    source = PerfScript(TextInput(path), stop=True)
    found = concat(list(source.chunks()))
    assert found.kind.tolist() == [RawKind.BIO_WRITE, RawKind.WRITE_FOLIO]
    assert found.tid.tolist() == [24436, 24436]
    assert found.ts.tolist() == [11885506728000] * 2
    assert found.value.tolist() == [24, 0x1A236D]


@pytest.mark.parametrize(
    ("head", "lacks"),
    [("11885.506728: ", "the tasks"), ("            tiny 24436 ", "the times"), ("[000] 1.5: ", "tasks")],
)
def test_perf_script_without_task_or_time(head: str, lacks: str, tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(f"{head}  block:block_bio_queue: 253,1 WS 24 + 8 [tiny]\n" * 3)
    with pytest.raises(InputError, match=lacks) as caught:
        convert([path], tmp_path / "t.parquet")
    assert "perf script --ns -F" in caught.value.next_step


@pytest.mark.parametrize("name", ["perf-script", "ftrace-text", "bpftrace", "blkparse"])
def test_lines_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    path = put(name, tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    bio = next(i for i, line in enumerate(lines) if "WS" in line)
    lines[bio] = lines[bio].replace("WS", "W%")
    lines.insert(bio + 3, "what is this?\n")
    path.write_text("".join(lines))
    meta, _ = import_(path, tmp_path / "t.parquet")
    assert sum(n for reason, n in meta.skipped.items() if "understood" in reason) == 2
    with pytest.raises(InputError, match=f"line {bio + 4} of"):  # lines of another form are seen first
        convert([path], tmp_path / "none.parquet", devices=[DEVICE], stop=True)
    del lines[bio + 3]
    path.write_text("".join(lines))
    with pytest.raises(InputError, match=f"line {bio + 1} of"):
        convert([path], tmp_path / "none.parquet", devices=[DEVICE], stop=True)
    assert not (tmp_path / "none.parquet").exists()


def test_line_numbers_count_over_blocks(tmp_path: Path) -> None:
    lines = put("perf-script", tmp_path).read_text().splitlines(keepends=True)
    (tmp_path / "s.txt").write_text("".join([*lines[:40], "what is this?\n", *lines[40:]]))
    with pytest.raises(InputError, match="line 41 of"):
        list(PerfScript(TextInput(tmp_path / "s.txt", 300), stop=True).chunks())


def test_a_text_without_lines_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = put("perf-script", tmp_path)
    with path.open("ab") as stream:
        stream.truncate(stream.tell() + (40 << 20))
    with pytest.raises(InputError, match="not a text recording") as caught:
        list(PerfScript(TextInput(path, 1 << 20)).chunks())
    assert "16 MiB" in caught.value.why


def test_another_script_of_bpftrace(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Attaching 1 probe...\nhello world\n")
    with pytest.raises(InputError, match="holds no events") as caught:
        convert([tmp_path / "b.txt"], tmp_path / "t.parquet")
    assert "hello world" in caught.value.why
    assert "docs/importing.md" in caught.value.next_step


def test_losses_of_bpftrace(tmp_path: Path) -> None:
    text = writers.bpftrace(EVENTS).replace("\n", "\nLost 12 events\n", 1)
    (tmp_path / "b.txt").write_text(text)
    assert import_(tmp_path / "b.txt", tmp_path / "t.parquet")[0].lost == {"bpftrace": 12}
    lines = writers.bpftrace_json(EVENTS).split("\n")
    lines.insert(5, '{"type": "lost_events", "data": {"events": 5}}')
    (tmp_path / "b.json").write_text("\n".join(lines))
    assert import_(tmp_path / "b.json", tmp_path / "t.parquet")[0].lost == {"bpftrace": 5}


def test_block_events_alone_need_a_swap_area(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        convert([put("blkparse", tmp_path)], tmp_path / "t.parquet")
    assert "--device" in caught.value.next_step
    _, found = import_(tmp_path / "blkparse.txt", tmp_path / "t.parquet")
    assert set(found["cause"]) == {Cause.NONE}


CSV = "ts,kind,slot,swap_type,csize,comm,hash,conf\n"


@pytest.mark.parametrize(
    ("row", "column", "meaning"),
    [
        ("x,swap_out,1,0,,,,", "ts", "seconds with a decimal point"),
        (",swap_out,1,0,,,,", "ts", "seconds with a decimal point"),
        ("1,swapped,1,0,,,,", "kind", "one of swap_out"),
        ("1,swap_out,1.5,0,,,,", "slot", "decimal, or hexadecimal"),
        ("1,swap_out,1,255,,,,", "swap_type", "fits its column"),
        ("1,swap_out,1,0,4294967296,,,", "csize", "fits its column"),
        ("1,swap_out,1,0,,,0x1ffffffffffffffff,", "hash", "fits its column"),
        ("1,swap_out,1,0,,,", "", "has 8 fields"),
        ('1,swap_out,1,0,,"tiny,,', "", "quotes end on its line"),
    ],
)
def test_errors_of_csv_name_line_and_column(row: str, column: str, meaning: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{CSV}0,swap_out,7,0,,,,\n\n{row}\n5,swap_in,7,0,,,,\n")
    where = "line 4" + (f", column '{column}'" if column else "")
    with pytest.raises(InputError, match=where) as caught:
        convert([path], tmp_path / "t.parquet", stop=True)
    assert meaning in caught.value.why
    meta = convert([path], tmp_path / "t.parquet")
    assert meta.rows == 2
    assert meta.skipped == {f"rows that cannot be read (the first: {where})": 1}


def test_values_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "\ufeffts;kind;slot;dev;hash;write;comm;fill;va\r\n"
        '1.5;SWAP_OUT;0x10;253:1;0xffffffffffffffff;yes;"a ""b"";c";;-1\r\n'
        "2000000000;swap_in;16;265289729;18446744073709551615;0;;0;0x7000\r\n"
        "3.0000000019;swap_in;17;8:16;;;;7;\r\n"
    )
    meta = convert([path], tmp_path / "t.parquet", stop=True)
    batch = next(
        Trace(tmp_path / "t.parquet").batches(["ts", "kind", "slot", "dev", "swap_type", "hash", "fill", "va"])
    )
    assert batch["ts"].tolist() == [1_500_000_000, 2_000_000_000, 3_000_000_001]
    assert batch["slot"].tolist() == [16, 16, 17]
    assert batch["dev"].tolist() == [253 << 20 | 1, 253 << 20 | 1, 8 << 20 | 16]
    assert batch["swap_type"].tolist() == [0, 0, 1]
    assert batch["hash"].tolist()[:2] == [(1 << 64) - 1] * 2
    assert batch.valid["hash"].tolist() == [True, True, False]
    assert batch.valid["fill"].tolist() == [False, True, True]
    assert batch["va"].tolist() == [-1, 0x7000, -1]
    assert [d.dev for d in meta.devices] == [253 << 20 | 1, 8 << 20 | 16]
    assert next(iter(Trace(tmp_path / "t.parquet").comms()))[1] == ['a "b";c']


def test_wrong_use_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{CSV}5,swap_out,7,0,,,,\n4,swap_in,7,0,,,,\n")
    with pytest.raises(InputError, match=r"line 3 of .* is older"):
        convert([path], tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no column 'TIME'"):
        convert([path], tmp_path / "t.parquet", columns={"ts": "TIME"})
    with pytest.raises(UsageError, match="no column 'slott'") as caught:
        parse_map(["slott=x"])
    assert "slot" in caught.value.why
    with pytest.raises(UsageError, match="--map is for CSV"):
        convert([path], tmp_path / "t.parquet", fmt="parquet", columns={"ts": "ts"})
    with pytest.raises(UsageError, match="one at a time"):
        convert([path, path], tmp_path / "t.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_standard_input_of_every_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bpftrace", "blkparse", "csv"):
        path = put(name, tmp_path)
        form, columns = ("csv", parse_map(MAP)) if name == "csv" else ("auto", None)
        truth, _ = import_(path, tmp_path / "a.parquet", form, columns=columns)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        piped, _ = import_(Path("-"), tmp_path / "b.parquet", form, columns=columns)
        assert piped.digest == truth.digest


def test_formats_are_what_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "importing.md").read_text()
    assert [form for form in FORMATS if f"`{form}`" not in text] == []
