"""Seeds of BPF recordings: the beginning of a real one, damaged as a file, or inside its checksums."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from swaptrace.ingest.bpf.records import RECORD, RECORDS, Chunk, pack_chunk, read_chunks
from tests.fuzz.damage import damaged

__all__ = ["makers"]

_REAL = Path(__file__).parents[1] / "data" / "bpf_zram"
_RECORDS = 60  # of each chunk: small variants meet more of the structure


def makers() -> list[Callable[[random.Random], dict[str, bytes]]]:
    """Return makers of damaged recordings."""
    beside = {name: (_REAL / name).read_bytes() for name in ("bpf.json", "meta.json")}
    chunks = [
        Chunk(chunk.records[at : at + _RECORDS].copy(), int(chunk.watermark), 0)
        for chunk, _ in read_chunks(_REAL / RECORDS, [])
        for at in (0, len(chunk.records) // 2)
    ][:4]
    whole = {RECORDS: b"".join(_packed(chunk) for chunk in chunks), **beside}

    def outside(rng: random.Random) -> dict[str, bytes]:
        files = dict(whole)
        for name in rng.sample(sorted(files), rng.choice((1, 1, 2))):
            files[name] = damaged(files[name], rng)
        return files

    def inside(rng: random.Random) -> dict[str, bytes]:
        parts = []
        for chunk in chunks:
            data = damaged(chunk.records.tobytes(), rng)
            size = len(data) // RECORD.itemsize * RECORD.itemsize
            records = np.frombuffer(data[:size], RECORD)
            parts.append(_packed(Chunk(records, int(chunk.watermark), 0)) if len(records) else b"")
        return {RECORDS: b"".join(parts), **beside}

    return [outside, inside]


def _packed(chunk: Chunk) -> bytes:
    return b"".join(bytes(buffer) for buffer in pack_chunk(chunk))
