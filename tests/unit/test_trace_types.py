"""Traces of other writers: what is not the schema's is refused in words, never misread."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from swaptrace.model.errors import InputError
from swaptrace.model.trace import Trace
from swaptrace.model.writer import META_KEY

SAMPLE = Path(__file__).parents[2] / "traces" / "redis_zram.parquet"


def rewritten(tmp_path: Path, name: str, values: pa.Array) -> Trace:
    table = pq.read_table(SAMPLE).slice(0, len(values))
    changed = table.set_column(table.schema.names.index(name), name, values)
    path = tmp_path / "changed.parquet"
    header = pq.ParquetFile(SAMPLE).metadata.metadata[META_KEY]
    pq.write_table(changed.replace_schema_metadata({META_KEY: header}), path)
    return Trace(path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("slot", pa.array(["7"] * 5)),
        ("slot", pa.array([7.0] * 5)),
        ("kind", pa.array(["swap_out"] * 5)),
        ("comm", pa.array(["bash"] * 5)),
    ],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, name: str, values: pa.Array) -> None:
    trace = rewritten(tmp_path, name, values)
    with pytest.raises(InputError, match=f"column {name} .* has the type"):
        list(trace.comms() if name == "comm" else trace.batches([name]))


def test_an_unknown_kind_is_refused_with_the_closest(tmp_path: Path) -> None:
    trace = rewritten(tmp_path, "kind", pa.array(["swap_outt"] * 5).dictionary_encode())
    with pytest.raises(InputError, match="unknown kind 'swap_outt'") as error:
        list(trace.batches(["kind"]))
    assert error.value.why == "did you mean 'swap_out'?"


def test_names_in_another_order_are_read_by_name(tmp_path: Path) -> None:
    words = pa.array(["swap_in", "swap_out", "swap_in", "slot_free", "swap_out"])
    trace = rewritten(tmp_path, "kind", words.dictionary_encode())
    (batch,) = trace.batches(["kind"])
    assert batch["kind"].tolist() == [1, 0, 1, 2, 0]
