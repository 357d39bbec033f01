"""``info`` and ``validate`` on sound, broken and foreign files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from swaptrace.model.writer import META_KEY
from tests.cli.shell import lines, shell, swaptrace
from tests.traces import META, story, write_trace


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "launch.parquet", story())


def header(path: Path, **changes: object) -> Path:
    """Rewrite ``path`` with changed fields of its header."""
    table = pq.read_table(path)
    meta = json.loads(pq.ParquetFile(path).metadata.metadata[META_KEY]) | changes
    pq.write_table(table.replace_schema_metadata({META_KEY: json.dumps(meta)}), path)
    return path


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("kswapd0-40 [000] 1.0: mm_vmscan_write_folio: page=0\n")


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), path)


def newer(path: Path) -> None:
    header(path, schema_version=2, tool="swaptrace 9.0")


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damaged(path: Path) -> None:
    header(path, cpus="many")


def corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(len(data[4:2000]))
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("command", ["info", "validate"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (truncated, "its end is missing or damaged"),
        (empty, "The file is empty."),
        (text, "It is not a Parquet file."),
        (foreign, "not a swaptrace trace"),
        (newer, "has schema version 2; this swaptrace reads up to 1."),
        (gone, "does not exist"),
        (folder, "is a directory"),
        (damaged, "is damaged"),
        (corrupt, "is corrupt"),
    ],
)
def test_what_is_no_trace_is_three_lines_and_exit_3(
    trace: Path, command: str, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(trace)
    result = swaptrace(command, trace)
    assert says in "\n".join(lines(result))
    assert result.returncode == 3


def test_unsorted_is_refused_by_info_and_listed_by_validate(trace: Path) -> None:
    table = pq.read_table(trace)
    meta = pq.ParquetFile(trace).metadata.metadata[META_KEY]
    pq.write_table(table.take([1, 0, *range(2, len(table))]).replace_schema_metadata({META_KEY: meta}), trace)
    refused = swaptrace("info", trace)
    assert refused.returncode == 3
    assert "is not sorted by time" in lines(refused)[0]
    listed = swaptrace("validate", trace)
    assert listed.returncode == 1
    assert "violation  sorted: time goes back (1 rows, first: row 1)" in listed.stdout


def test_info_shows_what_a_developer_asks_first(trace: Path) -> None:
    result = swaptrace("info", trace.name, cwd=trace.parent, PYTHONIOENCODING="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    for word in (
        "launch.parquet",
        "kernel    6.18.44",
        "/dev/zram0",
        "253:0",
        "SLOT          observed",
        "swap_out",
        "p99",
    ):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_info_in_a_plain_locale_is_ascii(trace: Path) -> None:
    assert swaptrace("info", trace, PYTHONIOENCODING="ascii").stdout.isascii()


def test_names_of_tasks_do_not_reach_the_terminal_raw(trace: Path) -> None:
    table = pq.read_table(trace)
    at = table.schema.get_field_index("comm")
    names = pa.array(["a\n\x1b[31m"] * len(table)).dictionary_encode()
    meta = pq.ParquetFile(trace).metadata.metadata[META_KEY]
    pq.write_table(table.set_column(at, "comm", names).replace_schema_metadata({META_KEY: meta}), trace)
    result = swaptrace("info", trace)
    assert r"a\n\x1b[31m" in result.stdout, result.stderr


def test_info_json_has_the_whole_header(trace: Path) -> None:
    value = json.loads(swaptrace("info", trace, "--json").stdout)
    assert value["meta"]["kernel"] == META.kernel
    assert value["events"] == sum(entry["events"] for entry in value["counts"])
    assert value["meta"]["capabilities"]["SLOT"] == "observed"


def test_a_trace_without_events_is_shown(tmp_path: Path) -> None:
    rows = story()[:1]
    path = write_trace(tmp_path / "one.parquet", rows)
    table = pq.read_table(path).slice(0, 0)
    meta = json.loads(pq.ParquetFile(path).metadata.metadata[META_KEY]) | {"rows": 0}
    pq.write_table(table.replace_schema_metadata({META_KEY: json.dumps(meta)}), path)
    result = swaptrace("info", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "events    0" in result.stdout


def test_validate_says_valid_and_json_agrees(trace: Path) -> None:
    result = swaptrace("validate", trace)
    assert result.returncode == 0
    assert ": valid, " in result.stdout
    value = json.loads(swaptrace("validate", trace, "--json").stdout)
    assert (value["valid"], value["violations"]) == (True, [])


def test_a_reader_that_leaves_ends_the_command_quietly(trace: Path) -> None:
    result = shell("swaptrace schema metrics | head -n 1", trace.parent)
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    closed = shell("swaptrace info launch.parquet > /dev/full", trace.parent)
    assert closed.returncode == 5
    assert "No space left on device" in closed.stderr
    assert "Traceback" not in closed.stderr


def test_output_has_no_colour_codes(trace: Path) -> None:
    assert "\x1b" not in swaptrace("info", trace, FORCE_COLOR="1").stdout


def test_schema_names_every_column_and_metric() -> None:
    from swaptrace.model.events import COLUMNS
    from swaptrace.model.metrics import METRICS

    text_ = swaptrace("schema").stdout
    assert all(f"\n{column.name} " in text_ for column in COLUMNS)
    assert swaptrace("info", "--schema").stdout == text_
    metrics = json.loads(swaptrace("schema", "metrics", "--json").stdout)
    assert [metric["name"] for metric in metrics] == [metric.name for metric in METRICS]
