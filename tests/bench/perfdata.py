"""A large perf.data made from a small real one, for timing and for the tests that need many samples."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from swaptrace.ingest.perf_header import read_header
from swaptrace.ingest.perf_records import IdTable, find_samples

__all__ = ["write_perf_data"]

FINISHED_ROUND = (8 << 48) | 68
TASKS = 8


def write_perf_data(template: Path, out: Path, samples: int, cpus: int = 1) -> int:
    """Repeat the samples of ``template`` with later times, in ``TASKS`` tasks by turns, up to ``samples``.

    Each copy is followed by the mark that perf writes after a sweep over its buffers; with more ``cpus`` a sweep
    holds the samples of each in turn, so that the file is not sorted by time. Returns the samples written.
    """
    header = read_header(template)
    raw = template.read_bytes()
    data = raw[header.data_offset : header.data_offset + header.data_size]
    words = np.frombuffer(data, np.uint64)
    layout = header.attrs[0].words
    ids = IdTable({i: n for n, attr in enumerate(header.attrs) for i in attr.ids})
    found = find_samples(words, layout.get("IDENTIFIER", layout.get("ID")), ids)
    turn = np.argsort(np.arange(len(found.at)) % cpus, kind="stable")
    at = found.at[turn]
    sizes = (words[at] >> np.uint64(51)).astype(np.int64)
    source = np.repeat(at - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    body = np.append(words[source], np.uint64(FINISHED_ROUND))
    starts = np.cumsum(sizes) - sizes
    times, tasks = starts + layout["TIME"], starts + layout["TID"]
    period = np.uint64(int(body[times].max()) - int(body[times].min()) + 1000)
    copies = max(0, -(-(samples - len(starts)) // len(starts)))
    with out.open("wb") as stream:
        stream.write(raw[: header.data_offset])
        stream.write(data)
        for copy in range(1, copies + 1):
            again = body.copy()
            again[times] += period * np.uint64(copy)
            again[tasks] += np.uint64((copy % TASKS) << 32 | copy % TASKS)
            stream.write(again.tobytes())
        grown = copies * body.nbytes
        features = bin(int.from_bytes(raw[72:104], "little")).count("1")
        table = header.data_offset + header.data_size
        for i in range(features):
            offset, size = struct.unpack_from("<QQ", raw, table + 16 * i)
            stream.write(struct.pack("<QQ", offset + grown, size))
        stream.write(raw[table + 16 * features :])
        stream.seek(48)
        stream.write(struct.pack("<Q", header.data_size + grown))
    return len(starts) * (copies + 1)
