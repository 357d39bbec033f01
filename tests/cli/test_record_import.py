"""``swaptrace record FILE``: every format through the command line, --map, --errors, --from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import lines, shell, swaptrace
from tests.fuzz import writers

EVENTS = writers.workload(20)


def put(name: str, folder: Path) -> Path:
    files = writers.FILES[name][1](EVENTS)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return folder / next(iter(files))


@pytest.mark.parametrize("name", ["perf-pipe-z", "trace-dat-6", "trace-dat-7-zstd", "bpftrace-json"])
def test_formats_are_detected(name: str, tmp_path: Path) -> None:
    done = swaptrace("record", put(name, tmp_path), "-o", tmp_path / "t.parquet", "--device", "253,0")
    assert done.returncode == 0, done.stderr
    assert "swap_out (disk)" in done.stdout
    assert "16" in next(line for line in done.stdout.splitlines() if "swap_out (disk)" in line)


def test_block_events(tmp_path: Path) -> None:
    path, out = put("blkparse", tmp_path), tmp_path / "t.parquet"
    refused = swaptrace("record", path, "-o", out)
    assert refused.returncode == 3
    assert "--device" in lines(refused)[2]
    assert not out.exists()
    done = swaptrace("record", path, "-o", out, "--device", "253,0")
    assert done.returncode == 0, done.stderr
    assert "a zswap writeback cannot be told from a swap_out" in done.stdout


def test_csv(tmp_path: Path) -> None:
    path, out = put("csv", tmp_path), tmp_path / "t.parquet"
    names = [word for spec in ("tid=pid", "dev=major", "slot=swap_offset") for word in ("--map", spec)]
    assert swaptrace("record", path, "-o", out, *names).returncode == 0
    path.write_text(path.read_text().replace("swap_in", "swapin", 1))
    done = swaptrace("record", path, "-o", out, "--force", *names)
    assert done.returncode == 0
    stopped = swaptrace("record", path, "-o", out, "--force", "--errors", "stop", *names)
    assert stopped.returncode == 3
    assert "column 'kind'" in lines(stopped)[0]
    assert "--errors skip" in lines(stopped)[2]
    wrong = swaptrace("record", path, "-o", out, "--force", "--map", "slott=x")
    assert wrong.returncode == 2
    assert "slot" in lines(wrong)[1]
    assert swaptrace("record", path, "-o", out, "--force", "--errors", "ignore").returncode == 2


def test_csv_and_bpftrace_from_a_pipe(tmp_path: Path) -> None:
    put("bpftrace", tmp_path)
    assert shell("cat bpftrace.txt | swaptrace record - -o t.parquet", tmp_path).returncode == 0
    (tmp_path / "r.csv").write_text("ts,kind,slot\n1,swap_out,5\n2,swap_in,5\n")
    assert shell("cat r.csv | swaptrace record - --from csv -o r.parquet", tmp_path).returncode == 0
    hint = shell("cat r.csv | swaptrace record - -o s.parquet", tmp_path)
    assert hint.returncode == 2
    assert "--from csv" in hint.stderr
