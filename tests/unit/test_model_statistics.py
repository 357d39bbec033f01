"""Columns that statistics show to have one value are the same as decoded ones, with or without statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from swaptrace.model.events import COLUMNS, Kind
from swaptrace.model.statistics import GroupStatistics
from swaptrace.model.trace import Trace
from swaptrace.model.writer import META_KEY
from tests.traces import story, write_trace

NAMES = [c.name for c in COLUMNS if not c.text]


@pytest.mark.parametrize("statistics", [True, False, ["ts", "kind"]])
def test_single_values_are_what_decoding_gives(tmp_path: Path, statistics: bool | list[str]) -> None:
    rows = [{**row, "memcg": 7, "fill": 3, "kind": Kind.SWAP_OUT} for row in story(60)]
    plain = write_trace(tmp_path / "plain.parquet", rows)
    table = pq.read_table(plain)
    path = tmp_path / "groups.parquet"
    with pq.ParquetWriter(path, table.schema, write_statistics=statistics) as writer:
        writer.write_table(table, row_group_size=50)
        writer.add_key_value_metadata({META_KEY: pq.read_metadata(plain).metadata[META_KEY]})
    decoded = next(Trace(plain).batches(NAMES, len(rows)))
    single = GroupStatistics(pq.read_metadata(path)).single(0, NAMES)
    assert ({"memcg", "fill", "kind", "swap_type", "va", "order"} <= set(single)) == (statistics is True)
    assert not {"ts", "slot"} & set(single)
    batches = list(Trace(path).batches(NAMES, 64))
    assert [b.first for b in batches] == list(range(0, len(rows), 50))
    for name in NAMES:
        got = np.concatenate([b[name] for b in batches])
        assert got.dtype == decoded[name].dtype, name
        mask = decoded.valid.get(name, np.ones(len(rows), np.bool_))
        assert np.array_equal(got[mask], decoded[name][mask]), name
        if name in decoded.valid:
            assert np.array_equal(np.concatenate([b.valid[name] for b in batches]), mask), name
