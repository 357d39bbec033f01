"""Raw recordings of the BPF tier for the tests: records, and the folder that a recorder leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.ingest.bpf.records import (
    RECORD,
    RECORDS,
    Chunk,
    RawInfo,
    RecordBackend,
    RecordKind,
    pack_chunk,
    write_info,
)
from swaptrace.model.meta import SwapDevice


def some_records(count: int, first_ts: int = 1000) -> NDArray[Any]:
    out = np.zeros(count, RECORD)
    out["ts"] = np.arange(first_ts, first_ts + count)
    out["kind"], out["backend"], out["tid"], out["swp"] = RecordKind.OUT, RecordBackend.DISK, 9, 5
    return out


def raw_folder(folder: Path, *sizes: int, info: RawInfo | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    write_info(folder, info or RawInfo(devices=(SwapDevice(0, 7 << 20, "/dev/loop0"),)))
    start = 1000
    with (folder / RECORDS).open("wb") as file:
        for size in sizes:
            file.writelines(pack_chunk(Chunk(some_records(size, start), start + size, 0)))
            start += size
    return folder
